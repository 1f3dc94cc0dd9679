"""The databases that the suite runs on: a file, a temporary file, and a real PostgreSQL, also behind PgBouncer."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text

from perdure.adapters.database import open_database

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
)
_numbers = itertools.count(1)

Opens = Callable[..., Any]


@pytest.fixture(params=["file", "temporary", "postgres", "pooled"])
def url(request, tmp_path) -> str:
    if request.param == "file":
        return f"sqlite:///{tmp_path}/things.db"
    if request.param == "temporary":
        return "sqlite://"
    server = request.getfixturevalue("postgres_server")
    place = server.database(f"suite_{next(_numbers)}")
    if request.param == "pooled":
        request.getfixturevalue("took_part")("PgBouncer in transaction mode")
        return place.replace(f":{server.port}/", f":{request.getfixturevalue('pgbouncer_port')}/")
    return place


@pytest.fixture
def taking_part(url, request, took_part) -> None:
    if url.startswith("postgresql"):
        took_part(f"PostgreSQL {request.getfixturevalue('postgres_server').version}")
    else:
        took_part("SQLite through SQLAlchemy")


@pytest.fixture
async def database(url, taking_part) -> Iterator[Any]:
    opened = open_database(url, "things", metadata)
    yield opened
    await opened.close()
