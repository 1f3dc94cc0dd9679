"""How a run moves: into a task, out of it, and on to the next (language.md C2 to C5, E1, T4, T16 to T18).

Nothing here recurses over the depth of a run: each move gives back the frame that goes on, and `drive` loops.
A frame goes on when it has a list (`list`, `pc`, `value`); what ends a list is the business of its kind in `tasks/`.
"""

from perdure.interpreter import dataflow, extensions, saga, unwinding
from perdure.interpreter.faults import WorkflowFault
from perdure.interpreter.outcomes import ENTERED, WAITS, Elsewhere, Failing, Outcome, Passed
from perdure.interpreter.program import CONTINUE, END, Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json

GOING = frozenset({"running", "waiting"})
"""Phases in which a run moves."""

_TURNS = (Passed, Elsewhere, Failing)

_OVER = 1_000_000_000
"""A `pc` behind the end of every list."""


def drive(run: Run) -> None:
    """Let everything that can go on do so; what is too much for one step waits for a timer that is due at once."""
    ready = run.ready
    while ready and run.state["status"] in GOING:
        if run.budget <= 0:
            if not any(wait["purpose"] == "slice" for wait in run.waits.values()):
                run.timer(run.frames[""], "slice", run.now)
            break
        frame = run.frames.get(ready.popleft())
        while frame is not None:
            if run.budget <= 0:
                ready.append(frame["path"])  # behind the others, so that no branch starves
                break
            frame = advance(run, frame)


def advance(run: Run, frame: Frame) -> Frame | None:
    """Enter the next task of this frame's list, or let its kind decide what the end of the list means."""
    tasks = run.program.lists[frame["list"]]
    position = frame["pc"]
    if position < len(tasks):
        return enter(run, tasks[position], frame, frame["value"])
    node = run.program.nodes[frame["node"]]
    run.budget -= 1
    try:
        outcome = run.program.kinds[frame["kind"]].list_done(run, node, frame, frame["value"])
    except WorkflowFault as failed:
        return unwinding.fail(run, frame, failed.problem)
    return settle(run, node, frame, outcome)


def settle(run: Run, node: Node, frame: Frame, outcome: Outcome) -> Frame | None:
    """Go on after a kind has spoken: it waits, its list goes on, or this is its raw output."""
    if outcome is WAITS:
        return None
    if outcome is ENTERED:
        run.place(frame)
        return frame
    if isinstance(outcome, _TURNS):
        return _turn(run, frame, outcome)
    return leave(run, node, frame, outcome)


def _turn(run: Run, frame: Frame, outcome: Passed | Elsewhere | Failing) -> Frame | None:
    if isinstance(outcome, Failing):
        return unwinding.fail(run, outcome.frame, outcome.problem)
    if isinstance(outcome, Elsewhere):
        node = run.program.nodes[outcome.frame["node"]]
        return settle(run, node, outcome.frame, outcome.outcome)
    parent = run.frames[frame["parent"]]
    run.drop(frame)
    return arrive(run, parent, outcome.value, outcome.then)


def enter(run: Run, node: Node, parent: Frame, raw: Json) -> Frame | None:
    """C2: begin a task with its raw input."""
    run.budget -= 1
    frame = _frame(run, node, parent, raw)
    try:
        if node.is_plain:
            run.tell("task.created.v1", frame)
        else:
            if not _is_wrapped(node, parent):
                if node.if_ is not None and not dataflow.condition(run, frame, node.if_, raw):
                    run.tell("task.skipped.v1", frame)
                    return arrive(run, parent, raw, CONTINUE)  # T4: nothing else of it counts
                if node.extensions:
                    return extensions.wrap(run, node, frame)
            run.tell("task.created.v1", frame)
            dataflow.entered(run, node, frame)
            if node.after is not None:
                _limit(run, node, frame)
        run.tell("task.started.v1", frame, **node.told)
        outcome = node.behaviour.start(run, node, frame)
    except WorkflowFault as failed:
        return unwinding.fail(run, frame, failed.problem)
    return settle(run, node, frame, outcome)


def _frame(run: Run, node: Node, parent: Frame, raw: Json) -> Frame:
    path = parent["prefix"] + node.step
    wrapped = node.extensions and _is_wrapped(node, parent)
    if wrapped:
        path += parent["mark"]
    elif node.looped:
        path += _visit(parent, node)
    frame: Frame = {
        "path": path,
        "node": node.pointer,
        "ref": node.pointer,
        "kind": node.kind,
        "parent": parent["path"],
        "scope": parent["scope"],
        "started": run.now,
        "raw": raw,
        "input": raw,
    }
    if "at" in parent:  # inside a function: the place of the call
        frame["ref"] = frame["at"] = parent["at"]
        frame["depth"] = parent["depth"]
    if "deadline" in parent:
        frame["deadline"] = parent["deadline"]
    if wrapped and "base" in parent:
        frame["base"] = parent["base"]
    if "again" in parent:  # an operator's retry is another attempt at another path
        frame["base"] = path
        frame["tries"] = parent.pop("again")
        frame["path"] = f"{path}~~{frame['tries']}"
    return frame


def _is_wrapped(node: Node, parent: Frame) -> bool:
    """Whether the parent is the frame of the extensions of this very task, which has been through `if` already."""
    return bool(node.extensions) and parent["kind"] == "extended" and parent["node"] == node.pointer


def _visit(parent: Frame, node: Node) -> str:
    """The mark of a later visit after a backward jump (6.2)."""
    visits = parent.setdefault("visits", {})
    number = visits.get(str(node.index), 0)
    if "again" not in parent:  # an operator's retry is the same visit
        number = visits[str(node.index)] = number + 1
    return "" if number == 1 else f"+{number}"


def _limit(run: Run, node: Node, frame: Frame) -> None:
    """Start the clock of a task that has a time limit (E4)."""
    assert node.after is not None
    due = run.now + dataflow.duration(run, frame, node.after, frame["input"])
    frame["deadline"] = min(due, frame.get("deadline", due))
    frame["limit"] = due


def leave(run: Run, node: Node, frame: Frame, output: Json) -> Frame | None:
    """C3 to C5: a task has its raw output."""
    then = frame.get("then", node.then)
    parent = run.frames[frame["parent"]]
    if node.extensions and _is_wrapped(node, parent):
        parent["output"] = output  # `$task.output` in what comes after (E9)
    try:
        if not node.is_plain:
            output = dataflow.left(run, node, frame, output)
            if node.compensate is not None:
                saga.push(run, node, frame, output)
    except WorkflowFault as failed:
        return unwinding.fail(run, frame, failed.problem)
    if node.is_saga:
        saga.succeed(run, frame)
    run.drop(frame)
    if "usage" in frame:
        run.tell("task.completed.v1", frame, output=output, usage=frame["usage"], **node.told)
    else:
        run.tell("task.completed.v1", frame, output=output, **node.told)
    return arrive(run, parent, output, END if "ending" in frame else then)


def arrive(run: Run, parent: Frame, value: Json, then: int) -> Frame:
    """C5: the transformed output is the next raw input, wherever `then` leads (T16 to T18)."""
    parent["value"] = value
    if then == CONTINUE:
        parent["pc"] += 1
    elif parent["kind"] == "extended" and parent["phase"] == "task":
        parent["pc"] += 1
        parent["then"] = then
    elif then >= 0:
        parent["pc"] = then
    else:
        parent["pc"] = _OVER
        parent["exit"] = True
        if then == END:
            parent["ending"] = True
    return parent
