"""How the tables of services come to be and change: one history a service, the same on SQLite and PostgreSQL.

`histories.py` looks at versions and makes new databases; it is imported at each start. `alembic_steps.py` brings old ones
up to date, and is imported only then. Each folder holds one service's history, oldest first. Expand, then contract: a
release adds what it needs and leaves what the release before it uses; what nobody uses any more goes one release later.
"""
