"""Runs: started once, found by what they hold, followed from where one was, and steered one by one or many at once."""

import asyncio

import pytest

from perdure.errors import Conflict, Invalid, NotFound, Unavailable
from perdure.ports.engine import Query
from perdure.services.workflows import runs
from perdure.services.workflows.runs import Start, Steer, Wish, parsed
from tests.unit.services.workflows.conftest import BY, HELD, SET, TENANT


async def begun(world, input=None, **more) -> str:
    made = await world.service.runs.start(TENANT, Start(workflow="test.w", input=input, **more))
    return made.run


async def test_start(world):
    await world.publish("w", SET)
    started = await world.service.runs.start(TENANT, Start(workflow="test.w", input={"n": 1}))
    assert (started.workflow, started.version) == ("test.w", "1.0.0")
    assert (await world.settle(started.run)).output == {"n": 1}
    with pytest.raises(NotFound, match="no workflow"):
        await world.service.runs.start(TENANT, Start(workflow="test.nobody"))
    with pytest.raises(NotFound, match="no version"):
        await begun(world, version="3.0.0")
    with pytest.raises(NotFound):
        await world.service.runs.start("other", Start(workflow="test.w"))


async def test_starting_a_known_workflow_asks_no_database(world):
    await world.publish("w", SET)
    await begun(world)
    await world.database.close()
    await world.settle(await begun(world))


async def test_the_same_key_is_the_same_run(world):
    await world.publish("w", SET)
    first = await begun(world, {"n": 1}, key="k")
    assert await begun(world, {"n": 1}, key="k") == first
    with pytest.raises(Conflict):
        await begun(world, {"n": 2}, key="k")
    await world.publish("w", SET + "", version="1.1.0", more="timeout: {after: {days: 1}}")
    again = await world.service.runs.start(TENANT, Start(workflow="test.w", input={"n": 1}, key="k"))
    assert again == (first, "test.w", "1.0.0")
    with pytest.raises(Conflict):
        await begun(world, {"n": 2}, key="k")
    assert await begun(world, {"n": 1}, key="other") != first
    assert len(await world.engine.find(TENANT)) == 2


async def test_nobody_waits_for_ever_until_a_run_is_durable(world, monkeypatch):
    await world.publish("w", SET)
    monkeypatch.setattr(runs, "START_SECONDS", 0.05)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(world.engine._worker.turns, "durable", asyncio.get_running_loop().create_future)
        with pytest.raises(Unavailable, match="not known yet"):
            await begun(world, {"n": 1}, key="k")
    assert (await world.settle(await begun(world, {"n": 1}, key="k"))).output == {"n": 1}
    assert len(await world.engine.find(TENANT)) == 1


async def test_an_id_of_ones_own(world):
    await world.publish("w", SET)
    await world.publish("v", SET)
    assert await begun(world, {"n": 1}, id="order-17") == "order-17"
    assert await begun(world, {"n": 1}, id="order-17") == "order-17"
    with pytest.raises(Conflict, match="another workflow"):
        await world.service.runs.start(TENANT, Start(workflow="test.v", input={"n": 1}, id="order-17"))
    for wrong in ("", "../x", "a b", "-a", "a" * 101, "a\x00"):
        if wrong:
            with pytest.raises(Invalid):
                await begun(world, id=wrong)


async def test_find_by_what_the_engine_knows(world):
    await world.publish("w", SET)
    await world.publish("held", HELD)
    ended = [await begun(world, {"n": n}) for n in range(3)]
    for run in ended:
        await world.settle(run)
    waiting = (await world.service.runs.start(TENANT, Start(workflow="test.held"))).run
    await world.until(waiting, "waiting")
    find = world.service.runs.find
    page = await find(TENANT, Wish(query=Query(statuses=("completed",))), limit=2)
    assert [run.id for run in page.runs] == ended[:0:-1]
    assert page.next == ended[1]
    page = await find(TENANT, Wish(query=Query(statuses=("completed",))), limit=2, before=page.next)
    assert ([run.id for run in page.runs], page.next) == (ended[:1], None)
    page = await find(TENANT, Wish(query=Query(statuses=("waiting", "running"), workflow="test.held")))
    assert [run.id for run in page.runs] == [waiting]
    with pytest.raises(NotFound):
        await find("other", Wish(), before=waiting)


async def test_find_by_values(world):
    await world.publish("w", SET)
    inputs = [{"n": 1, "order": {"id": "A-1"}}, {"n": "1", "tags": ["x", "y"]}, {"n": 2}, {"n": True}]
    runs = [await begun(world, input) for input in inputs]
    for run in runs:
        await world.settle(run)

    async def found(*, input=(), output=(), **more):
        wish = Wish(input=parsed(list(input), "input"), output=parsed(list(output), "output"))
        page = await world.service.runs.find(TENANT, wish, **more)
        return [runs.index(run.id) for run in page.runs]

    assert await found(input=["n=1"]) == [1, 0]
    assert await found(input=['n="1"']) == [1]
    assert await found(input=["order.id=A-1"]) == [0]
    assert await found(input=["tags.1=y"]) == [1]
    assert await found(input=["tags.7=y"]) == []
    assert await found(output=["n=2"]) == [2]
    assert await found(input=["n=true"], output=["n=true"]) == [3]
    assert await found(input=["missing=null"]) == []
    page = await world.service.runs.find(TENANT, Wish(input=(("n", 1),)), limit=1)
    assert page.next == runs[1]
    page = await world.service.runs.find(TENANT, Wish(input=(("n", 1),)), limit=1, before=page.next)
    assert [run.id for run in page.runs] == [runs[0]]
    with pytest.raises(Invalid, match="path=value"):
        parsed(["n"], "input")


async def test_a_search_is_bounded_and_goes_on(world, monkeypatch):
    monkeypatch.setattr("perdure.services.workflows.runs._STEP", 2)
    monkeypatch.setattr("perdure.services.workflows.runs.SCANNED", 4)
    await world.publish("w", SET)
    runs = [await begun(world, {"n": n}) for n in range(7)]
    for run in runs:
        await world.settle(run)
    wish = Wish(input=(("n", 0),))
    first = await world.service.runs.find(TENANT, wish)
    assert (first.runs, first.next) == ([], runs[3])
    second = await world.service.runs.find(TENANT, wish, before=first.next)
    assert ([run.id for run in second.runs], second.next) == ([runs[0]], None)


async def test_looking_at_a_run(world):
    await world.publish("w", "[{l: {listen: {to: {one: {with: {type: go}}}}}}, {a: {set: {n: 1}}}]")
    run = await begun(world)
    await world.until(run, "waiting")
    service = world.service.runs
    (task,) = await service.open_tasks(TENANT, run)
    assert (task.path, task.status, task.wait) == ("/do/0/l", "waiting", {"kind": "event", "types": ["go"]})
    before = await service.history(TENANT, run)
    seen = []

    async def follow():
        async for entry in service.follow(TENANT, run, after=before[-1].number):
            seen.append(entry)

    following = asyncio.ensure_future(follow())
    await world.engine.deliver(TENANT, {"specversion": "1.0", "id": "1", "source": "s", "type": "go"})
    await asyncio.wait_for(following, 10)
    whole = await service.history(TENANT, run)
    assert [entry.number for entry in seen] == [entry.number for entry in whole[len(before) :]]
    assert seen[-1].type == "workflow.completed.v1"
    assert await service.open_tasks(TENANT, run) == []
    assert await service.history(TENANT, run, after=2, limit=3) == whole[2:5]
    with pytest.raises(NotFound):
        await service.get("other", run)


async def test_steering(world):
    await world.publish("w", "[{a: {set: '${ .n }', if: '${ .n / 2 | . == 1 }'}}]")
    run = await begun(world, {"n": "x"})
    assert (await world.settle(run)).status == "faulted"
    service = world.service.runs
    await service.steer(TENANT, BY, "skip", run, Steer(output={"n": 7}, has_output=True))
    assert (await world.settle(run)).output == {"n": 7}
    with pytest.raises(Conflict):
        await service.steer(TENANT, BY, "cancel", run)
    await world.publish("held", HELD)
    held = (await service.start(TENANT, Start(workflow="test.held"))).run
    await world.until(held, "waiting")
    assert (await service.steer(TENANT, BY, "suspend", held)).status == "suspended"
    await service.steer(TENANT, BY, "resume", held)
    await service.steer(TENANT, BY, "cancel", held)
    assert (await world.settle(held)).status == "cancelled"
    verbs = [event["data"]["verb"] for event in (await world.told()) if event["type"] == "dev.perdure.runs.changed.v1"]
    assert verbs == ["skip", "suspend", "resume", "cancel"]


async def test_fork_with_another_input_or_version(world):
    await world.publish("w", SET)
    await world.publish("w", "[{a: {set: {n: '${ .n + 1 }'}}}]", version="1.1.0")
    run = await begun(world, {"n": 1}, version="1.0.0")
    await world.settle(run)
    other = await world.service.runs.fork(TENANT, BY, run, input={"n": 5})
    assert (other.version, (await world.settle(other.run)).output) == ("1.0.0", {"n": 5})
    newer = await world.service.runs.fork(TENANT, BY, run, version="1.1.0")
    assert (newer.version, (await world.settle(newer.run)).output) == ("1.1.0", {"n": 2})
    assert (await world.service.runs.get(TENANT, newer.run)).origin == run
    with pytest.raises(NotFound):
        await world.service.runs.fork("other", BY, run)
    with pytest.raises(Invalid, match="keeps the input"):
        await world.service.runs.fork(TENANT, BY, run, path="/do/0/a", input={"n": 5})


class LateEngine:
    """The engine, of which a run is seen as it was before a verb for two looks more: its workers are elsewhere."""

    def __init__(self, engine):
        self._engine = engine
        self._before = []

    def __getattr__(self, name):
        return getattr(self._engine, name)

    async def describe(self, tenant, run):
        return self._before.pop() if self._before else await self._engine.describe(tenant, run)

    async def suspend(self, tenant, run):
        self._before = [await self._engine.describe(tenant, run)] * 2
        await self._engine.suspend(tenant, run)

    async def resume(self, tenant, run):
        self._before = [await self._engine.describe(tenant, run)] * 2
        await self._engine.resume(tenant, run)

    async def cancel(self, tenant, run, *, compensate):
        self._before = [await self._engine.describe(tenant, run)] * 2
        await self._engine.cancel(tenant, run, compensate=compensate)


async def test_a_verb_answers_with_the_run_as_it_is_then(world):
    await world.publish("held", HELD)
    run = (await world.service.runs.start(TENANT, Start(workflow="test.held"))).run
    await world.until(run, "waiting")
    world.engine = LateEngine(world.engine)
    runs = world.another().runs
    for verb, status in (("suspend", "suspended"), ("resume", "waiting"), ("cancel", "cancelled")):
        steered = asyncio.ensure_future(runs.steer(TENANT, BY, verb, run))
        while not steered.done():
            await asyncio.sleep(0.001)
            world.clock.advance(0.1)
        assert steered.result().status == status
