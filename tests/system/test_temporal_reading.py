"""Runs on a Temporal server are found and read without any worker, while they run and afterwards, at any number."""

import asyncio
import uuid

import pytest

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.errors import NotFound
from perdure.ports.engine import Query
from tests.conformance.engine.world import World, event, workflow
from tests.servers.temporal import TemporalServer, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="temporalio is not installed")
TENANT = "acme"


class Desk:
    """An engine whose worker comes and goes."""

    def __init__(self, server: TemporalServer, folder, **limits) -> None:
        from perdure.engines.temporal.connection import Address
        from perdure.engines.temporal.engine import TemporalEngine
        from perdure.engines.temporal.protocol import Limits

        self.world = World()
        self.worker = None
        self.blobs = DirectoryBlobs(folder)
        self.installation = f"reading-{uuid.uuid4()}"
        self.engine = TemporalEngine(
            Address(target=server.target), self.world, self.blobs, installation=self.installation,
            limits=Limits(heartbeat=1.5, redelivery=0.1, **limits),
        )  # fmt: skip

    async def open_worker(self) -> None:
        from perdure.engines.temporal.worker import TemporalWorker

        self.worker = TemporalWorker(self.engine.client, self.installation, self.blobs, self.world, clock=SystemClock())
        await self.worker.open()

    async def close_worker(self) -> None:
        if self.worker is not None:
            await self.worker.close()
        self.worker = None

    async def reaches(self, run: str, status: str) -> None:
        for _ in range(500):
            if (await self.engine.describe(TENANT, run)).status == status:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{run} never became {status}")


@pytest.fixture
async def desk(temporal_server, tmp_path, took_part):
    took_part("Temporal server")
    made = Desk(temporal_server, tmp_path, calls=4)
    async with made.engine:
        yield made
        made.world.gate.set()
        await made.close_worker()


def told(entries):
    return [(entry.number, entry.type, entry.path) for entry in entries]


async def test_runs_are_read_without_a_worker(desk):
    engine = desk.engine
    await desk.open_worker()
    loop = "- l:\n    for: {each: i, in: '${ [range(10)] }'}\n    do: [{s: {call: echo, with: {i: '${ $i }'}}}]"
    waits = f"{loop}\n- hear: {{listen: {{to: {{one: {{with: {{type: go}}}}}}}}}}"
    ended = await engine.start(TENANT, workflow(desk.world, loop), {})
    faulted = await engine.start(TENANT, workflow(desk.world, "- b: {call: broken, with: {}}"), {})
    waiting = await engine.start(TENANT, workflow(desk.world, waits), {"a": 1})
    await engine.wait(TENANT, ended)
    await engine.wait(TENANT, faulted)
    await desk.reaches(waiting, "waiting")
    before = [await engine.history(TENANT, run) for run in (ended, faulted, waiting)]
    await desk.close_worker()

    after = [await engine.history(TENANT, run) for run in (ended, faulted, waiting)]
    assert after == before
    assert sum(entry.type == "task.completed.v1" and entry.path.endswith("/s") for entry in after[2]) == 10
    assert told([entry async for entry in engine.watch(TENANT, ended)]) == told(before[0])
    assert (await engine.describe(TENANT, waiting)).status == "waiting"
    assert (await engine.describe(TENANT, faulted)).error["title"]
    assert [run.status for run in await engine.find(TENANT)] == ["waiting", "faulted", "completed"]

    await desk.open_worker()
    await engine.deliver(TENANT, event("go"))
    assert (await engine.wait(TENANT, waiting)).status == "completed"
    history = await engine.history(TENANT, waiting)
    assert told(history)[: len(before[2])] == told(before[2])


async def test_who_watches_sees_a_run_go_on_while_workers_come_and_go(desk):
    engine = desk.engine
    run = await engine.start(
        TENANT, workflow(desk.world, "- h: {call: held, with: {}}\n- e: {call: echo, with: {}}"), {}
    )
    assert await engine.history(TENANT, run) != []  # the machine's first step, which no worker has made yet
    seen = []

    async def watch() -> None:
        seen.extend([entry async for entry in engine.watch(TENANT, run)])

    watching = asyncio.create_task(watch())
    await desk.open_worker()
    await desk.world.arrived.wait()
    await desk.close_worker()
    await desk.open_worker()
    desk.world.gate.set()
    assert (await asyncio.wait_for(engine.wait(TENANT, run), 30)).status == "completed"
    await asyncio.wait_for(watching, 10)
    assert told(seen) == told(await engine.history(TENANT, run))


async def test_what_a_long_call_reports_is_seen_while_it_runs(desk):
    engine = desk.engine
    await desk.open_worker()
    run = await engine.start(TENANT, workflow(desk.world, "- r: {call: reporting, with: {}}"), {})
    async with asyncio.timeout(20):
        async for entry in engine.watch(TENANT, run):
            if entry.type == "progress":
                break
    assert (entry.number, entry.path, entry.data) == (0, "/do/0/r", {"half": True})
    assert (await engine.describe(TENANT, run)).status in {"running", "waiting"}
    desk.world.gate.set()
    assert (await engine.wait(TENANT, run)).status == "completed"
    await desk.close_worker()


async def test_an_old_page_costs_no_more_than_a_new_one(desk):
    engine = desk.engine
    document = workflow(desk.world, "- e: {call: echo, with: {}}", name="many")
    runs = [f"run-{number:04}" for number in range(700)]
    for start in range(0, 700, 50):
        await asyncio.gather(*(engine.start(TENANT, document, {}, run=run) for run in runs[start : start + 50]))
    other = await engine.start(TENANT, workflow(desk.world, "- e: {call: echo, with: {}}", name="other"), {})
    while len(await engine.find(TENANT, Query(workflow="other"))) < 1 or await desk_count(engine) < 701:
        await asyncio.sleep(0.05)
    engine._recent.clear()  # as in a process that started none of them
    fetched = Counting(engine)
    seen, before = [], None
    while page := await engine.find(TENANT, limit=20, before=before):
        seen += [run.id for run in page]
        before = seen[-1]
        if len(seen) >= 100:
            break
    assert seen[0] == other
    assert len(set(seen)) == len(seen) == 100
    assert fetched.rows < 5 * (20 + 500)
    assert [run.id for run in await engine.find(TENANT, Query(workflow="other"))] == [other]
    assert [run.id for run in await engine.find(TENANT, Query(workflow="test.other", version="1.0.0"))] == [other]
    assert await engine.find(TENANT, Query(statuses=("faulted", "cancelled"))) == []
    assert await engine.find(TENANT, Query(workflow='x" OR WorkflowType != "')) == []
    assert await engine.find('acme" OR PerdureTenant != "') == []
    with pytest.raises(NotFound):
        await engine.find(TENANT, before="nobody")


async def desk_count(engine) -> int:
    return await engine._finder._count(engine._finder._meant(TENANT, Query()))


class Counting:
    """Counts the rows that the server lists."""

    def __init__(self, engine) -> None:
        self.rows = 0
        self._list = engine._client.list_workflows
        engine._client.list_workflows = self.list

    async def list(self, query: str):
        async for row in self._list(query):
            self.rows += 1
            yield row


async def test_runs_over_several_executions_are_found_by_when_they_began(desk):
    engine = desk.engine
    await desk.open_worker()
    loop = "- l:\n    for: {each: i, in: '${ [range(12)] }'}\n    do: [{s: {call: echo, with: {i: '${ $i }'}}}]"
    runs = []
    for _ in range(3):
        run = await engine.start(TENANT, workflow(desk.world, loop), {})
        runs.insert(0, run)
        await engine.wait(TENANT, run)
    await desk.close_worker()
    engine._recent.clear()
    while len(await engine.find(TENANT, Query(statuses=("completed",)))) < 3:
        await asyncio.sleep(0.05)
    pages, before = [], None
    for _ in runs:
        (page,) = await engine.find(TENANT, limit=1, before=before)
        pages.append(page.id)
        before = page.id
    assert pages == runs
    assert await engine.find(TENANT, limit=1, before=before) == []
