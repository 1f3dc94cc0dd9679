"""How a fault goes up (language.md E2, E4, T20 to T23, 5.4), and how parts of a run are cancelled.

First somebody is looked for who takes the fault, then everything below is given up. When nobody takes it, nothing is:
the run faults with its frames parked, so that an operator can mend it (`operator.py`).
"""

from perdure.interpreter import agent_errands, keys, lifecycle, retry, saga
from perdure.interpreter.cancelling import INTERNAL, cancel_below
from perdure.interpreter.dataflow import raw_of
from perdure.interpreter.faults import Problem, WorkflowFault, placed
from perdure.interpreter.outcomes import Elsewhere, Failing
from perdure.interpreter.program import Frame
from perdure.interpreter.state import Run
from perdure.interpreter.tasks import fork as fork_


def fail(run: Run, frame: Frame, problem: Problem) -> Frame | None:
    """This task fails. Gives the frame that goes on, if any does."""
    if "instance" not in problem:
        problem = placed(problem, frame)
    if frame["path"] in run.frames and saga.has_to_undo(run, frame):
        cancel_below(run, frame, {})
        return saga.begin(run, frame, {"fault": problem})
    if frame["parent"] is None:
        _uncaught(run, frame, problem)
        return None
    return _rise(run, frame, frame["parent"], problem)


def fail_inside(run: Run, frame: Frame, problem: Problem) -> Frame | None:
    """What this frame is doing fails (the time limit of one attempt): the frame itself may take the fault."""
    return _rise(run, None, frame["path"], placed(problem, frame))


def fail_run(run: Run, problem: Problem) -> Frame | None:
    """The run fails as a whole, and no `catch` is asked (E4)."""
    root = run.frames[""]
    if run.state["sagas"]:
        cancel_below(run, root, {})
        return saga.begin(run, root, {"fault": problem})
    _uncaught(run, root, problem)
    return None


def _rise(run: Run, failing: Frame | None, above: str, problem: Problem) -> Frame | None:
    """Find who takes the fault, from the frame at `above` upwards."""
    owner = run.frames[above]
    while True:
        kind = owner["kind"]
        if kind == "try" and owner["phase"] == "try":
            try:
                decision = retry.decide(run, owner, problem)
            except WorkflowFault as failed:  # the filter itself failed, and that fault goes on instead
                problem, decision = placed(failed.problem, owner), None
            if decision is not None:
                _give_up_below(run, owner, failing, problem)
                return retry.take(run, owner, problem, decision)
        elif kind == "branch" and fork_.absorbs(run, owner):
            _give_up_below(run, owner, failing, problem)
            fork_.lose(run, owner)
            return None
        elif kind == "errand" and agent_errands.absorbs(run, owner, failing):
            return _feed_back(run, owner, failing, problem)
        elif kind == "compensation":
            problem = saga.blamed(run, owner, problem)
            break
        if saga.has_to_undo(run, owner):
            _give_up_below(run, owner, failing, problem)
            return saga.begin(run, owner, {"fault": problem})
        if failing is None:
            failing = owner
        if owner["parent"] is None:
            break
        owner = run.frames[owner["parent"]]
    _uncaught(run, owner if failing is None else failing, problem)
    return None


def _feed_back(run: Run, errand: Frame, failing: Frame | None, problem: Problem) -> Frame | None:
    """A tool failed: its agent is told, and goes on when nothing else is under way (5.3)."""
    unknown = failing is not None and "key" in failing
    _give_up_below(run, errand, failing, problem)
    outcome = agent_errands.failed(run, errand, problem, unknown=unknown)
    if isinstance(outcome, Failing):
        return fail(run, outcome.frame, outcome.problem)
    return outcome.frame if isinstance(outcome, Elsewhere) else None


def _uncaught(run: Run, failing: Frame, problem: Problem) -> None:
    """Nobody takes it: the run faults, and all that an operator needs stays."""
    if failing["kind"] not in INTERNAL:
        run.tell("task.faulted.v1", failing, error=problem)
    parked = {
        "path": failing["path"],
        "parent": failing["parent"],
        "node": failing["node"],
        "ref": failing["ref"],
        "raw": None if failing["parent"] is None else raw_of(failing),
        "tries": failing.get("tries", 1),
        "at": run.now,
    }
    if "key" in failing:
        keys.remember(run, failing)
    if failing["parent"] is not None:
        cancel_below(run, failing, {})
        run.drop(failing)
    lifecycle.faulted(run, problem, parked)


def _give_up_below(run: Run, owner: Frame, failing: Frame | None, problem: Problem) -> None:
    """Everything under `owner` ends: the tasks on the way of the fault as faulted, all others as cancelled."""
    way: dict[str, Problem] = {}
    frame = failing
    while frame is not None and frame["path"] != owner["path"]:
        way[frame["path"]] = problem
        frame = run.frames.get(frame["parent"])
    if failing is not None and failing["path"] not in run.frames:
        run.tell("task.faulted.v1", failing, error=problem)
    cancel_below(run, owner, way)
