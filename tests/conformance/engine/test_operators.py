"""What a person does to a run: suspend, resume, cancel, retry, skip, fork."""

import pytest

from perdure.errors import Conflict, NotFound
from tests.conformance.engine.conftest import TENANT
from tests.conformance.engine.world import workflow

TWO = "- a: {call: held, with: {x: 1}}\n- b: {call: echo, with: {y: '${ .x }'}}"


async def test_a_suspended_run_starts_nothing_new(place):
    run = await place.begin(TWO)
    await place.world.arrived.wait()
    await place.engine.suspend(TENANT, run)
    place.world.gate.set()
    await place.reaches(run, "suspended")
    await place.reopen()
    await place.turn()
    assert place.world.calls["echo"] == 0
    await place.engine.resume(TENANT, run)
    assert (await place.end(run)).output == {"y": 1}
    assert place.world.calls["echo"] == 1


async def test_a_cancelled_run_gives_up_its_calls(place):
    run = await place.begin(TWO)
    await place.world.arrived.wait()
    await place.engine.cancel(TENANT, run)
    ended = await place.end(run)
    assert (ended.status, ended.output) == ("cancelled", None)
    place.world.gate.set()
    await place.turn()
    assert place.world.calls["echo"] == 0
    await place.calls_end()
    with pytest.raises(Conflict):
        await place.engine.cancel(TENANT, run)
    with pytest.raises(Conflict):
        await place.engine.retry(TENANT, run)


async def test_resume_of_a_run_that_goes_on_changes_nothing(place):
    run = await place.begin(TWO)
    await place.engine.resume(TENANT, run)
    place.world.gate.set()
    assert (await place.end(run)).output == {"y": 1}
    with pytest.raises(Conflict):
        await place.engine.resume(TENANT, run)


async def test_a_faulted_task_is_tried_again(place):
    place.world.failures = 1
    run = await place.begin(
        "- a: {call: echo, with: {x: 1}}\n- b: {call: flaky, with: {y: '${ .x }'}}\n- c: {call: echo, with: {z: '${ .y }'}}"
    )
    assert (await place.end(run)).status == "faulted"
    await place.reopen()
    await place.engine.retry(TENANT, run)
    ended = await place.end(run)
    assert (ended.status, ended.output, ended.error) == ("completed", {"z": 1}, None)
    assert place.world.calls == {"echo": 2, "flaky": 2}


async def test_a_faulted_task_is_skipped_with_an_output(place):
    run = await place.begin("- b: {call: broken, with: {}}\n- c: {call: echo, with: {z: '${ .y }'}}")
    assert (await place.end(run)).status == "faulted"
    await place.engine.skip(TENANT, run, output={"y": 7}, has_output=True)
    assert (await place.end(run)).output == {"z": 7}


async def test_a_patch_that_does_not_fit_is_refused_and_leaves_no_trace(place):
    run = await place.begin("- b: {call: broken, with: {}}")
    await place.end(run)
    before = await place.engine.history(TENANT, run)
    with pytest.raises(Conflict):
        await place.engine.retry(TENANT, run, "/do/7/nowhere")
    assert await place.engine.history(TENANT, run) == before
    assert (await place.engine.describe(TENANT, run)).status == "faulted"


async def test_a_fork_goes_on_from_a_step(place):
    place.world.gate.set()
    run = await place.begin(
        "- a: {call: echo, with: {n: '${ .n + 1 }'}}\n- b: {call: held, with: {n: '${ .n + 1 }'}}\n- c: {call: echo, with: {n: '${ .n + 1 }'}}",
        {"n": 0},
    )
    assert (await place.end(run)).output == {"n": 3}
    other = await place.engine.fork(TENANT, run, path="/do/1/b")
    assert other != run
    ended = await place.end(other)
    assert (ended.output, ended.origin) == ({"n": 3}, run)
    assert place.world.calls == {"echo": 3, "held": 2}
    await place.reopen()
    old, new = await place.engine.history(TENANT, run), await place.engine.history(TENANT, other)
    assert [(entry.type, entry.path) for entry in old] == [(entry.type, entry.path) for entry in new]
    with pytest.raises(NotFound):
        await place.engine.fork(TENANT, run, path="/do/9/z")


async def test_a_fork_from_the_beginning_takes_another_input(place):
    run = await place.begin("- a: {call: echo, with: {n: '${ .n + 1 }'}}", {"n": 0})
    await place.end(run)
    other = await place.engine.fork(TENANT, run, input={"n": 10})
    assert (await place.end(other)).output == {"n": 11}
    same = await place.engine.fork(TENANT, run)
    assert (await place.end(same)).output == {"n": 1}


async def test_a_fork_with_another_document(place):
    run = await place.begin("- a: {call: echo, with: {n: 1}}\n- b: {call: broken, with: {}}")
    assert (await place.end(run)).status == "faulted"
    mended = workflow(
        place.world, "- a: {call: echo, with: {n: 1}}\n- b: {call: echo, with: {m: '${ .n }'}}", version="2.0.0"
    )
    other = await place.engine.fork(TENANT, run, path="/do/1/b", document=mended)
    ended = await place.end(other)
    assert (ended.output, ended.version) == ({"m": 1}, "2.0.0")
    assert place.world.calls == {"echo": 2, "broken": 1}
    unfitting = workflow(place.world, "- b: {set: {m: 1}}", version="3.0.0")
    with pytest.raises(Conflict, match="does not fit"):
        await place.engine.fork(TENANT, run, path="/do/1/b", document=unfitting)


async def test_what_a_fork_emits_is_its_own_word(place):
    """A decision that it tells is none of its origin's, and a fork of a fork tells its own again."""
    decides = "{type: dev.perdure.approval.decided.v1, source: /x}"
    run = await place.begin(
        f"- a: {{call: echo, with: {{n: 1}}}}\n- b: {{call: echo, with: {{n: 2}}}}\n- c: {{emit: {{event: {{with: {decides}}}}}}}"
    )
    told = [(await place.end(run)).output]
    for path in (None, "/do/2/c", "/do/1/b"):
        run = await place.engine.fork(TENANT, run, path=path)
        told.append((await place.end(run)).output)
        assert told[-1]["perdurerun"] == run
    assert len({event["id"] for event in told}) == len({event["perdurerun"] for event in told}) == 4
    assert place.world.calls["echo"] == 2 + 2 + 0 + 1


async def test_a_changed_document_leaves_running_runs_alone(place):
    run = await place.begin(TWO)
    await place.world.arrived.wait()
    newer = workflow(place.world, "- a: {call: echo, with: {other: 1}}", version="1.0.1")
    await place.engine.publish(TENANT, newer, {})
    await place.reopen()
    place.world.gate.set()
    ended = await place.end(run)
    assert (ended.output, ended.version) == ({"y": 1}, "1.0.0")
