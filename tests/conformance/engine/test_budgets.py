"""A step that a budget refuses waits where it stands: on every engine in the same way, with the same history."""

import asyncio

from perdure.interpreter.budget_hold import BUDGET, SETTLED
from tests.conformance.engine.conftest import TENANT
from tests.conformance.engine.world import event

PAID = "- a: {call: paid, with: {x: 1}}"
TWO = """
- both:
    fork:
      branches:
        - paid: {call: paid, with: {x: 1}}
        - other: {do: [{one: {call: echo, with: {y: 1}}}, {two: {call: echo, with: {y: 2}}}]}
"""
SAGA = """
- order:
    metadata: {saga: true}
    do:
      - charge: {call: echo, with: {n: 1}, metadata: {compensate: {call: noop, with: {}}}}
      - ask: {call: paid, with: {x: 1}}
"""


def settled(outcome="lifted", question="mark_1", **more):
    data = {"budget": "bud_1", "outcome": outcome, "by": "ana"}
    return event(SETTLED, f"{question}-settled", subject=question, data=data, **more)


async def held(place, tasks=PAID, hold=None):
    place.world.gate.set()
    place.world.refusals = [{"question": "mark_1"} if hold is None else hold]
    run = await place.begin(tasks)
    await place.reaches(run, "waiting")
    return run


async def test_a_held_step_makes_the_same_call_again_when_its_budget_is_lifted(place):
    run = await held(place)
    await place.reopen()
    await place.turn()
    assert (await place.engine.describe(TENANT, run)).status == "waiting"
    assert place.world.calls["paid"] == 1
    await place.engine.deliver(TENANT, settled("refused", "mark_2"))
    await place.engine.deliver(TENANT, settled())
    assert (await place.end(run)).output == {"x": 1}
    assert list(place.world.keys.values()) == [2]
    told = [(entry.type, entry.data.get("status")) for entry in await place.engine.history(TENANT, run)]
    assert told == [
        ("workflow.started.v1", None), ("task.created.v1", None), ("task.started.v1", None),
        ("task.status-changed.v1", "waiting"), ("task.status-changed.v1", "running"), ("task.completed.v1", None),
        ("workflow.completed.v1", None),
    ]  # fmt: skip


async def test_a_lift_before_the_subscription_is_not_lost(place):
    place.world.refusals = [{"question": "mark_1"}]
    run = await place.begin(PAID)
    await place.world.arrived.wait()
    await place.engine.deliver(TENANT, settled())
    place.world.gate.set()
    assert (await place.end(run)).output == {"x": 1}


async def test_a_refusal_faults_the_step(place):
    run = await held(place)
    await place.engine.deliver(TENANT, settled("refused"))
    ended = await place.end(run)
    assert ended.error == {
        "type": BUDGET, "status": 429, "title": "budget used up", "detail": "It is used up.", "budget": "bud_1",
        "instance": "/do/0/a",
    }  # fmt: skip
    assert place.world.calls["paid"] == 1


async def test_no_run_can_lift_or_refuse(place):
    run = await held(place)
    forged = f"{{type: {SETTLED}, subject: mark_1, data: {{outcome: refused}}}}"
    await place.run(f"- e: {{emit: {{event: {{with: {forged}}}}}}}", name="forger")
    await place.turn()
    assert (await place.engine.describe(TENANT, run)).status == "waiting"
    await place.engine.deliver(TENANT, settled())
    assert (await place.end(run)).status == "completed"


async def test_a_new_period_lets_it_go_on(place):
    run = await held(place, hold={"question": "mark_1", "until": place.clock.now() + 300})
    assert (await place.end(run)).output == {"x": 1}


async def test_the_other_branch_goes_on_and_nothing_is_undone(place):
    run = await held(place, TWO)
    assert place.world.calls["echo"] == 2
    await place.engine.deliver(TENANT, settled())
    assert (await place.end(run)).output == [{"x": 1}, {"y": 2}]
    run = await held(place, SAGA, {"question": "mark_3"})
    assert place.world.calls["noop"] == 0
    await place.engine.deliver(TENANT, settled("refused", "mark_3"))
    assert (await place.end(run)).status == "faulted"
    assert place.world.calls["noop"] == 1


async def test_a_held_run_can_be_steered(place):
    suspended, cancelled, skipped = [await held(place) for _ in range(3)]
    await place.engine.suspend(TENANT, suspended)
    await place.reaches(suspended, "suspended")
    await place.engine.cancel(TENANT, cancelled)
    assert (await place.end(cancelled)).status == "cancelled"
    await place.engine.skip(TENANT, skipped, "/do/0/a", output=5, has_output=True)
    assert (await place.end(skipped)).output == 5
    await place.engine.deliver(TENANT, settled())
    await place.turn()
    assert (await place.engine.describe(TENANT, suspended)).status == "suspended"
    await place.engine.resume(TENANT, suspended)
    assert (await place.end(suspended)).output == {"x": 1}


async def test_many_runs_wait_for_one_answer(place):
    place.world.gate.set()
    place.world.refusals = [{"question": "mark_1"}] * 20
    runs = [await place.begin(PAID) for _ in range(20)]
    for run in runs:
        await place.reaches(run, "waiting")
    await place.engine.deliver(TENANT, settled())
    ended = await asyncio.gather(*(place.end(run) for run in runs))
    assert {run.status for run in ended} == {"completed"}
