"""Approvals, triggers and repairs once more on a Temporal server: what its runs emit reaches the service by the outlet."""

import asyncio
import uuid

import pytest

pytest.importorskip("temporalio")

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock, TestClock
from perdure.adapters.database import open_database
from perdure.engines.temporal.connection import Address
from perdure.engines.temporal.engine import TemporalEngine
from perdure.engines.temporal.protocol import Limits
from perdure.engines.temporal.worker import TemporalWorker
from perdure.functions.agent import Agent
from perdure.functions.approve import Approve
from perdure.functions.table import Table
from perdure.services.workflows.store import metadata
from tests.unit.services.workflows import test_approvals, test_repairs, test_triggers
from tests.unit.services.workflows.conftest import World

FAULTED = "io.serverlessworkflow.workflow.faulted.v1"


class Told:
    """The engine, and what left it in the shape that the embedded one has."""

    def __init__(self, engine):
        self._engine = engine
        self._told = []
        self._faults = set()
        self.news = asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._engine, name)

    async def take(self, tenant, event):
        self._told.append((len(self._told) + 1, tenant, event))
        self.news.set()

    def outgoing(self, after, limit=100):
        return self._told[after : after + limit]

    async def start(self, tenant, *values, **more):
        """A run is begun only when it is listed, too."""
        run = await self._engine.start(tenant, *values, **more)
        while not any(one.id == run for one in await self._engine.find(tenant)):
            await asyncio.sleep(0.005)
        return run

    async def wait(self, tenant, run):
        """A fault is here only when it is told, too."""
        found = await self._engine.wait(tenant, run)
        if found.status == "faulted":
            self._faults.add((run, found.ended))
            wanted = len([one for one in self._faults if one[0] == run])
            while self.faults_of(run) < wanted:
                self.news.clear()
                await self.news.wait()
        return found

    def faults_of(self, run):
        return len({event["id"] for _, _, event in self._told if (event["type"], event["subject"]) == (FAULTED, run)})


@pytest.fixture
async def world(tmp_path, temporal_server, took_part):
    took_part("Temporal server")
    clock, table, blobs = TestClock(), Table([Agent(), Approve()]), DirectoryBlobs(tmp_path)
    database = open_database("sqlite://", "workflows", metadata, clock=clock)
    installation = f"test-{uuid.uuid4()}"
    engine = TemporalEngine(
        Address(target=temporal_server.target), table, blobs, installation=installation,
        limits=Limits(heartbeat=2.0, redelivery=0.05), has_outlet=True,
    )  # fmt: skip
    async with engine:
        told = Told(engine)
        worker = TemporalWorker(engine.client, installation, blobs, table, clock=SystemClock(), outlet=told)
        await worker.open()
        yield World(clock, database, told)
        await worker.close()
    await database.close()


for _suite in (test_approvals, test_repairs, test_triggers):
    _topic = _suite.__name__.rpartition(".")[2]
    for _name, _test in list(vars(_suite).items()):
        if _name.startswith("test_") and "world" in _test.__code__.co_varnames:
            globals()[f"{_topic}_{_name.removeprefix('test_')}"] = _test
