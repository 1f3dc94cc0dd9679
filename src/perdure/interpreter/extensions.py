"""Extensions around a task (language.md E9): `before` in declared order, the task, `after` in reverse.

One frame of kind `extended` holds them together; its phases are "before", "task" and "after", and `turn` is the
number of the extension whose turn it is.
"""

from perdure.interpreter import dataflow
from perdure.interpreter.outcomes import Outcome, Passed, begin
from perdure.interpreter.program import CONTINUE, END, Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json


def wrap(run: Run, node: Node, frame: Frame) -> Frame | None:
    """Put the extensions around a task whose `if` has been passed; gives the frame that goes on."""
    path = frame["path"]
    parent = run.frames[frame["parent"]]
    wrapper: Frame = {
        **frame,
        "path": path + "/extended",
        "kind": "extended",
        "mark": path[len(parent["prefix"] + node.step) :],
        "task": path,
        "phase": "before",
        "turn": 0,
    }
    wrapper["when"] = [
        extension.when is None or dataflow.condition(run, wrapper, extension.when, frame["raw"])
        for extension in node.extensions
    ]
    run.place(wrapper)
    _before(run, node, wrapper)
    return wrapper


def _before(run: Run, node: Node, frame: Frame) -> Outcome:
    """The next `before`, or the task itself."""
    raw = dataflow.raw_of(frame)
    while frame["turn"] < len(node.extensions):
        extension = node.extensions[frame["turn"]]
        if extension.before is not None and frame["when"][frame["turn"]]:
            prefix = f"{frame['task']}{extension.step}/before"
            return begin(frame, extension.before, prefix, raw)
        frame["turn"] += 1
    frame["phase"] = "task"
    parent = run.frames[frame["parent"]]
    return begin(frame, node.pointer + "/extended", parent["prefix"], raw)


def _after(run: Run, node: Node, frame: Frame) -> Outcome:
    """The next `after`, or the end."""
    while frame["turn"] > 0:
        frame["turn"] -= 1
        extension = node.extensions[frame["turn"]]
        if extension.after is not None and frame["when"][frame["turn"]]:
            prefix = f"{frame['task']}{extension.step}/after"
            return begin(frame, extension.after, prefix, frame["result"])
    return Passed(frame["result"], frame.get("then", CONTINUE))


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    """A `before`, the task or an `after` is through."""
    if "ending" in frame:  # the output of an extension is discarded also where it ends the run
        return Passed(frame["result"] if frame["phase"] == "after" else dataflow.raw_of(frame), END)
    if frame["phase"] == "before":
        if "exit" in frame:
            frame["phase"] = "replaced"
        else:
            frame["turn"] += 1
            return _before(run, node, frame)
    if frame["phase"] == "replaced":
        return _replace(run, node, frame, value)
    if frame["phase"] == "task":
        frame["result"] = value
        frame["phase"] = "after"
        frame["turn"] = len(node.extensions)
    return _after(run, node, frame)


def _replace(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    """`then: exit` in a `before`: its output stands for the task's raw output; `output` and `export` still apply."""
    stand_in: Frame = {
        key: frame[key] for key in ("node", "ref", "parent", "scope", "started", "raw", "input", "at") if key in frame
    }
    stand_in.update(path=frame["task"], kind=node.kind)
    run.tell("task.created.v1", stand_in)
    run.tell("task.started.v1", stand_in)
    frame["output"] = value
    output = dataflow.left(run, node, stand_in, value)
    run.tell("task.completed.v1", stand_in, output=output)
    frame["result"] = output
    frame["then"] = node.then
    frame["phase"] = "after"
    frame["turn"] = len(node.extensions)
    return _after(run, node, frame)
