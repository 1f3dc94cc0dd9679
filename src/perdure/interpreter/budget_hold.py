"""A step that a budget refuses holds where it stands, until there is money for it (language.md 5.3).

Only a refusal that says what it waits for holds: the question that a person is asked, the end of the budget's period,
or both. The step subscribes to the answer and starts a timer, as a task would that listens; what comes first makes the
same call again, or faults the step when a person has refused. The frame has `hold` meanwhile: `{"problem", "key",
"question"}`.
"""

from typing import Any

from perdure.interpreter import correlation, dataflow
from perdure.interpreter.commands import Subscribe
from perdure.interpreter.events import CallFailed, EventReceived
from perdure.interpreter.faults import Problem, WorkflowFault, placed
from perdure.interpreter.outcomes import WAITS, Outcome
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json

BUDGET = "urn:perdure:error:budget"
"""The type of the fault of a request that a budget has no money left for; status 429."""
SETTLED = "dev.perdure.budget.settled.v1"
"""The type of the event that answers the question: its subject is the question, its `data.outcome` what became of it."""
REFUSED = "refused"
"""The outcome that faults the step. With every other one it asks again."""


def is_hold(event: CallFailed) -> bool:
    """Whether the step waits and does not fail: nothing has happened, and it is said what may change."""
    return event.outcome == "definite" and event.error.get("type") == BUDGET and _terms(event.error) != (None, None)


def _terms(problem: Problem) -> tuple[str | None, int | None]:
    """The question, and the moment at which it is worth asking again."""
    told = problem.get("hold")
    told = told if isinstance(told, dict) else {}
    question, until = told.get("question"), told.get("until")
    is_moment = isinstance(until, int) and not isinstance(until, bool) and until >= 0
    return (question if isinstance(question, str) and question else None), (until if is_moment else None)


def begin(run: Run, frame: Frame, problem: Problem) -> Outcome:
    """Wait. The call has certainly not happened, so that it is none whose outcome is unknown; it keeps its key."""
    question, until = _terms(problem)
    shown = {key: value for key, value in problem.items() if key != "hold"}
    frame["hold"] = {"problem": shown, "key": frame.pop("key"), "question": question}
    if question is not None:
        command = run.wait(frame, "budget")
        filter_: dict[str, Any] = {
            "with": {"type": SETTLED},
            "correlate": {"question": {"from": ".subject", "expect": question}},
        }
        run.commands.append(Subscribe(id=command, path=frame["path"], filters=[filter_]))
    moments = [moment for moment in (until, _end(run, frame)) if moment is not None]
    if moments:
        run.timer(frame, "renewal", min(moments))
    run.tell("task.status-changed.v1", frame, status="waiting", wait=_wait(shown, question, until))
    return WAITS


def _wait(problem: Problem, question: str | None, until: int | None) -> dict[str, Json]:
    """What is waited for, for people to read."""
    told = {"budget": problem.get("budget"), "detail": problem.get("detail"), "question": question, "until": until}
    return {"kind": "budget", **{key: value for key, value in told.items() if value is not None}}


def _end(run: Run, frame: Frame) -> int | None:
    """When the time of an agent around is over: it has no timer, for a call would end then by itself."""
    moments = []
    while frame["parent"] is not None:
        frame = run.frames[frame["parent"]]
        if frame["kind"] == "agent" and "until" in frame:
            moments.append(frame["until"])
    return min(moments, default=None)


def received(run: Run, node: Node, frame: Frame, purpose: str, event: EventReceived) -> Outcome:
    """The question is settled. False: it is another one, or a run says so, who cannot know."""
    told = event.event
    if correlation.RUN in told or (told.get("type"), told.get("subject")) != (SETTLED, frame["hold"]["question"]):
        return False
    data = told.get("data")
    if isinstance(data, dict) and data.get("outcome") == REFUSED:
        _close(run, frame)
        raise WorkflowFault(placed(frame.pop("hold")["problem"], frame))
    return _ask_again(run, node, frame)


def fired(run: Run, node: Node, frame: Frame) -> Outcome:
    """The budget's period has begun anew, or the time of an agent is over."""
    end = _end(run, frame)
    if end is not None and run.now >= end:
        _close(run, frame)
        del frame["hold"]
        raise dataflow.fault("timeout", "The call still waited for a budget when its deadline came.")
    return _ask_again(run, node, frame)


def _ask_again(run: Run, node: Node, frame: Frame) -> Outcome:
    _close(run, frame)
    run.tell("task.status-changed.v1", frame, status="running")
    outcome: Outcome = run.program.kinds[frame["kind"]].again(run, node, frame)
    return outcome


def _close(run: Run, frame: Frame) -> None:
    run.give_up_for(frame, ("budget", "renewal"))


def go_on(frame: Frame) -> None:
    """The call is given out again, under the key that it had."""
    if "hold" in frame:
        frame["key"] = frame.pop("hold")["key"]
