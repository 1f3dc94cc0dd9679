"""Which version each service's database has and needs, and what to do about the difference.

At a start this is one SELECT a service. A new SQLite file gets its tables from the metadata directly (a test holds both
ways equal); only an old one needs Alembic. PostgreSQL is changed by `perdure migrate` alone.
"""

import contextlib
import importlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from perdure.adapters import database_sqlite, outbox
from perdure.adapters.database import address, create
from perdure.adapters.database_postgres import protect
from perdure.errors import Invalid, Unavailable, extra, reason

FOLDER = Path(__file__).parent
STORES: dict[str, str] = {
    "identity": "perdure.services.identity.store",
    "workflows": "perdure.services.workflows.store",
    "agents": "perdure.services.agents.store",
}
"""The module of each service that holds its tables, as `metadata`."""

_STEP = re.compile(r"(\d{4})_[a-z0-9_]+\.py")
_LOCK = 7_305_412_000_000_000_000
"""Of the advisory locks; the service's place is added, so that services do not wait for one another."""
_log = logging.getLogger("perdure.migrations")


class Standing(NamedTuple):
    """Where one database stands. `found` is empty when it has no tables yet."""

    service: str
    found: str
    needed: str

    @property
    def is_current(self) -> bool:
        return self.found == self.needed

    @property
    def is_ahead(self) -> bool:
        return self.found > self.needed

    def __str__(self) -> str:
        if self.is_current:
            return f"{self.service}: version {self.found}, current"
        if self.is_ahead:
            return f"{self.service}: version {self.found}, newer than this program ({self.needed})"
        return f"{self.service}: {'version ' + self.found if self.found else 'empty'}, needs {self.needed}"


def head(service: str) -> str:
    """The version that this program needs. Invalid for a service that does not exist."""
    if service not in STORES:
        raise Invalid(f"There is no service {service!r}.", hint=f"The services: {', '.join(STORES)}.")
    return max((found[1] for path in (FOLDER / service).iterdir() if (found := _STEP.fullmatch(path.name))), default="")


def tables(service: str) -> list[MetaData]:
    """The metadata of a service's own tables, and that of the outbox."""
    return [importlib.import_module(STORES[service]).metadata, outbox.metadata]


def standing(url: str, service: str) -> Standing:
    """Look, and change nothing."""
    needed = head(service)
    place = address(url, service)
    if place.get_backend_name() == "sqlite" and not (place.database and Path(place.database).exists()):
        return Standing(service, "", needed)
    with opened(place, service) as connection:
        return Standing(service, version(connection, service), needed)


def version(connection: Connection, service: str) -> str:
    """The version of the tables that are there, or an empty text."""
    name = "alembic_version" if connection.dialect.name == "sqlite" else f"{service}.alembic_version"
    try:
        found = connection.execute(text(f"SELECT version_num FROM {name}")).scalar()  # noqa: S608 - a name of ours
    except DatabaseError as error:
        if not _is_missing_table(error):
            raise
        connection.rollback()
        return ""
    return str(found or "")


def prepare(url: str, *services: str) -> list[Standing]:
    """For a start: bring SQLite files up to date, and refuse a PostgreSQL that is behind. What was found, each.

    Unavailable when a database has to be migrated first. One that is ahead is used: by the rule above it still fits the
    release before it.
    """
    found = []
    for service in services or STORES:
        here = standing(url, service)
        found.append(here)
        if here.is_ahead:
            _log.warning("The database of %s; going on with it.", here)
        elif not here.is_current and address(url, service).get_backend_name() != "sqlite":
            raise Unavailable(
                f"The database of {service} is not up to date ({here.found or 'empty'}, needed {here.needed}).",
                hint="Run `perdure migrate`.",
            )
        elif not here.is_current:
            migrate(url, service)
    return found


def migrate(url: str, service: str) -> Standing:
    """Bring one database up to date, once, however many do it at the same time; where it stood before."""
    needed = head(service)
    place = address(url, service)
    if place.get_backend_name() == "sqlite" and not place.database:
        raise Invalid("A temporary database cannot be migrated.")
    with opened(place, service) as connection, alone(connection, service):
        before = Standing(service, version_inside(connection), needed)
        if before.found == "":
            _make(connection, service, needed)
        elif before.found < needed:
            from perdure.migrations.alembic_steps import upgrade  # heavy, and only an old database needs it

            upgrade(connection, service)
        if connection.dialect.name == "postgresql":
            protect(connection, service)
    return before


def version_inside(connection: Connection) -> str:
    """As `version`, but without harm to the transaction under way."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _make(connection: Connection, service: str, needed: str) -> None:
    create(connection, *tables(service)[:-1])
    if needed:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": needed})


@contextlib.contextmanager
def opened(place: URL, service: str) -> Iterator[Connection]:
    """A connection for changes of the schema, and of nobody else."""
    engine = _engine(place, service)
    try:
        try:
            connection = engine.connect()
        except OperationalError as error:
            raise Unavailable(f"The database of {service} cannot be reached: {reason(error.orig)}.") from None
        except DatabaseError as error:
            raise Unavailable(f"{place.database} is damaged or no SQLite database: {error.orig}.") from None
        with connection:
            yield connection
    finally:
        engine.dispose()


def _engine(place: URL, service: str) -> Engine:
    if place.get_backend_name() == "sqlite":
        return database_sqlite.engine(Path(str(place.database)))
    with extra("postgres", "PostgreSQL"):
        return create_engine(place, poolclass=NullPool, connect_args={"connect_timeout": 10})


@contextlib.contextmanager
def alone(connection: Connection, service: str) -> Iterator[None]:
    """One transaction that no other migration of this service shares the time with."""
    if connection.dialect.name == "sqlite":
        # Tables are made anew by copying; with foreign keys on, dropping the old one would delete what refers to it.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.commit()
        with database_sqlite.begun(connection, "BEGIN IMMEDIATE"):
            yield
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise Invalid(f"The migration of {service} would break a reference: {tuple(broken)}.")
        return
    connection.rollback()
    with connection.begin():
        number = _LOCK + list(STORES).index(service)
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {service}"))
        connection.execute(
            text("SELECT set_config('search_path', :schema, true), set_config('app.tenant', '*', true)"),
            {"schema": service},
        )
        yield


def _is_missing_table(error: DatabaseError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state in {"42P01", "3F000"} or "no such table" in str(error.orig)
