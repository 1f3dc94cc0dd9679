"""Schedules `on` events: one, any, all, until and correlation mean what they mean in a run."""

import asyncio
import json

import pytest

from perdure.errors import Invalid
from perdure.services.workflows.runs import Start
from perdure.services.workflows.schedules import Wanted
from tests.unit.services.workflows.conftest import SET, TENANT

ECHO = "[{a: {set: '${ {got: .} }'}}]"


def event(number: int, type="order.placed", **more):
    return {"specversion": "1.0", "id": str(number), "source": "shop", "type": type, "data": {"n": number}} | more


async def outputs(world):
    found = []
    for run in reversed(await world.engine.find(TENANT)):
        found.append((await world.settle(run.id)).output["got"])
    return found


async def test_one(world):
    await world.publish("w", ECHO, more="schedule: {on: {one: {with: {type: order.placed}}}}")
    for number in (1, 2, 2):
        await world.service.intake.take(TENANT, event(number))
    await world.service.intake.take(TENANT, event(3, "other"))
    await world.service.intake.take("other", event(4))
    await world.fire()
    assert await outputs(world) == [[{"n": 1}], [{"n": 2}]]


async def test_all_with_correlation_across_processes(world):
    strategy = "{all: [{with: {type: a}, correlate: {order: {from: .data.order}}}, {with: {type: b}, correlate: {order: {from: .data.order}}}]}"
    await world.publish("w", ECHO, more=f"schedule: {{on: {strategy}, read: envelope}}")
    second = world.another()
    await world.service.intake.take(TENANT, event(1, "a", data={"order": 7}))
    await second.intake.take(TENANT, event(2, "b", data={"order": 8}))
    await world.fire()
    assert await outputs(world) == []
    await second.intake.take(TENANT, event(3, "b", data={"order": 7}))
    await second.intake.take(TENANT, event(3, "b", data={"order": 7}))
    await world.fire()
    assert [[one["id"] for one in got] for got in await outputs(world)] == [["1", "3"]]
    await world.service.intake.take(TENANT, event(4, "a", data={"order": 9}))
    await world.service.intake.take(TENANT, event(5, "b", data={"order": 9}))
    await world.fire()
    assert len(await outputs(world)) == 2


async def test_any(world):
    await world.publish("w", ECHO, more="schedule: {on: {any: [{with: {type: a}}, {with: {type: b}}]}, read: raw}")
    await world.service.intake.take(TENANT, event(0, "a"))
    await world.service.intake.take(TENANT, event(1, "b"))
    await world.fire()
    assert await outputs(world) == [['{"n":0}'], ['{"n":1}']]
    await world.publish("every", ECHO, more="schedule: {on: {any: []}}")
    await world.service.intake.take(TENANT, event(2, "anything"))
    await world.fire()
    assert [{"n": 2}] in await outputs(world)


async def test_a_condition_that_fails_stays_outside_of_runs(world):
    await world.publish("w", ECHO, more="schedule: {on: {one: {with: {type: a, data: '${ .n }'}}}}")
    await world.service.intake.take(TENANT, event(1, "a"))
    await world.fire()
    assert await outputs(world) == []
    (one,) = await world.service.schedules.find(TENANT)
    (firing,) = await world.service.schedules.firings(TENANT, one.id)
    assert firing.state == "failed"
    assert "true or false" in firing.detail


async def test_what_runs_emit_starts_others_and_data_is_never_a_handle(world):
    await world.publish("w", ECHO, more="schedule: {on: {one: {with: {type: done}}}}")
    await world.publish("teller", "[{e: {emit: {event: {with: {type: done, data: '${ . }'}}}}}]")
    hostile = {"perdure:secret": ["x"], "$perdure": {"secret": ["x"]}}
    run = await world.engine.start(
        TENANT, (await world.service.definitions.version(TENANT, "test.teller")).document, hostile
    )
    await world.settle(run)
    while not world.engine.outgoing(0):  # on a Temporal server what a run emits leaves a moment after it has ended
        await asyncio.sleep(0.005)
    for _ in range(2):
        for _, tenant, one in world.engine.outgoing(0):
            await world.service.listeners.take(tenant, one)
    await world.fire()
    found = [await world.settle(one.id) for one in await world.engine.find(TENANT) if one.id != run]
    assert [one.output["got"] for one in found] == [[hostile]]


async def test_pausing_forgets_what_was_heard(world):
    await world.publish("w", ECHO)
    strategy = {"all": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]}
    one = await world.service.schedules.create(TENANT, Wanted(workflow="test.w", kind="on", spec=strategy))
    await world.service.intake.take(TENANT, event(1, "a"))
    await world.service.schedules.set_state(TENANT, one.id, "pause")
    await world.service.intake.take(TENANT, event(2, "b"))
    await world.service.schedules.set_state(TENANT, one.id, "resume")
    await world.service.intake.take(TENANT, event(3, "b"))
    await world.fire()
    assert await outputs(world) == []
    await world.service.intake.take(TENANT, event(4, "a"))
    await world.fire()
    assert await outputs(world) == [[{"n": 3}, {"n": 4}]]


@pytest.mark.parametrize("count", [30])
async def test_many_at_once_fire_each_once(world, count):
    import asyncio

    await world.publish("w", SET, more="schedule: {on: {one: {with: {type: a}}}}")
    (one,) = await world.service.schedules.find(TENANT)
    await world.service.schedules.change(TENANT, one.id, {"overlap": "allow"})
    second = world.another()
    events = [event(number, "a") for number in range(count)] * 2
    services = [world.service, second]
    await asyncio.gather(*(services[n % 2].triggers.take(TENANT, one) for n, one in enumerate(events)))
    await world.fire()
    assert len(await world.engine.find(TENANT)) == count


@pytest.mark.parametrize(
    "strategy",
    [
        {"one": {"with": {"type": "io.serverlessworkflow.workflow.completed.v1"}}},
        {"any": [{"with": {"type": "a"}}, {"with": {"type": '${ startswith("io.serverlessworkflow.") }'}}]},
        {"all": [{"with": {"type": "a"}}, {"with": {"type": "io.serverlessworkflow.task.started.v1"}}]},
    ],
)
async def test_what_no_schedule_hears_is_refused(world, strategy):
    """It would wait for ever: runs tell the platform of their faults alone."""
    await world.publish("w", ECHO)
    with pytest.raises(Invalid, match="No schedule hears of"):
        await world.service.schedules.create(TENANT, Wanted(workflow="test.w", kind="on", spec=strategy))
    with pytest.raises(Invalid, match="No schedule hears of"):
        await world.publish("v", ECHO, more=f"schedule: {{on: {json.dumps(strategy)}}}")
    assert [one.id for one in await world.service.definitions.find(TENANT)] == ["test.w"]


async def test_a_fault_begins_a_run(world):
    faulted = "io.serverlessworkflow.workflow.faulted.v1"
    await world.publish("broken", "[{a: {raise: {error: {type: urn:x, status: 500, title: no}}}}]")
    strategy = {"one": {"with": {"type": faulted, "source": "/test/broken/1.0.0"}}}
    await world.publish("w", ECHO, more=f"schedule: {{on: {json.dumps(strategy)}}}")
    run = (await world.service.runs.start(TENANT, Start(workflow="test.broken"))).run
    await world.settle(run)
    for _, tenant, told in world.engine.outgoing(0):
        await world.service.listeners.take(tenant, told)
    await world.fire()
    [begun] = [one for one in await world.engine.find(TENANT) if one.name == "w"]
    assert (await world.settle(begun.id)).output["got"][0]["error"]["title"] == "no"
