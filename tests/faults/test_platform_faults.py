"""Faults that hurt other platforms (`reliability.md` 4), each as a test of this one: F1, F3, F7, F12, F18 and F19.

F8 and F9 are with the schedules (`tests/unit/services/workflows/test_schedules.py`), F13 to F17 with the approvals.
"""

import asyncio
import functools
import json
from urllib.parse import quote

import pytest

from perdure.adapters import outbox
from perdure.adapters.clock import SystemClock
from perdure.adapters.database import open_database
from perdure.adapters.memory_bus import MemoryBus
from perdure.adapters.relay import Relay
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.errors import Conflict
from perdure.functions.approve import Approve
from perdure.functions.table import Table
from perdure.migrations import histories
from perdure.ports.database import Told
from perdure.services.workflows import events
from perdure.services.workflows.firing import LEASE
from perdure.services.workflows.inbox import Person, Verdict
from perdure.services.workflows.runs import Start
from perdure.services.workflows.schedules import Wanted
from tests.servers import postgres
from tests.servers.platform import platform
from tests.unit.services.workflows.conftest import SET, TENANT, World, world  # noqa: F401 - a fixture

ASK = "[{a: {call: approve, with: {title: 'May I?'}, output: {as: .data}}}, {b: {set: {said: '${ . }', by: 1}}}]"
ASK_LATER = "[{b: {set: {by: 2}}}]"
EVERY = {"workflow": "test.w", "kind": "every", "spec": {"minutes": 1}, "input": {"n": 1}}


async def test_f1_a_database_that_restarts_during_recovery(tmp_path, took_part):
    """A process that comes back catches up by itself, whatever its database does meanwhile."""
    with postgres.running() as server:
        took_part(f"PostgreSQL {server.version}, killed")
        url = server.database("recovery")
        histories.migrate(url, "workflows")
        clock = SystemClock()
        database = await asyncio.to_thread(open_database, url, "workflows", clock=clock)
        async with EmbeddedEngine(tmp_path, Table([Approve()]), clock=clock) as engine:
            before = World(clock, database, engine)
            await before.publish("w", SET)
            await before.service.schedules.create(
                TENANT, Wanted(**EVERY | {"spec": {"seconds": 1}, "overlap": "allow"})
            )
            back = before.another()
            await asyncio.to_thread(server.kill)
            recovering = [
                asyncio.create_task(work) for work in (back.definitions.restore(), back.firing.run(), back.inbox.run())
            ]
            await asyncio.sleep(0.5)
            assert not recovering[0].done()
            await asyncio.to_thread(server.start)
            assert await asyncio.wait_for(recovering[0], 30) == 1
            async with asyncio.timeout(30):
                while len(await engine.find(TENANT)) < 2:
                    await asyncio.sleep(0.05)
            for task in recovering:
                task.cancel()
            await asyncio.gather(*recovering, return_exceptions=True)
        await database.close()


class Gate:
    """A bus that holds events back until it is let."""

    def __init__(self, bus):
        self._bus = bus
        self.told = []
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def publish(self, exchange, event):
        self.reached.set()
        await self.open.wait()
        self.told.append(event["id"])
        await self._bus.publish(exchange, event)


async def test_f3_old_and_new_never_share_a_lease(world):  # noqa: F811
    """The process before still has events in its hands when the one that takes its place begins: each goes out once."""
    ids = [f"e{number}" for number in range(5)]

    def tell(tx):
        for id in ids:
            tx.tell(Told(type="dev.perdure.test.told.v1", subject=id, data={}, id=id))

    await world.database.write(TENANT, tell)
    clock = SystemClock()
    old, new = (Gate(MemoryBus(clock=clock)) for _ in range(2))
    new.open.set()
    first = Relay(world.database, old, "workflow.events", clock=clock, poll=0.01)
    await first.open()
    await asyncio.wait_for(old.reached.wait(), 10)
    leaving = asyncio.create_task(first.close())  # it claims nothing more, and has its hands full
    await asyncio.wait([first._task], timeout=10)
    second = Relay(world.database, new, "workflow.events", clock=clock, poll=0.01)
    await second.open()
    later = functools.partial(_tell_one, id="later")
    await world.database.write(TENANT, later)
    await asyncio.wait_for(new.reached.wait(), 10)
    old.open.set()
    await leaving
    await second.close()
    assert (sorted(old.told), new.told) == (ids, ["later"])
    assert await world.database.read("*", outbox.next_due) is None


def _tell_one(tx, *, id):
    tx.tell(Told(type="dev.perdure.test.told.v1", subject=id, data={}, id=id))


async def test_f7_a_slow_worker_that_finishes_late(world, monkeypatch):  # noqa: F811
    """Its lease has ended and another one has done the work: what it says then changes nothing."""
    await world.publish("w", SET)
    one = await world.service.schedules.create(TENANT, Wanted(**EVERY))
    slow = world.another()
    start, reached, gate = slow.runs.start, asyncio.Event(), asyncio.Event()

    async def slowly(*given):
        reached.set()
        await gate.wait()
        return await start(*given)

    monkeypatch.setattr(slow.runs, "start", slowly)
    world.clock.advance(61)
    sweeping = asyncio.create_task(slow.firing.sweep())
    await asyncio.wait_for(reached.wait(), 10)
    await world.fire(LEASE / 1000 + 1)
    assert len(await world.engine.find(TENANT)) == 1
    gate.set()
    await sweeping
    assert len(await world.engine.find(TENANT)) == 1
    assert [firing.state for firing in await world.service.schedules.firings(TENANT, one.id)] == ["started"]
    assert [event["type"] for event in await world.told()].count(events.SCHEDULE_FIRED) == 1


async def test_f18_a_definition_that_changes_while_runs_wait(world):  # noqa: F811
    """They stay on their version, and that version stays as it is."""
    await world.publish("w", ASK)
    run = (await world.service.runs.start(TENANT, Start(workflow="test.w"))).run
    while not (items := await world.service.inbox.find(TENANT)):
        for _, tenant, event in world.engine.outgoing(0):
            await world.service.listeners.take(tenant, event)
        await asyncio.sleep(0)
    with pytest.raises(Conflict, match="another content"):
        await world.publish("w", ASK_LATER)
    await world.publish("w", ASK_LATER, version="2.0.0")
    verdict = Verdict(hash=items[0].hash, data="yes")
    await world.service.inbox.decide(TENANT, Person(subject="ana"), items[0].id, verdict)
    for event in await world.told():
        if event["type"] in events.ANSWERING:
            await world.service.listeners.answered(event)
    assert (await world.settle(run)).output == {"said": "yes", "by": 1}
    newer = await world.service.runs.start(TENANT, Start(workflow="test.w"))
    assert (newer.version, (await world.settle(newer.run)).output) == ("2.0.0", {"by": 2})


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with platform(tmp_path_factory.mktemp("faults")) as found:
        yield found


def publish(served, name, version, tasks):
    text = f"document: {{dsl: 1.0.3, namespace: test, name: {name}, version: {version}}}\ndo: {tasks}\n"
    answer = served.ask("POST", "/api/v1/workflows", body=text.encode(), headers={"content-type": "application/yaml"})
    assert answer.status == 201, answer


def started(served, name, input=None):
    return served.ask("POST", f"/api/v1/workflows/test.{name}/runs", json={"input": input or {}}).json["id"]


def entries(served, run):
    """The whole stream of a run that ends."""
    answer = served.ask("GET", f"/api/v1/runs/{run}/stream")
    assert answer.status == 200, answer
    for block in answer.body.decode().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            yield fields.get("event", "message"), len(fields["data"]), json.loads(fields["data"])


def test_f12_an_oversized_stream_event(served, took_part):
    """It is in the stream by reference, and the stream goes on to its end."""
    took_part("perdure up")
    publish(served, "big", "1.0.0", "[{a: {set: '${ {text: (.text + .text)} }'}}, {b: {set: {small: true}}}]")
    run = started(served, "big", {"text": "x" * 1_000_000})
    found = list(entries(served, run))
    assert found[-1][0] == "end"
    assert max(size for _, size, _ in found) < 300_000
    cut = [entry for _, _, entry in found if (entry.get("data") or {}).get("truncated", 0) > 1_000_000]
    assert cut, "nothing was too big"
    for entry in cut:
        (whole,) = served.ask("GET", entry["data"]["whole"]).json["items"]
        assert whole["number"] == entry["number"]
        assert len(json.dumps(whole)) > 1_000_000


def test_f19_a_run_with_a_task_that_is_removed_since(served, took_part):
    """Everything that a page shows of it comes from the run's own version."""
    took_part("perdure up")
    broken = "{raise: {error: {type: 'https://x.example/broken', status: 500, title: broken}}}"
    publish(served, "page", "1.0.0", f"[{{kept: {{set: {{n: 1}}}}}}, {{removed: {broken}}}]")
    run = started(served, "page")
    list(entries(served, run))
    publish(served, "page", "2.0.0", "[{kept: {set: {n: 2}}}]")
    page = served.ask("GET", f"/api/v1/runs/{run}").json
    assert (page["version"], page["status"], page["error"]["instance"]) == ("1.0.0", "faulted", "/do/1/removed")
    shown = served.ask("GET", f"/api/v1/workflows/{page['workflow']}/versions/{page['version']}").json
    assert "removed" in json.dumps(shown)
    paths = {entry["path"] for entry in served.ask("GET", f"/api/v1/runs/{run}/history").json["items"]}
    assert "/do/1/removed" in paths
    for place in (f"/runs/{run}/tasks", f"/workflows/{page['workflow']}/complete", "/dashboard"):
        assert served.ask("GET", f"/api/v1{place}").status == 200, place
    again = served.ask("POST", f"/api/v1/runs/{quote(run)}/retry", json={"path": "/do/1/removed"})
    assert again.status == 200, again
