"""Events between runs and from outside: kept, matched, each once; children that answer their parents."""

import asyncio

import pytest

from perdure.errors import Conflict, Invalid
from perdure.ports.spending import MODELS, account
from tests.conformance.engine.conftest import TENANT
from tests.conformance.engine.world import event, workflow

LISTEN = "- l: {listen: {to: {one: {with: {type: go}}}}}\n- t: {call: echo, with: {got: '${ .[0] }'}}"
EMIT = "- e: {emit: {event: {with: {source: 'https://a.example/', type: go, data: {n: '${ .n }'}}}}}"


async def test_an_event_wakes_the_run_that_waits_for_it(place):
    run = await place.begin(LISTEN)
    await place.reaches(run, "waiting")
    assert await place.engine.deliver(TENANT, event("other", "1", data=0))
    assert await place.engine.deliver(TENANT, event("go", "2", data={"n": 5}))
    ended = await place.end(run)
    assert ended.output["got"] in ({"n": 5}, event("go", "2", data={"n": 5}))


async def test_an_event_counts_once(place):
    run = await place.begin("- l: {listen: {to: {any: [{with: {type: go}}], until: '${ length == 3 }'}}}")
    await place.reaches(run, "waiting")
    for id in ("1", "1", "2", "2", "1"):
        await place.engine.deliver(TENANT, event("go", id, data=id))
    assert not await place.engine.deliver(TENANT, event("go", "2", data="again"))
    await place.reopen()
    assert not await place.engine.deliver(TENANT, event("go", "1", data="again"))
    assert (await place.engine.describe(TENANT, run)).status == "waiting"
    await place.engine.deliver(TENANT, event("go", "3", data="3"))
    assert len((await place.end(run)).output) == 3


async def test_an_event_before_its_subscription_is_kept(place):
    run = await place.begin("- a: {call: held, with: {x: 1}}\n" + LISTEN)
    await place.world.arrived.wait()
    await place.engine.deliver(TENANT, event("go", "early", data={"n": 1}))
    await place.reopen()
    place.world.gate.set()
    assert (await place.end(run)).status == "completed"


async def test_an_event_from_before_the_run_counts_only_by_correlation(place):
    await place.engine.deliver(TENANT, event("go", "1", data={"order": 7}))
    plain = await place.begin(LISTEN)
    await place.reaches(plain, "waiting")
    await place.turn()
    assert (await place.engine.describe(TENANT, plain)).status == "waiting"
    correlated = await place.begin(
        "- l:\n    listen:\n      to:\n        one: {with: {type: go}, correlate: {order: {from: '${ .data.order }', expect: '${ .id }'}}}",
        {"id": 7},
    )
    assert (await place.end(correlated)).status == "completed"


async def test_runs_of_other_tenants_hear_nothing(place):
    run = await place.begin(LISTEN)
    await place.reaches(run, "waiting")
    assert await place.engine.deliver("other", event("go", "1", data=1))
    await place.turn()
    assert (await place.engine.describe(TENANT, run)).status == "waiting"
    assert await place.engine.deliver(TENANT, event("go", "1", data=1))
    await place.end(run)


async def test_one_run_emits_and_many_hear(place):
    listening = [await place.begin(LISTEN) for _ in range(5)]
    for run in listening:
        await place.reaches(run, "waiting")
    await place.reopen()
    await place.run(EMIT, {"n": 4})
    outputs = [(await place.end(run)).output["got"] for run in listening]
    assert all(output == outputs[0] for output in outputs)


async def test_a_run_hears_what_it_emitted_itself(place):
    run = await place.begin(EMIT + "\n" + LISTEN, {"n": 4})
    assert (await place.end(run)).status == "completed"


@pytest.mark.parametrize("missing", ["id", "source", "type"])
async def test_an_event_without_identity_is_refused(place, missing):
    given = event("go")
    del given[missing]
    with pytest.raises(Invalid, match=missing):
        await place.engine.deliver(TENANT, given)


async def test_a_child_answers_its_parent(place):
    child = workflow(place.world, "- c: {call: echo, with: {twice: '${ .n * 2 }'}}", name="child")
    await place.engine.publish(TENANT, child, {})
    run = await place.begin(
        "- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0, input: {n: '${ .n }'}}}}\n- t: {call: echo, with: {x: '${ .twice }'}}",
        {"n": 21},
    )
    assert (await place.end(run)).output == {"x": 42}
    assert len(await place.engine.find(TENANT)) == 2


async def test_a_child_survives_a_new_opening_and_is_started_once(place):
    child = workflow(place.world, "- c: {call: held, with: {a: 1}}", name="child")
    await place.engine.publish(TENANT, child, {})
    run = await place.begin("- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0}}}")
    await place.world.arrived.wait()
    await place.reopen()
    await place.reopen()
    place.world.gate.set()
    assert (await place.end(run)).output == {"a": 1}
    assert len(await place.engine.find(TENANT)) == 2


async def test_a_child_that_faults_faults_its_parent(place):
    child = workflow(place.world, "- c: {call: broken, with: {}}", name="child")
    await place.engine.publish(TENANT, child, {})
    run = await place.run("- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0}}}")
    assert run.status == "faulted"
    assert "this never works" in run.error["detail"]


async def test_a_child_that_is_not_there(place):
    run = await place.run("- r: {run: {workflow: {namespace: test, name: nobody, version: 1.0.0}}}")
    assert run.status == "faulted"
    assert "no published workflow" in run.error["detail"]


async def test_a_child_that_nobody_waits_for_runs_all_the_same(place):
    child = workflow(place.world, "- c: {call: echo, with: {a: 1}}", name="child")
    await place.engine.publish(TENANT, child, {})
    run = await place.run("- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0}, await: false}}")
    assert run.status == "completed"
    await place.reopen()
    runs = await place.engine.find(TENANT)
    assert len(runs) == 2
    for one in runs:
        await place.end(one.id)
    assert place.world.calls["echo"] == 1


async def test_children_and_forks_have_the_models_and_the_account_of_where_they_come_from(place):
    leaf = workflow(place.world, "- h: {call: held, with: {}}\n- p: {call: pinned, with: {}}", name="leaf")
    child = "- r: {run: {workflow: {namespace: test, name: leaf, version: 1.0.0}}}"
    top = "- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0}}}"
    await place.engine.publish(TENANT, leaf, {})
    await place.engine.publish(TENANT, workflow(place.world, child, name="child"), {})
    held = {MODELS: ["p/*"], **account(key="key_1", project="shop")}
    run = await place.engine.start(TENANT, workflow(place.world, top), {}, resources=held)
    await place.world.arrived.wait()
    await place.reopen()
    place.world.gate.set()
    assert (await place.end(run)).output == held
    assert (await place.end(await place.engine.fork(TENANT, run))).output == held
    assert (await place.run(top, name="free")).output == {}


async def test_cancelling_a_parent_cancels_its_child(place):
    child = workflow(place.world, "- c: {call: held, with: {a: 1}}", name="child")
    await place.engine.publish(TENANT, child, {})
    run = await place.begin("- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0}}}")
    await place.world.arrived.wait()
    await place.engine.cancel(TENANT, run)
    await place.end(run)
    for one in await place.engine.find(TENANT):
        assert (await place.end(one.id)).status == "cancelled"


async def test_a_workflow_that_starts_itself_ends(place):
    own = workflow(place.world, "- r: {run: {workflow: {namespace: test, name: own, version: 1.0.0}}}", name="own")
    await place.engine.publish(TENANT, own, {})
    run = await place.engine.start(TENANT, own, {})
    ended = await place.end(run)
    assert ended.status == "faulted"
    assert "levels deep" in ended.error["detail"]


async def test_a_published_version_does_not_change(place):
    first = workflow(place.world, "- c: {call: echo, with: {a: 1}}", name="child")
    hash = await place.engine.publish(TENANT, first, {})
    assert await place.engine.publish(TENANT, first, {}) == hash
    with pytest.raises(Conflict):
        await place.engine.publish(TENANT, workflow(place.world, "- c: {call: echo, with: {a: 2}}", name="child"), {})


async def test_a_crowd_of_listeners_and_events(place):
    runs = [
        await place.begin(
            "- l:\n    listen:\n      to:\n        one: {with: {type: go}, correlate: {n: {from: '${ .data.n }', expect: '${ .n }'}}}",
            {"n": n},
        )
        for n in range(50)
    ]
    await asyncio.gather(*(place.engine.deliver(TENANT, event("go", str(n), data={"n": n})) for n in range(50)))
    for run in runs:
        assert (await place.end(run)).status == "completed"
