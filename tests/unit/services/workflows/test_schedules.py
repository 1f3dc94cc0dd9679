"""Schedules from documents and by the API, with their policies; fired once, whoever and however many do it."""

import asyncio

import pytest

from perdure.errors import Conflict, Invalid, NotFound, Unavailable
from perdure.services.workflows.firing import LEASE
from perdure.services.workflows.schedules import Wanted
from tests.unit.services.workflows.conftest import BY, HELD, SET, TENANT

MINUTE = 60.0


async def made(world, **more):
    wanted = {"workflow": "test.w", "kind": "every", "spec": {"minutes": 1}, "input": {"n": 1}} | more
    return await world.service.schedules.create(TENANT, Wanted(**wanted))


async def states(world, id):
    found = await world.service.schedules.firings(TENANT, id)
    return [firing.state for firing in reversed(found)]


async def runs(world):
    return list(reversed(await world.engine.find(TENANT)))


async def test_every(world):
    await world.publish("w", SET)
    one = await made(world)
    await world.fire(59)
    assert await runs(world) == []
    await world.fire(2)
    (run,) = await runs(world)
    assert (await world.settle(run.id)).output == {"n": 1}
    await world.fire(MINUTE)
    await world.fire(MINUTE)
    assert await states(world, one.id) == ["started"] * 3
    assert (await world.service.schedules.get(TENANT, one.id)).last_run == (await runs(world))[-1].id
    told = [event for event in (await world.told()) if event["type"] == "dev.perdure.schedule.fired.v1"]
    assert [event["data"]["run"] for event in told] == [run.id for run in await runs(world)]


async def test_two_workers_never_start_one_firing_twice(world):
    await world.publish("w", SET)
    one = await made(world, overlap="allow")
    second = world.another()
    for _ in range(10):
        world.clock.advance(MINUTE)
        await asyncio.gather(world.service.firing.sweep(), second.firing.sweep(), world.service.firing.sweep())
    await world.fire()
    assert len(await runs(world)) == 10
    assert await states(world, one.id) == ["started"] * 10


async def test_a_worker_that_dies_in_between(world, monkeypatch):
    """The run was started and nobody wrote that down: it is not started again."""
    await world.publish("w", SET)
    one = await made(world)
    dying = world.another()
    start = dying.runs.start

    async def dies(*given):
        await start(*given)
        raise asyncio.CancelledError

    monkeypatch.setattr(dying.runs, "start", dies)
    world.clock.advance(61)
    with pytest.raises(asyncio.CancelledError):
        await dying.firing.sweep()
    await world.fire()
    assert await states(world, one.id) == ["open"]
    await world.service.schedules.change(TENANT, one.id, {"input": {"n": 1}})
    await world.publish("w", SET, version="1.1.0", more="timeout: {after: {days: 1}}")
    await world.fire(LEASE / 1000 + 1)
    assert (await states(world, one.id))[0] == "started"
    assert [run.version for run in await runs(world)][:1] == ["1.0.0"]


async def test_a_database_error_keeps_the_next_firing(world, monkeypatch):
    """F8: a schedule is armed again after the database was away."""
    await world.publish("w", SET)
    await made(world)
    write = world.database.write

    def refuses(tenant, work):
        raise Unavailable("The database cannot be reached.")

    looping = asyncio.ensure_future(world.service.firing.run())
    monkeypatch.setattr(world.database, "write", refuses)
    for _ in range(3):
        world.clock.advance(MINUTE)
        await asyncio.sleep(0.02)
    monkeypatch.setattr(world.database, "write", write)
    for _ in range(200):
        world.clock.advance(0.5)
        await asyncio.sleep(0.005)
        if len(await runs(world)) >= 2:
            break
    looping.cancel()
    assert len(await runs(world)) >= 2


async def test_an_engine_that_is_away_is_tried_again(world, monkeypatch):
    await world.publish("w", SET)
    one = await made(world)
    start = world.service.runs.start

    async def away(*given):
        raise Unavailable("The engine cannot be reached.")

    monkeypatch.setattr(world.service.runs, "start", away)
    world.clock.advance(61)
    await world.service.firing.sweep()
    (firing,) = await world.service.schedules.firings(TENANT, one.id)
    assert (firing.state, firing.detail) == ("open", "The engine cannot be reached.")
    monkeypatch.setattr(world.service.runs, "start", start)
    await world.fire(6)
    assert await states(world, one.id) == ["started"]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", ["started", "skipped", "skipped"]),
        ("queue", ["started", "queued", "skipped"]),
        ("allow", ["started", "started", "started"]),
        ("cancel", ["started", "started", "started"]),
    ],
)
async def test_a_run_longer_than_the_interval(world, overlap, expected):
    """F9: what happens then is what the policy says."""
    await world.publish("w", HELD)
    one = await made(world, overlap=overlap)
    for _ in range(3):
        await world.fire(MINUTE)
        (*_, newest) = await runs(world)
        await world.until(newest.id, "waiting")
    assert await states(world, one.id) == expected
    found = [run.status for run in await runs(world)]
    assert found == {"allow": ["waiting"] * 3, "cancel": ["cancelled"] * 2 + ["waiting"]}.get(overlap, ["waiting"])


async def test_a_queued_firing_starts_after_the_run_before(world):
    await world.publish("w", HELD)
    one = await made(world, overlap="queue")
    await world.fire(MINUTE)
    (first,) = await runs(world)
    await world.until(first.id, "waiting")
    await world.fire(MINUTE)
    await world.fire(10)
    assert await states(world, one.id) == ["started", "queued"]
    await world.engine.cancel(TENANT, first.id)
    await world.settle(first.id)
    await world.fire(16)
    assert await states(world, one.id) == ["started", "started"]


@pytest.mark.parametrize(("catch_up", "count"), [("none", 0), ("last", 1), ("all", 10)])
async def test_what_was_missed(world, catch_up, count):
    await world.publish("w", SET)
    one = await made(world, kind="every", spec={"hours": 1}, overlap="allow", catch_up=catch_up)
    await world.fire(10 * 3600 + 600)
    assert len(await runs(world)) == count
    assert (await world.service.schedules.get(TENANT, one.id)).due == one.created + 11 * 3_600_000
    if catch_up == "last":
        (firing,) = await world.service.schedules.firings(TENANT, one.id)
        assert firing.missed == 9


async def test_after_follows_its_run(world):
    await world.publish("w", HELD)
    one = await made(world, kind="after", spec={"minutes": 5})
    await world.fire()
    (first,) = await runs(world)
    await world.until(first.id, "waiting")
    await world.fire(3600)
    assert len(await runs(world)) == 1
    await world.engine.cancel(TENANT, first.id)
    ended = (await world.settle(first.id)).ended
    await world.fire(20)
    assert (await world.service.schedules.get(TENANT, one.id)).due == ended + 300_000
    await world.fire(300)
    assert len(await runs(world)) == 2


async def test_after_goes_on_when_a_run_could_not_start(world):
    await world.publish("w", SET, more="input: {schema: {document: {type: object, required: [must]}}}")
    one = await made(world, kind="after", spec={"seconds": 1}, version="1.0.0", input={"n": 1})
    await world.service.definitions.change(TENANT, BY, "test.w", "disable")
    assert (await world.service.schedules.get(TENANT, one.id)).due is None
    await world.service.definitions.change(TENANT, BY, "test.w", "enable")
    await world.fire(1)
    assert (await states(world, one.id))[0] == "started"
    assert (await world.settle((await runs(world))[0].id)).status == "faulted"


async def test_schedules_of_documents(world):
    await world.publish("w", SET, more="schedule: {cron: '0 0 * * *'}")
    (one,) = await world.service.schedules.find(TENANT)
    assert (one.kind, one.spec, one.of_document) == ("cron", "0 0 * * *", True)
    changed = await world.service.schedules.change(TENANT, one.id, {"zone": "Asia/Tokyo", "overlap": "allow"})
    assert changed.due != one.due
    with pytest.raises(Conflict, match="stands in the document"):
        await world.service.schedules.change(TENANT, one.id, {"spec": "1 1 * * *"})
    with pytest.raises(Conflict):
        await world.service.schedules.delete(TENANT, one.id)
    await world.publish("w", SET, version="1.1.0", more="schedule: {cron: '0 0 * * *'}")
    assert await world.service.schedules.find(TENANT) == [changed]
    await world.publish("w", SET, version="1.2.0", more="schedule: {every: {minutes: 5}}")
    (other,) = await world.service.schedules.find(TENANT)
    assert (other.id, other.kind, other.spec, other.zone) == (one.id, "every", 300_000, "Asia/Tokyo")
    await world.publish("w", SET, version="1.0.5")
    assert await world.service.schedules.find(TENANT) == [other]
    await world.publish("w", SET, version="2.0.0")
    assert await world.service.schedules.find(TENANT) == []
    await world.publish("fast", SET, version="1.0.0", more="schedule: {every: {seconds: 30}}")
    with pytest.raises(Invalid, match="once a second"):
        await world.publish("fast", SET, version="2.0.0", more="schedule: {every: {milliseconds: 3}}")
    assert (await world.service.definitions.get(TENANT, "test.fast")).default == "1.0.0"


async def test_a_disabled_workflow_holds_its_schedules(world):
    await world.publish("w", SET)
    one = await made(world, kind="cron", spec="* * * * *")
    await world.service.definitions.change(TENANT, BY, "test.w", "disable")
    await world.fire(600)
    assert await runs(world) == []
    with pytest.raises(Conflict):
        await world.service.schedules.fire(TENANT, one.id)
    await world.service.definitions.change(TENANT, BY, "test.w", "enable")
    await world.fire(MINUTE)
    assert len(await runs(world)) == 1


async def test_pause_resume_fire_and_delete(world):
    await world.publish("w", SET)
    one = await made(world, overlap="allow")
    paused = await world.service.schedules.set_state(TENANT, one.id, "pause")
    assert (paused.state, paused.due) == ("paused", None)
    assert await world.service.schedules.set_state(TENANT, one.id, "pause") == paused
    await world.fire(600)
    assert await runs(world) == []
    await world.service.schedules.fire(TENANT, one.id, input={"n": 9})
    await world.service.schedules.fire(TENANT, one.id)
    await world.fire()
    assert [(await world.settle(run.id)).output for run in await runs(world)] == [{"n": 9}, {"n": 1}]
    await world.service.schedules.set_state(TENANT, one.id, "resume")
    await world.fire(MINUTE)
    assert len(await runs(world)) == 3
    page = await world.service.schedules.firings(TENANT, one.id, limit=2)
    rest = await world.service.schedules.firings(TENANT, one.id, before=page[-1].due)
    assert [len(page), len(rest)] == [2, 1]
    await world.service.schedules.delete(TENANT, one.id)
    await world.fire(600)
    assert len(await runs(world)) == 3
    with pytest.raises(NotFound):
        await world.service.schedules.get(TENANT, one.id)


async def test_tenants_do_not_see_one_another(world):
    await world.publish("w", SET)
    one = await made(world)
    schedules = world.service.schedules
    for call in (
        schedules.get("other", one.id),
        schedules.firings("other", one.id),
        schedules.fire("other", one.id),
        schedules.delete("other", one.id),
        schedules.set_state("other", one.id, "pause"),
        schedules.change("other", one.id, {"input": 1}),
        schedules.create("other", Wanted(workflow="test.w", kind="every", spec="PT1M")),
    ):
        with pytest.raises(NotFound):
            await call
    assert await schedules.find("other") == []


async def test_what_cannot_be_a_schedule(world):
    await world.publish("w", SET)
    for more in (
        {"zone": "Mars/Base"},
        {"spec": "PT0.1S"},
        {"window": 10**12},
        {"kind": "on", "spec": {"any": 1}},
        {"kind": "on", "spec": {"one": {"with": {}}}},
    ):
        with pytest.raises(Invalid):
            await made(world, **more)
    with pytest.raises(NotFound):
        await made(world, version="9.0.0")


async def test_old_firings_are_forgotten(world):
    await world.publish("w", SET)
    one = await made(world, kind="cron", spec="0 0 1 * *", overlap="allow")
    await world.fire(40 * 86_400)
    assert await states(world, one.id) == ["started"]
    await world.fire(40 * 86_400)
    assert await states(world, one.id) == ["started"]
