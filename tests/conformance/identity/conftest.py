"""The service on PostgreSQL with row-level security as a plain role, migrated. (On SQLite: its own tests.)"""

import itertools

import pytest

from perdure.adapters.database import open_database
from perdure.migrations import histories
from tests.unit.services.identity.conftest import Identity, ana  # noqa: F401 - a fixture

_numbers = itertools.count(1)


@pytest.fixture
async def identity(request, took_part):
    server = request.getfixturevalue("postgres_server")
    took_part(f"PostgreSQL {server.version}")
    url = server.database(f"identity_{next(_numbers)}")
    histories.migrate(url, "identity")
    database = open_database(url, "identity")
    made = Identity(database)
    await made.tenants.first_key("default")
    yield made
    await database.close()
