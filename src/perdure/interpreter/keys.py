"""Idempotency keys of calls whose outcome nobody knows (language.md 6.5, T24 to T26).

`state.keys` keeps them by position (the path without attempts) while a later attempt may come.
"""

from perdure.interpreter.program import Frame
from perdure.interpreter.state import Run


def position(run: Run, frame: Frame) -> str:
    """The path without the marks of attempts: what a later attempt at the same place has in common with this one."""
    path: str = frame["path"]
    above: Frame | None = frame
    while above is not None:
        if "bound" in above:  # what a model chose: another choice at the same place is another call
            place: str = above.get("place") or above["path"]
            path = path.replace(place, f"{place}?{above['bound']}", 1)
        if "tried" in above:
            path = path.replace(above["path"] + above["tried"], above["path"], 1)
        if "base" in above:
            path = path.replace(above["path"], above["base"], 1)
        above = None if above["parent"] is None else run.frames.get(above["parent"])
    return path


def may_come_again(run: Run, frame: Frame) -> bool:
    """Whether a `try` with a retry policy is around."""
    while frame["parent"] is not None:
        frame = run.frames[frame["parent"]]
        if frame["kind"] == "try" and run.program.nodes[frame["node"]].body.retry is not None:
            return True
    return False


def forget(run: Run, frame: Frame) -> None:
    """A `try` is over: no attempt comes after it."""
    keys = run.state["keys"]
    if keys:
        start = position(run, frame) + "/"
        for place in [place for place in keys if place.startswith(start)]:
            del keys[place]


def remember(run: Run, frame: Frame) -> None:
    """A call was given up or its outcome is unknown: a later attempt uses its key again."""
    keys = run.state["keys"]
    keys[position(run, frame)] = frame["key"]
    while len(keys) > 1_000:
        del keys[next(iter(keys))]


def for_call(run: Run, frame: Frame) -> str:
    """The idempotency key of a call that is about to be given out."""
    keys = run.state["keys"]
    if keys:
        known: str | None = keys.pop(position(run, frame), None)
        if known is not None:
            return known
    return run.key(frame["path"])
