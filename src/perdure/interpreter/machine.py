"""The machine: START HERE.

RULES

 1. `compile` makes a program of a checked document. `step` takes a program, a state and one event, and gives the next
    state and the commands that follow. Nothing else happens here: no clock, no chance, no disk, no network, no log.
 2. `step` CONSUMES the state it is given. Who needs the old one keeps a `state.snapshot` of it.
 3. A state is plain JSON at every moment, so `restore(snapshot(s)) == s` and both go on alike.
 4. The same program and the same events give the same states and commands, for ever (language.md 6.4).
 5. A workflow's own fault is a value, never an exception. `step` raises `Bug` only.
 6. An event that the table TRANSITIONS does not offer in the present phase changes nothing; so does an answer to a
    command that nobody waits for any more.
 7. What an event costs does not grow with the run: neither with its length nor with how much is under way beside it.

Where to read on: `flow.py` how a run moves, `dataflow.py` what a task gets and gives, `tasks/` one file a task kind,
`unwinding.py` how faults go up, `saga.py` how they are undone, `state.py` the shape of it all.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from perdure.errors import Bug, Invalid
from perdure.interpreter import (
    agent,
    agent_context,
    agent_errands,
    agent_turns,
    approval,
    budget_hold,
    extensions,
    flow,
    lifecycle,
    lineage,
    operator,
    saga,
    unwinding,
)
from perdure.interpreter.cancelling import INTERNAL, cancel_below
from perdure.interpreter.commands import Command
from perdure.interpreter.compiler import Builder
from perdure.interpreter.events import (
    CallCompleted,
    CallFailed,
    CallProgress,
    CancelRequested,
    ChildCompleted,
    ChildFailed,
    Event,
    EventReceived,
    OperatorPatch,
    ResumeRequested,
    Started,
    SuspendRequested,
    TimerFired,
)
from perdure.interpreter.faults import WorkflowFault, problem
from perdure.interpreter.program import Functions, Program
from perdure.interpreter.state import Run, State, opening
from perdure.interpreter.tasks import call_, do, emit, for_, fork, listen, raise_, set_, switch, try_, wait
from perdure.interpreter.tasks import run as run_
from perdure.language.expressions import engine_name
from perdure.language.values import Json, canonical

SEMANTICS = 1
"""Raised when the same document would behave in another way: runs keep the program they began with (6.4)."""

KINDS: dict[str, Any] = {
    "call": call_,
    "do": do,
    "emit": emit,
    "for": for_,
    "fork": fork,
    "listen": listen,
    "raise": raise_,
    "run": run_,
    "set": set_,
    "switch": switch,
    "try": try_,
    "wait": wait,
    "agent": agent,
    "turn": agent_turns,
    "summary": agent_context,
    "errand": agent_errands,
    "approval": approval,
    "branch": fork,
    "compensation": saga,
    "extended": extensions,
    "workflow": lifecycle,
}
"""Kind of a frame -> the module that knows it: the twelve kinds of tasks, an agent with its steps, the machine's own."""


def compile(document: Json, resources: Mapping[str, Json] | None = None, functions: Functions | None = None) -> Program:
    """A program. `resources` are outside documents by absolute address, as fetched at publish; what the program pins
    itself (an agent's tools) is added to `Program.resources`.

    Invalid when the document never passed its check.
    """
    try:
        program = Program(document, resources or {}, "")
        program.kinds = KINDS
        program.lists[""] = ()
        Builder(program, KINDS, functions).workflow()
        program.hash = program_hash(document, program.resources)  # with what was pinned on the way
    except Invalid:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration, RecursionError) as error:
        raise Invalid(
            f"This is not a workflow that can be compiled ({type(error).__name__}: {error}).",
            hint="Check it with `perdure validate`, which says where and why.",
        ) from error
    return program


def program_hash(document: Json, resources: Mapping[str, Json]) -> str:
    """The content hash of document, resources, expression engine and semantics (6.1)."""
    whole = {
        "document": document,
        "resources": dict(resources),
        "engine": engine_name(),
        "semantics": SEMANTICS,
    }
    return hashlib.sha256(canonical(whole)).hexdigest()


def step(program: Program, state: State | None, event: Event) -> tuple[State, list[Command]]:
    """One event. Consumes `state`; None for the first event of a run, which is `Started`."""
    if state is None:
        if not isinstance(event, Started):
            raise Bug(f"A run cannot begin with {type(event).__name__}.")
        state = opening(program, event)
    elif "seeds" in state:
        lineage.count(state)
    act = TRANSITIONS[state["status"]].get(type(event))
    if act is None:
        return state, []
    run = Run(program, state, max(event.now, state["now"]))
    shown = state["status"]
    if act(run, event) is not False:
        state["now"] = run.now
        if state["status"] in ("running", "waiting"):
            flow.drive(run)
        if state["status"] in ("running", "waiting"):
            state["status"] = shown  # what the outside knows; phases passed through in between are nobody's business
            run.show("running" if state["busy"] else "waiting")
        state["ready"] = list(run.ready)
    return state, run.commands


# What each event does. False: nothing


def _started(run: Run, event: Started) -> None:
    run.state["status"] = "running"
    try:
        run.go_on(lifecycle.begin(run))
    except WorkflowFault as failed:
        unwinding.fail(run, run.frames[""], failed.problem)


def _answered(run: Run, event: Any) -> bool:
    """An answer to a call, an emit, a timer or a child."""
    entry = run.waits.get(event.id)
    if entry is None or type(event) not in ANSWERS[entry["purpose"]]:
        return False
    run.answer(event.id)
    if entry["purpose"] == "slice":
        return True
    frame = run.frames[entry["path"]]
    if entry["purpose"] in ("timeout", "attempt"):
        return _late(run, entry)
    node = run.program.nodes[frame["node"]]
    try:
        outcome = run.program.kinds[frame["kind"]].answered(run, node, frame, entry["purpose"], event)
    except WorkflowFault as failed:
        going = unwinding.fail(run, frame, failed.problem)
    else:
        going = flow.settle(run, node, frame, outcome)
    run.go_on(going)
    return True


def _late(run: Run, entry: dict[str, Any]) -> bool:
    """A time limit has passed: of the run, of a task, or of one attempt of a `try` (E4, T24)."""
    frame = run.frames[entry["path"]]
    if frame["parent"] is None:
        detail = "The workflow took longer than its timeout allows."
        going = unwinding.fail_run(run, problem("timeout", detail=detail, instance="/timeout"))
    elif entry["purpose"] == "timeout":
        detail = "The task took longer than its timeout allows."
        going = unwinding.fail(run, frame, problem("timeout", detail=detail))
    else:
        detail = "The attempt took longer than the retry policy allows."
        going = unwinding.fail_inside(run, frame, problem("timeout", detail=detail))
    run.go_on(going)
    return True


def _received(run: Run, event: EventReceived) -> bool:
    """A CloudEvent for a subscription: the wait stays open until the task closes it."""
    entry = run.waits.get(event.id)
    if entry is None or type(event) not in ANSWERS[entry["purpose"]]:
        return False
    frame = run.frames[entry["path"]]
    node = run.program.nodes[frame["node"]]
    try:
        outcome = RECEIVERS[entry["purpose"]].received(run, node, frame, entry["purpose"], event)
    except WorkflowFault as failed:
        going = unwinding.fail(run, frame, failed.problem)
    else:
        if outcome is False:
            return False
        going = flow.settle(run, node, frame, outcome)
    run.go_on(going)
    return True


def _progress(run: Run, event: CallProgress) -> bool:
    entry = run.waits.get(event.id)
    if entry is None:
        return False
    run.tell("task.progress.v1", run.frames[entry["path"]], progress=event.data)
    return True


def _cancel(run: Run, event: CancelRequested) -> None:
    """Stop everything; undo what was done only when asked (5.4)."""
    root = run.frames[""]
    undoing = event.compensate and bool(run.state["sagas"])
    run.state.pop("held", None)
    run.ready.clear()
    cancel_below(run, root, {})
    if undoing:
        run.state["status"] = "running"
        run.go_on(saga.begin(run, root, {"cancel": True}))
    else:
        lifecycle.cancelled(run)


def _suspend(run: Run, event: SuspendRequested) -> None:
    run.tell("workflow.suspended.v1")
    _tell_all(run, "task.suspended.v1")
    run.show("suspended")


def _tell_all(run: Run, type_: str) -> None:
    for frame in run.frames.values():
        if frame["kind"] not in INTERNAL:
            run.tell(type_, frame)


def _hold(run: Run, event: Any) -> bool:
    """Suspended: an outcome is recorded, and acted on when the run goes on."""
    entry = run.waits.get(event.id)
    if entry is None or type(event) not in ANSWERS[entry["purpose"]]:
        return False
    return operator.hold(run, event)


def _resume(run: Run, event: ResumeRequested) -> None:
    run.tell("workflow.resumed.v1")
    _tell_all(run, "task.resumed.v1")
    run.show("running")
    for held in operator.release(run):
        act = TRANSITIONS["running"][type(held)]
        if run.state["status"] == "running":
            act(run, held)


def _patch(run: Run, event: OperatorPatch) -> bool:
    return operator.patch(run, event)


ANSWERS: dict[str, tuple[type, ...]] = {
    "call": (CallCompleted, CallFailed),
    "emit": (CallCompleted, CallFailed),
    "child": (ChildCompleted, ChildFailed),
    "timer": (TimerFired,),
    "timeout": (TimerFired,),
    "attempt": (TimerFired,),
    "retry": (TimerFired,),
    "slice": (TimerFired,),
    "renewal": (TimerFired,),
    "budget": (EventReceived,),
    "listen": (EventReceived,),
    "until": (EventReceived,),
}
"""Purpose of a wait -> the events that answer it."""

RECEIVERS: dict[str, Any] = {"listen": listen, "until": listen, "budget": budget_hold}
"""Purpose of a subscription -> the module that knows what an event means to it."""

_GOING: dict[type, Callable[[Run, Any], Any]] = {
    CallCompleted: _answered,
    CallFailed: _answered,
    CallProgress: _progress,
    TimerFired: _answered,
    ChildCompleted: _answered,
    ChildFailed: _answered,
    EventReceived: _received,
    CancelRequested: _cancel,
    SuspendRequested: _suspend,
    OperatorPatch: _patch,
}

TRANSITIONS: dict[str, dict[type, Callable[[Run, Any], Any]]] = {
    "pending": {Started: _started},
    "running": _GOING,
    "waiting": _GOING,
    "suspended": {
        CallCompleted: _hold,
        CallFailed: _hold,
        CallProgress: _progress,
        TimerFired: _hold,
        ChildCompleted: _hold,
        ChildFailed: _hold,
        EventReceived: _hold,
        CancelRequested: _cancel,
        ResumeRequested: _resume,
    },
    "faulted": {OperatorPatch: _patch},
    "cancelled": {},
    "completed": {},
}
"""Phase of the run (A7) and event -> what happens. `running` and `waiting` differ only in what the run waits for."""
