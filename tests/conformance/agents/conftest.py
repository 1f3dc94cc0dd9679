"""The service on databases that were migrated: a SQLite file, and PostgreSQL with row-level security as a plain role."""

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.database import open_database
from perdure.migrations import histories
from tests.servers.postgres import of_services
from tests.unit.services.agents.conftest import opened


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path, took_part) -> str:
    return of_services(request, tmp_path, took_part, "agents")


@pytest.fixture
async def world(url, tmp_path):
    histories.migrate(url, "agents")
    clock = TestClock()
    database = open_database(url, "agents", clock=clock)
    async with opened(tmp_path / "engine", database, clock) as made:
        yield made
    await database.close()
