"""What people do to a run from outside: suspend and resume it, retry or skip a task (language.md 6.3).

A faulted run keeps its frames and, in `parked`, what they waited for. A patch opens it again: everything parked is
given out anew, with the same idempotency keys, and clocks that stood still meanwhile go on.
"""

from typing import Any

import msgspec

from perdure.interpreter import flow, keys, lifecycle, unwinding
from perdure.interpreter.cancelling import INTERNAL, cancel_below
from perdure.interpreter.dataflow import duration, raw_of
from perdure.interpreter.events import Event, EventReceived, OperatorPatch
from perdure.interpreter.faults import WorkflowFault
from perdure.interpreter.program import Frame
from perdure.interpreter.state import Run
from perdure.language.values import Json

# Suspended runs


def hold(run: Run, event: Any) -> bool:
    """Keep an outcome that is waited for until the run goes on. False: it is here already."""
    entry = run.waits[event.id]
    held = run.state.setdefault("held", [])
    as_json = msgspec.to_builtins(event)
    if isinstance(event, EventReceived):
        if any(other["kind"] == as_json["kind"] and other["event"] == as_json["event"] for other in held):
            return False
    elif entry.get("held"):
        return False
    else:
        entry["held"] = True
    held.append(as_json)
    return True


def release(run: Run) -> list[Event]:
    """The outcomes that came while the run was suspended, in their order."""
    return [msgspec.convert(event, Event) for event in run.state.pop("held", ())]


# Patches


def patch(run: Run, event: OperatorPatch) -> bool:
    """Retry or skip a task. False: the patch does not fit."""
    fault = run.state.get("fault")
    path = event.path
    if path is None:
        if fault is None:
            return False
        path = fault["path"]
    if fault is not None and path == fault["path"]:
        return _mend(run, event, fault)
    frame = run.frames.get(path)
    if frame is None or frame["parent"] is None or frame["kind"] in INTERNAL:
        return False
    if fault is not None:
        _reopen(run, fault)
    raw, tries = raw_of(frame), frame.get("tries", 1)
    parent = run.frames[frame["parent"]]
    node = run.program.nodes[frame["node"]]
    if "key" in frame:
        keys.remember(run, frame)
    cancel_below(run, frame, {})
    run.tell("task.cancelled.v1", frame)
    run.drop(frame)
    if event.action == "retry":
        _retry(run, parent, raw, tries)
    else:
        _skip(run, frame, parent, event.output if event.has_output else raw, node.then)
    return True


def _mend(run: Run, event: OperatorPatch, fault: dict[str, Any]) -> bool:
    """The task that faulted the run."""
    if fault["parent"] is None:
        return _mend_run(run, event, fault)
    parent = run.frames[fault["parent"]]
    _reopen(run, fault)
    if event.action == "retry":
        _retry(run, parent, fault["raw"], fault["tries"])
        return True
    node = run.program.nodes[fault["node"]]
    stub: Frame = {"path": fault["path"], "ref": fault["ref"]}
    _skip(run, stub, parent, event.output if event.has_output else fault["raw"], node.then)
    return True


def _mend_run(run: Run, event: OperatorPatch, fault: dict[str, Any]) -> bool:
    """The run itself faulted: at its input, its output, its timeout, or after everything had been undone."""
    _reopen(run, fault)
    root = run.frames[""]
    if event.action == "skip":
        cancel_below(run, root, {})
        lifecycle.completed(run, event.output if event.has_output else run.state["raw"])
        return True
    if root["list"] and fault["error"].get("instance") == "/output":
        run.go_on(root)
    elif "child" in root or run.ready:
        _renew(run)
    else:
        _begin_again(run, fault["tries"] + 1)
    return True


def _begin_again(run: Run, tries: int) -> None:
    """The whole run from its input, at other paths than before."""
    run.frames.clear()
    try:
        frame = lifecycle.begin(run)
    except WorkflowFault as failed:
        run.frames[""]["tries"] = tries
        unwinding.fail(run, run.frames[""], failed.problem)
        return
    frame["tries"] = tries
    frame["prefix"] = f"~~{tries}/do"
    run.go_on(frame)


def _retry(run: Run, parent: Frame, raw: Json, tries: int) -> None:
    """Let the parent enter the task once more, as another attempt."""
    parent["value"] = raw
    parent["again"] = tries + 1
    run.go_on(parent)


def _skip(run: Run, frame: Frame, parent: Frame, output: Json, then: int) -> None:
    run.tell("task.completed.v1", frame, output=output, skipped=True)
    flow.arrive(run, parent, output, then)
    run.go_on(parent)


def _reopen(run: Run, fault: dict[str, Any]) -> None:
    """A faulted run runs again: give out what was parked."""
    state = run.state
    stood = run.now - fault["at"]
    parked = state.pop("parked")
    del state["fault"], state["error"]
    for frame in run.frames.values():
        for clock in ("deadline", "limit", "until"):
            if clock in frame:
                frame[clock] += stood
    run.tell("workflow.resumed.v1")
    run.show("running")
    reissued: set[str] = set()
    for entry in parked.values():
        waiting = run.frames[entry["path"]]
        if "due" in entry and entry["purpose"] != "renewal":
            _restart(run, waiting, entry, stood)
        elif waiting["path"] not in reissued:
            reissued.add(waiting["path"])
            run.program.kinds[waiting["kind"]].again(run, run.program.nodes[waiting["node"]], waiting)


def _restart(run: Run, frame: Frame, entry: dict[str, Any], stood: int) -> None:
    """A timer again: a limit stood still with the run, a plain wait did not."""
    due = entry["due"]
    if entry["purpose"] in ("timeout", "attempt"):
        due += stood
    run.timer(frame, entry["purpose"], due)


def _renew(run: Run) -> None:
    """A run that faulted at its own timeout gets the whole of it once more."""
    root = run.frames[""]
    node = run.program.nodes[""]
    assert node.after is not None
    due = run.now + duration(run, root, node.after, root["value"])
    root["deadline"] = due
    run.timer(root, "timeout", due)
