"""Schemas of the services over time: one Alembic environment, one history a service."""
