"""A service's database by its address: SQLite or PostgreSQL behind one port (`ports/database.py`).

Here: what both have in common. Which tables there are is not decided here; migrations make them.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, MetaData, make_url
from sqlalchemy.exc import ArgumentError

from perdure.adapters import outbox
from perdure.adapters.clock import SystemClock
from perdure.adapters.database_postgres import PostgresDatabase
from perdure.adapters.database_sqlite import SqliteDatabase
from perdure.adapters.transaction import Surroundings
from perdure.errors import Invalid
from perdure.ports.clock import Clock

_SERVICE = re.compile(r"[a-z][a-z_]{0,40}")


def open_database(
    url: str,
    service: str,
    metadata: MetaData | None = None,
    *,
    clock: Clock | None = None,
    trace: Callable[[], str] = lambda: "",
    **more: Any,
) -> SqliteDatabase | PostgresDatabase:
    """Open the database of one service.

    `sqlite:///FILE`, `sqlite://` (a temporary file that is gone after `close`) or `postgresql://...`, where the service
    has the schema of its name; `{service}` in an address stands for that name. With `metadata` the tables that are
    missing are made, with those of the outbox: for tests; installations use migrations. `trace` gives the traceparent
    of whoever writes. `more`: `size` (connections). Invalid for an address that cannot be meant, Unavailable when
    nothing answers there.
    """
    place = address(url, service)
    around = Surroundings(service, clock or SystemClock(), trace)
    database: SqliteDatabase | PostgresDatabase
    if place.get_backend_name() == "sqlite":
        database = SqliteDatabase(place, around, **more)
    else:
        database = PostgresDatabase(place, around, **more)
    if metadata is not None:
        with database.making() as connection:
            create(connection, metadata)
    return database


def create(connection: Connection, *tables: MetaData) -> None:
    """Make the tables that are missing, and those of the outbox."""
    for metadata in (*tables, outbox.metadata):
        metadata.create_all(connection)


def address(url: str, service: str) -> URL:
    """The parsed address of a service's database. Invalid when it is none of those we know."""
    if not _SERVICE.fullmatch(service):
        raise Invalid(f"{service!r} is not a name of a service.")
    try:
        place = make_url(url.replace("{service}", service))
    except (ArgumentError, ValueError):
        raise Invalid("The address of the database cannot be read.", hint=_HINT) from None
    if place.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return place.set(drivername="postgresql+psycopg")
    if place.drivername == "sqlite" and place.host is None:
        return place
    raise Invalid(f"A database at {place.drivername}: is not known.", hint=_HINT)


def in_directory(directory: Path) -> str:
    """The address of the files of all services under a data directory."""
    if "?" in str(directory) or "{" in str(directory):
        raise Invalid(f"The directory {directory} has a `?` or a `{{` in its name, which databases cannot have.")
    return f"sqlite:///{directory}/{{service}}.db"


_HINT = "Write postgresql://USER:PASSWORD@HOST/DATABASE, or sqlite:///FILE."
