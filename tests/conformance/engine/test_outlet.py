"""What runs on a Temporal server emit goes to the platform around its workers: in order, at least once, and only where there is
one. (The embedded engine: `tests/unit/engines/test_outgoing.py`.)
"""

import asyncio
import contextlib
import uuid

import pytest

pytest.importorskip("temporalio")

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.engines.temporal import exchange
from perdure.engines.temporal.connection import Address
from perdure.engines.temporal.engine import TemporalEngine
from perdure.engines.temporal.protocol import LOOK, Limits, exchange_id
from perdure.engines.temporal.worker import TemporalWorker
from perdure.errors import Invalid, Unavailable
from tests.conformance.engine.world import World, workflow

TENANT = "acme"
EMIT = "- e{0}: {{emit: {{event: {{with: {{source: 'https://a.example/', type: t.told, id: '${{ $workflow.input.name + \"{0}\" }}'}}}}}}}}"
RAISE = "- b: {raise: {error: {type: 'https://x.example/broken', status: 500, title: broken}}}"


class Outlet:
    """Takes events, or not."""

    def __init__(self):
        self.taken = []
        self.refusals = []
        self._news = asyncio.Event()

    async def take(self, tenant, event):
        if self.refusals:
            refusal = self.refusals.pop()
            self._news.set()
            raise refusal
        self.taken.append((tenant, event))
        self._news.set()

    @property
    def ids(self):
        return [event["id"] for _, event in self.taken]

    async def until(self, count):
        async with asyncio.timeout(20):
            while len(self.taken) < count:
                self._news.clear()
                await self._news.wait()


class Place:
    """An installation, with workers that come and go."""

    def __init__(self, target, folder):
        self.world = World()
        self._blobs = DirectoryBlobs(folder)
        self._target = target
        self.installation = f"test-{uuid.uuid4()}"
        self.outlet = Outlet()
        self.engine = self.another(has_outlet=True)

    def another(self, *, has_outlet):
        return TemporalEngine(
            Address(target=self._target), self.world, self._blobs, installation=self.installation,
            limits=Limits(heartbeat=2.0, redelivery=0.05), has_outlet=has_outlet,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def worker(self, outlet=None, queues=("workflows", "functions")):
        worker = TemporalWorker(
            self.engine.client, self.installation, self._blobs, self.world, clock=SystemClock(), outlet=outlet,
            queues=queues,
        )  # fmt: skip
        await worker.open()
        yield
        await worker.close()

    async def run(self, tasks, name, engine=None):
        chosen = engine or self.engine
        run = await chosen.start(TENANT, workflow(self.world, tasks), {"name": name})
        return run, await asyncio.wait_for(chosen.wait(TENANT, run), 20)

    async def look(self):
        return await self.engine.client.get_workflow_handle(exchange_id(self.installation, TENANT)).query(LOOK)


@pytest.fixture
async def place(tmp_path, temporal_server, took_part):
    took_part("Temporal server")
    made = Place(temporal_server.target, tmp_path)
    async with made.engine:
        yield made


async def test_in_order_and_again_after_a_refusal(place):
    place.outlet.refusals = [Unavailable("away"), Unavailable("away")]
    async with place.worker(place.outlet):
        _, end = await place.run("\n".join(EMIT.format(number) for number in range(5)), "a")
        assert end.status == "completed"
        await place.outlet.until(5)
    assert place.outlet.ids == [f"a{number}" for number in range(5)]
    assert {tenant for tenant, _ in place.outlet.taken} == {TENANT}


async def test_one_that_cannot_be_taken_holds_up_nobody(place, caplog):
    place.outlet.refusals = [Invalid("it is odd")]
    async with place.worker(place.outlet):
        await place.run("\n".join(EMIT.format(number) for number in range(2)), "a")
        await place.outlet.until(1)
    assert place.outlet.ids == ["a1"]
    assert "a0 of a run cannot be taken" in caplog.text


async def test_what_nobody_takes_now_is_taken_later(place, monkeypatch):
    """Workers without a platform lose nothing, also when the exchange goes on in a new execution meanwhile."""
    monkeypatch.setattr(exchange, "_LONG", 30)
    async with place.worker():
        for number in range(12):
            await place.run(EMIT.format(0), str(number))
        assert (await place.look())["outgoing"] == 12
        async with place.worker(place.outlet, queues=()):
            await place.outlet.until(12)
            assert set(place.outlet.ids) == {f"{number}0" for number in range(12)}
            async with asyncio.timeout(20):
                while (await place.look())["outgoing"]:
                    await asyncio.sleep(0.02)


async def test_what_nobody_takes_for_too_long_is_dropped_and_said(place, monkeypatch, caplog):
    monkeypatch.setattr(exchange, "_OUTGOING", 3)
    async with place.worker():
        for number in range(5):
            await place.run(EMIT.format(0), str(number))
        found = await place.look()
        assert (found["outgoing"], found["dropped"]) == (3, 2)
        assert "2 were dropped so far" in caplog.text
        async with place.worker(place.outlet, queues=()):
            await place.outlet.until(3)
            async with asyncio.timeout(20):
                while (await place.look())["outgoing"]:
                    await asyncio.sleep(0.02)
            await place.run(EMIT.format(0), "later")
            await place.outlet.until(4)
    assert place.outlet.ids == ["00", "10", "20", "later0"]


async def test_without_a_platform_nothing_piles_up(place):
    async with place.another(has_outlet=False) as plain, place.worker():
        _, end = await place.run(EMIT.format(0), "a", plain)
        assert end.status == "completed"
        found = await place.look()
    assert (found["events"], found["outgoing"]) == (1, 0)


async def test_faults_are_told_each_once(place):
    async with place.worker(place.outlet):
        run, end = await place.run(RAISE, "a")
        await place.outlet.until(1)
        await place.engine.retry(TENANT, run)
        await place.outlet.until(2)
        assert end.status == "faulted"
    first, second = (event for _, event in place.outlet.taken)
    assert first["type"] == second["type"] == "io.serverlessworkflow.workflow.faulted.v1"
    assert first["subject"] == run != first["id"] != second["id"]
    assert (first["data"]["error"]["title"], first["data"]["error"]["instance"]) == ("broken", "/do/0/b")


async def test_runs_below_belong_to_the_platform_too(place):
    await place.engine.publish(TENANT, workflow(place.world, EMIT.format(0), name="child"), {})
    async with place.worker(place.outlet):
        call = "- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0, input: {name: below}}}}"
        await place.run(call, "a")
        await place.outlet.until(1)
    assert place.outlet.ids == ["below0"]
