"""The service on databases that were migrated: a SQLite file, and PostgreSQL with row-level security as a plain role."""

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.database import open_database
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.functions.agent import Agent
from perdure.functions.approve import Approve
from perdure.functions.table import Table
from perdure.migrations import histories
from tests.servers.postgres import of_services
from tests.unit.services.workflows.conftest import World


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path, took_part) -> str:
    return of_services(request, tmp_path, took_part, "workflows")


@pytest.fixture
async def world(url, tmp_path):
    histories.migrate(url, "workflows")
    clock = TestClock()
    database = open_database(url, "workflows", clock=clock)
    async with EmbeddedEngine(tmp_path / "engine", Table([Agent(), Approve()]), clock=clock) as engine:
        yield World(clock, database, engine)
    await database.close()
