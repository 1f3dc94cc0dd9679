"""Faults that hurt other engines (`reliability.md` 4), each as a test of this one. Those of the platform:
`test_platform_faults.py`.
"""

import asyncio
import subprocess
import sys

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from perdure.errors import Conflict
from perdure.interpreter.events import CallCompleted
from tests.conformance.engine.conftest import TENANT, Place
from tests.conformance.engine.world import World, event, workflow

APPROVE = """\
listen:
  to:
    one:
      with: {type: decided}
      correlate: {which: {from: '${ .subject }', expect: '${ %s }'}}"""


def approval(subject: str, indent: int) -> str:
    """The `listen` task of an approval, by its subject."""
    return (APPROVE % subject).replace("\n", "\n" + " " * indent)


def decision(subject: str, id: str = "") -> dict:
    return event("decided", id or subject, subject=subject, data={"approved": subject})


@pytest.fixture
async def place(tmp_path):
    made = Place(tmp_path, World(), SystemClock(), Tuning(idle=0.0))
    await made.engine.open()
    yield made
    await made.engine.close()


async def test_f2_two_recoverers_race(place, tmp_path):
    """One process claims the journal, the other is told who has it and changes nothing."""
    run = await place.begin("- a: {call: held, with: {x: 1}}")
    await place.world.arrived.wait()
    code = "import sys,pathlib;from perdure.engines.embedded.journal import Journal;Journal(pathlib.Path(sys.argv[1]))"
    other = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert other.returncode != 0
    assert "Another process (pid" in other.stderr
    with pytest.raises(Conflict):
        await EmbeddedEngine(tmp_path, place.world, clock=SystemClock()).open()
    place.world.gate.set()
    assert (await place.end(run)).status == "completed"
    assert place.world.calls["held"] == 1


async def test_f4_a_crash_between_two_finished_steps_repeats_neither(place):
    run = await place.begin(
        "- a: {call: echo, with: {x: 1}}\n- b: {call: echo, with: {x: 2}}\n- c: {call: held, with: {x: 3}}"
    )
    await place.world.arrived.wait()
    await place.reopen()
    place.world.gate.set()
    await place.end(run)
    assert place.world.calls == {"echo": 2, "held": 2}


async def test_f5_suspended_with_an_open_call_goes_on(place):
    run = await place.begin("- a: {call: held, with: {x: 1}}\n- b: {call: echo, with: {x: 2}}")
    await place.world.arrived.wait()
    await place.engine.suspend(TENANT, run)
    await place.reopen()
    place.world.gate.set()
    await place.turn()
    assert (await place.engine.describe(TENANT, run)).status == "suspended"
    await place.engine.resume(TENANT, run)
    assert (await place.end(run)).output == {"x": 2}


@pytest.mark.parametrize("cut", range(1, 6))
async def test_f6_a_loop_cut_after_any_item_completes_once(place, cut):
    run = await place.begin(
        "- loop:\n    for: {each: i, in: '${ [range(5)] }'}\n    do:\n"
        f"      - x: {{if: '${{ $i != {cut - 1} }}', call: echo, with: {{n: '${{ $i }}'}}}}\n"
        f"      - y: {{if: '${{ $i == {cut - 1} }}', call: held, with: {{n: '${{ $i }}'}}}}"
    )
    await place.world.arrived.wait()
    await place.reopen()
    place.world.gate.set()
    await place.end(run)
    assert sorted(one["n"] for one in place.world.seen) == [n for n in range(5) if n != cut - 1]


async def test_f7_a_late_answer_changes_nothing(place):
    run = await place.begin("- a: {call: held, with: {x: 1}}\n- b: {call: slow, with: {}}")
    await place.world.arrived.wait()
    record = next(iter(place.engine._residents.records.values()))
    (call,) = record.open
    place.engine._worker.answer(record.key, CallCompleted(now=0, id=call, output={"x": "first"}))
    await place.turn()
    before = await place.engine.history(TENANT, run)
    for _ in range(3):
        place.engine._worker.answer(record.key, CallCompleted(now=0, id=call, output={"x": "late"}))
    place.world.gate.set()
    await place.turn()
    assert await place.engine.history(TENANT, run) == before


async def test_f10_an_oversized_result_is_a_final_fault(tmp_path):
    place = Place(tmp_path, World(), SystemClock(), Tuning(result_bytes=10_000))
    await place.engine.open()
    run = await place.run("- a: {call: big, with: {count: 1000}}")
    assert (run.status, run.error["title"]) == ("faulted", "result refused")
    assert "10,000 are allowed" in run.error["detail"]
    assert place.world.calls["big"] == 1
    await place.engine.close()


@pytest.mark.parametrize("value", ["a\x00b", ["x", None], 7, "", {"\x00": {"": 1}}, 2**80, 0.1, "\U0001f600"])
async def test_f11_every_json_value_is_stored_as_it_is(place, value):
    place.world.answer = value
    run = await place.begin("- a: {call: raw, with: {}}")
    assert (await place.end(run)).output == value
    await place.reopen()
    assert (await place.engine.describe(TENANT, run)).output == value


@pytest.mark.parametrize("value", [float("nan"), [float("-inf")], b"bytes", object(), "\ud800", {1, 2}])
async def test_f11_what_json_cannot_hold_is_a_clear_fault(place, value):
    place.world.answer = value
    run = await place.run("- a: {call: raw, with: {}}")
    assert (run.status, run.error["title"]) == ("faulted", "result refused")
    assert "cannot be kept" in run.error["detail"]


async def test_f13_the_right_branch_resumes(place):
    tasks = "- all:\n    fork:\n      branches:\n" + "".join(
        f"        - b{n}:\n            do:\n              - ask:\n                  {approval(chr(34) + f'b{n}' + chr(34), 18)}\n"
        f"              - act: {{call: echo, with: {{n: {n}}}}}\n"
        for n in range(3)
    )
    run = await place.begin(tasks)
    await place.reaches(run, "waiting")
    await place.engine.deliver(TENANT, decision("b1"))
    await place.turn()
    assert place.world.seen == [{"n": 1}]
    await place.reopen()
    await place.engine.deliver(TENANT, decision("b2"))
    await place.engine.deliver(TENANT, decision("b0"))
    await place.end(run)
    assert place.world.seen == [{"n": 1}, {"n": 2}, {"n": 0}]


async def test_f14_an_approval_in_a_loop_is_asked_each_time_and_repeats_no_effect(place):
    run = await place.begin(
        "- loop:\n    for: {each: i, in: '${ [range(3)] }'}\n    do:\n      - act: {call: echo, with: {n: '${ $i }'}}\n"
        f"      - ask:\n          {approval('$i | tostring', 10)}"
    )
    for number in range(3):
        await place.reaches(run, "waiting")
        assert place.world.calls["echo"] == number + 1
        await place.reopen()
        await place.engine.deliver(TENANT, decision(str(number)))
    await place.end(run)
    assert place.world.calls["echo"] == 3


async def test_f15_two_approvals_in_one_step(place):
    tasks = "- all:\n    fork:\n      branches:\n" + "".join(
        f"        - {name}:\n            {approval(chr(34) + name + chr(34), 12)}\n" for name in ("one", "two")
    )
    run = await place.begin(tasks)
    await place.reaches(run, "waiting")
    for name in ("two", "one"):
        await place.engine.deliver(TENANT, decision(name))
        await place.reopen()
    assert [answers[0]["approved"] for answers in (await place.end(run)).output] == ["one", "two"]


async def test_f16_an_approval_in_a_sub_workflow(place):
    child = workflow(place.world, f"- ask:\n    {approval(chr(34) + 'child' + chr(34), 4)}", name="child")
    await place.engine.publish(TENANT, child, {})
    run = await place.begin(
        "- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0}}}\n- t: {call: echo, with: {a: '${ .[0] }'}}"
    )
    for _ in range(2):
        await place.reopen()
    await place.engine.deliver(TENANT, decision("child"))
    assert (await place.end(run)).output == {"a": {"approved": "child"}}


async def test_f17_a_loop_after_human_input_keeps_its_variables(place):
    run = await place.begin(
        "- keep: {set: {total: 40}, export: {as: '${ . }'}}\n"
        f"- ask:\n    {approval(chr(34) + 'go' + chr(34), 4)}\n"
        "- loop:\n    for: {each: i, in: '${ [1, 1] }'}\n    do:\n"
        "      - add: {set: {total: '${ $context.total + $i }'}, export: {as: '${ . }'}}\n"
        "- last: {set: '${ $context }'}"
    )
    await place.reaches(run, "waiting")
    await place.reopen()
    await place.engine.deliver(TENANT, decision("go"))
    assert (await place.end(run)).output == {"total": 42}


async def test_f18_a_definition_changed_while_runs_wait(place):
    run = await place.begin("- w: {call: held, with: {x: 1}}\n- old: {set: {version: old}}", name="same")
    await place.world.arrived.wait()
    newer = workflow(place.world, "- new: {set: {version: new}}", name="same", version="2.0.0")
    await place.engine.publish(TENANT, newer, {})
    await place.reopen()
    place.world.gate.set()
    ended = await place.end(run)
    assert (ended.output, ended.version) == ({"version": "old"}, "1.0.0")
    assert "/do/1/old" in {entry.path for entry in await place.engine.history(TENANT, run)}
