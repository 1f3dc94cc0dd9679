"""Compensation (language.md 5.4): what has to be undone, and the undoing, last in, first out.

`state.sagas` holds a stack for each saga frame (the run is one): entries `{order, node, path, ref, output, input,
context}`. A frame of kind `compensation` under the saga frame works the stack off; an entry leaves it only
when its handler has succeeded, so nothing is forgotten when the undoing itself is cut short.
"""

from typing import Any

from perdure.interpreter import dataflow, lifecycle
from perdure.interpreter.faults import Problem
from perdure.interpreter.outcomes import WAITS, Failing, Outcome
from perdure.interpreter.outcomes import begin as begin_list
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json


def push(run: Run, node: Node, frame: Frame, output: Json) -> None:
    """A task with a compensation has completed."""
    assert node.compensate is not None
    saga = _saga_of(run, frame)
    if saga is None:
        return
    state = run.state
    entry: dict[str, Any] = {
        "order": _next(run),
        "node": node.compensate.pointer,
        "path": frame["path"],
        "ref": frame["ref"],
        "output": output,
        "input": frame["input"],
        "context": dataflow.context(run, frame),
    }
    state["sagas"].setdefault(saga["path"], []).append(entry)


def _next(run: Run) -> int:
    number: int = run.state.get("order", 0) + 1
    run.state["order"] = number
    return number


def _saga_of(run: Run, frame: Frame) -> Frame | None:
    """The nearest saga frame around a frame; the run is always one. None in a handler: no undoing is undone."""
    frame = run.frames[frame["parent"]]
    while not _is_saga(run, frame):
        if frame["kind"] == "compensation":
            return None
        frame = run.frames[frame["parent"]]
    return frame


def _is_saga(run: Run, frame: Frame) -> bool:
    return frame["kind"] not in _OWN and run.program.nodes[frame["node"]].is_saga


def has_to_undo(run: Run, frame: Frame) -> bool:
    """Whether a fault that leaves this frame has something to undo: of its own, or of sagas under way inside it."""
    stacks = run.state["sagas"]
    if not stacks or not _is_saga(run, frame):
        return False
    path = frame["path"]
    return any(key == path or not path or (key.startswith(path) and key[len(path)] in "/#~") for key in stacks)


_OWN = frozenset({"extended", "branch", "errand", "compensation"})
"""Frames of the machine that carry the node of another frame."""


def succeed(run: Run, frame: Frame) -> None:
    """An inner saga has succeeded: its stack moves as one onto the enclosing frame."""
    entries = run.state["sagas"].pop(frame["path"], [])
    outer = _saga_of(run, frame)
    if outer is None:
        return
    for entry in entries:
        entry["order"] = _next(run)
        run.state["sagas"].setdefault(outer["path"], []).append(entry)


def hand_up(run: Run, frame: Frame) -> None:
    """An inner saga is cancelled: what it had done is undone by the enclosing frame, in order of completion."""
    stacks = run.state["sagas"]
    entries = stacks.pop(frame["path"])
    saga = _saga_of(run, frame)
    if saga is None:
        return
    outer = stacks.setdefault(saga["path"], [])
    outer.extend(entries)
    outer.sort(key=lambda entry: entry["order"])


def begin(run: Run, owner: Frame, reason: dict[str, Any]) -> Frame:
    """Start undoing what happened inside `owner`; `reason` is `{"fault": problem}` or `{"cancel": true}`."""
    for command in owner.pop("waits", ()):  # its own clock stops with it
        run.give_up(command)
    if owner["path"] in run.ready:
        run.ready.remove(owner["path"])
    frame: Frame = {
        "path": owner["path"] + "/compensation",
        "node": owner["node"],
        "ref": owner["ref"],
        "kind": "compensation",
        "parent": owner["path"],
        "scope": owner["path"] + "/compensation",
        "started": run.now,
        "input": owner.get("input"),
        "reason": reason,
    }
    for key in ("at", "depth"):
        if key in owner:
            frame[key] = owner[key]
    run.place(frame)
    _next_handler(run, frame)
    return frame


def _next_handler(run: Run, frame: Frame) -> Outcome:
    entry = run.state["sagas"][frame["parent"]][-1]
    frame["context"] = entry["context"]
    frame["vars"] = {"input": entry["input"], "output": entry["output"]}
    return begin_list(frame, entry["node"], entry["path"], entry["output"])


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    """A handler has succeeded."""
    stacks = run.state["sagas"]
    stack = stacks[frame["parent"]]
    stack.pop()
    frame.pop("ending", None)  # there is nothing to end but the handler
    if stack:
        return _next_handler(run, frame)
    del stacks[frame["parent"]]
    owner = run.frames[frame["parent"]]
    run.drop(frame)
    if "cancel" in frame["reason"]:
        lifecycle.cancelled(run)
        return WAITS
    return Failing(owner, frame["reason"]["fault"])


def blamed(run: Run, frame: Frame, problem: Problem) -> Problem:
    """A handler failed for good: the run faults with the first error, which names the handler in its detail."""
    entry = run.state["sagas"][frame["parent"]][-1]
    reason = frame["reason"].get("fault")
    told = problem.get("detail") or problem.get("title") or problem["type"]
    sentence = f"The compensation of {entry['ref']} failed: {told}"
    if reason is None:
        return {**problem, "detail": sentence}
    detail = reason.get("detail")
    return {**reason, "detail": sentence if detail is None else f"{detail} {sentence}"}
