"""Giving up parts of a run: everything under a frame, the deepest first (language.md T20, E4)."""

from perdure.interpreter import keys, saga
from perdure.interpreter.faults import Problem
from perdure.interpreter.program import Frame
from perdure.interpreter.state import Run

INTERNAL = frozenset({"workflow", "branch", "errand", "extended", "compensation"})
"""Frames that are no tasks: nothing of them is on the timeline."""


def cancel_below(run: Run, owner: Frame, way: dict[str, Problem]) -> None:
    """Drop all frames under `owner`, the deepest first."""
    found: list[Frame] = []
    pending = children(run, owner)
    while pending:
        frame = pending.pop()
        found.append(frame)
        pending.extend(children(run, frame))
    for frame in reversed(found):
        if frame["kind"] not in INTERNAL:
            if frame["path"] in way:
                run.tell("task.faulted.v1", frame, error=way[frame["path"]])
            else:
                run.tell("task.cancelled.v1", frame)
        if "key" in frame and keys.may_come_again(run, frame):
            keys.remember(run, frame)
        if frame["path"] in run.state["sagas"]:
            saga.hand_up(run, frame)
        run.drop(frame)


def children(run: Run, frame: Frame) -> list[Frame]:
    """The frames directly under this one, in declared order."""
    if "branches" in frame:
        return [run.frames[path] for path in frame["branches"] if path in run.frames]
    return [run.frames[frame["child"]]] if "child" in frame else []
