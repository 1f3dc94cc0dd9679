"""A fork keeps the ids of what it took over, and has its own for what comes after."""

import msgspec
import pytest

from perdure.interpreter import commands as c
from perdure.interpreter import correlation, lineage
from perdure.interpreter import events as e
from perdure.interpreter.lineage import forked
from perdure.interpreter.machine import compile, step
from perdure.interpreter.state import restore, snapshot
from tests.unit.interpreter.dialogue import START, Dialogue, document

CALLS = "do: [{a: {call: x}}, {b: {call: x}}, {c: {call: x}}, {d: {call: x}}]"
TELLS = """
do:
  - go: {call: x}
  - tell: {emit: {event: {with: {type: dev.perdure.approval.decided.v1, source: /x, subject: q}}}}
"""


def started(run, seed=None):
    return e.Started(now=START, run=run, tenant="t", seed=seed or run)


def played(first, count, text=CALLS):
    """The events of a run that begins so and has so many answers, and the ids of its calls."""
    program, state, events, ids = compile(document(text)), None, [first], []
    for _ in range(count + 1):
        state, out = step(program, state, events[-1])
        state = restore(snapshot(state))
        ids += [command.id for command in out if isinstance(command, c.ScheduleCall)]
        events.append(e.CallCompleted(now=START, id=ids[-1]))
    return events[: count + 1], ids


@pytest.mark.parametrize("facts", [0, 1, 2, 3])
def test_only_what_was_taken_over_has_the_ids_of_the_origin(facts):
    origin, ids = played(started("o"), 3)
    _, own = played(forked(origin[0], "f", facts), 3) if not facts else replayed(origin, "f", facts)
    assert own[:facts] == ids[:facts]
    assert not set(own[facts:]) & set(ids)


def replayed(origin, run, facts):
    """A fork that takes over so many facts, and goes on to the end."""
    program, state, ids = compile(document(CALLS)), None, []
    events = [forked(origin[0], run, facts), *origin[1 : facts + 1]]
    for number in range(4):
        if number == len(events):
            events.append(e.CallCompleted(now=START, id=ids[-1]))
        state, out = step(program, state, events[number])
        state = restore(snapshot(state))
        ids += [command.id for command in out if isinstance(command, c.ScheduleCall)]
    assert "seeds" not in state
    return events, ids


@pytest.mark.parametrize("first", [1, 2, 3])
@pytest.mark.parametrize("second", [1, 2, 3])
def test_a_fork_of_a_fork(first, second):
    origin, ids = played(started("o"), 3)
    fork, of_fork = replayed(origin, "f", first)
    _, own = replayed(fork, "g", second)
    assert own[:second] == of_fork[:second]
    assert not set(own[second:]) & {*ids, *of_fork}


def test_a_fork_of_before_runs_on_with_the_seed_of_its_origin():
    """As it is in journals: without the seeds that follow."""
    old = msgspec.convert({"kind": "started", "now": START, "run": "f", "tenant": "t", "seed": "o"}, e.Started)
    assert played(old, 3)[1] == played(started("o"), 3)[1]


def test_an_answer_that_a_fork_emits_is_its_own_word():
    def told(first):
        d = Dialogue(TELLS)
        d.hand(first)
        d.complete()
        return next(x for x in d.open.values() if isinstance(x, c.Emit)).event

    one, other = told(started("o")), told(forked(started("o"), "f", 1))
    assert (one["perdurerun"], other["perdurerun"]) == ("o", "f")
    assert one["id"] != other["id"]


def test_an_event_of_our_own_types_bears_the_name_of_who_emits_it():
    program = Dialogue(TELLS).program
    mine = {"type": "dev.perdure.approval.requested.v1", "perdurerun": "chosen", "source": "/others/pay/1.0.0"}
    own = {"perdurerun": "o", "source": "/test/dialogue/1.0.0"}
    assert correlation.signed(mine, "o", program) == {**mine, **own}
    faulted = {"type": "io.serverlessworkflow.workflow.faulted.v1"}
    assert correlation.signed(faulted, "o", program) == {**faulted, **own}
    free = {"type": "com.example.paid", "source": "/any"}
    assert correlation.signed(free, "o", program) == free


def test_a_fork_remembers_under_which_names_it_was_asked():
    state = {"seed": "o", "seeds": [[1, "f"], [1, "g"]]}
    lineage.count(state)
    lineage.count(state)
    assert state == {"seed": "g", "origins": ["o", "f"]}
