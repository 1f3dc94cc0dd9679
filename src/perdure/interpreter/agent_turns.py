"""A turn of an agent: one request to its model (language.md 5.3).

The frame of a turn stands under that of its agent, at `<task>/turn#n`. What is asked follows from the agent's frame at
that moment, so it is kept once, and a turn that is entered again asks the same.
"""

from typing import Any

from perdure.interpreter import dataflow
from perdure.interpreter.events import Event
from perdure.interpreter.faults import WorkflowFault
from perdure.interpreter.outcomes import Outcome
from perdure.interpreter.outcomes import begin as begin_list
from perdure.interpreter.program import Frame, Node, Site
from perdure.interpreter.state import Run
from perdure.interpreter.tasks import call_

MODEL = call_.Call("model", Site(None, ()))
"""The function of the default catalog that asks a model once. Its first major version is what an agent can speak to."""
MODEL.version = "1"


def place(node: Node, what: str) -> str:
    """The name of a node that an agent adds: it stands nowhere in the document, so this is no JSON pointer."""
    return f"agent:{node.pointer}/{what}"


def begin(run: Run, node: Node, frame: Frame) -> Outcome:
    """Let the agent of this frame ask its model once more, unless a limit is reached."""
    spent = frame["spent"]
    _check(run, frame)
    spent["turns"] += 1
    return begin_list(frame, place(node, "turn"), f"{frame['path']}/turn#{spent['turns']}", spent["turns"])


def _check(run: Run, frame: Frame) -> None:
    spent, most = frame["spent"], frame["most"]
    for what in ("turns", "tokens"):
        if what in most and spent[what] >= most[what]:
            raise _limit(frame, f"limits.{what} is {most[what]:,}")
    if "until" in frame and run.now >= frame["until"]:
        raise _limit(frame, f"limits.duration ended at {dataflow.iso8601(frame['until'])}")


def _limit(frame: Frame, which: str) -> WorkflowFault:
    spent = frame["spent"]
    detail = (
        f"The agent has no final answer and {which}: "
        f"it has used {spent['turns']:,} turns and {spent['tokens']:,} tokens."
    )
    return dataflow.fault("runtime", detail, title="agent limit reached")


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    frame["bound"] = run.frames[frame["parent"]]["digest"]
    return again(run, node, frame)


def again(run: Run, node: Node, frame: Frame) -> Outcome:
    """Ask. After an operator opened a faulted run again this happens anew, with the same key."""
    agent = run.frames[frame["parent"]]
    body = run.program.nodes[agent["node"]].body
    request = {**agent["asked"], "messages": list(agent["messages"])}
    if body.shown:
        request["tools"] = body.shown
    if body.output is not None:
        request["output"] = body.output.document
    return call_.give_out(run, frame, MODEL, request)


def answered(run: Run, node: Node, frame: Frame, purpose: str, event: Event) -> Outcome:
    agent = run.frames[frame["parent"]]
    try:
        answer = call_.answered(run, node, frame, purpose, event)
    except WorkflowFault:
        if "until" in agent and run.now >= agent["until"]:  # the agent's time ended the request
            _check(run, agent)
        raise
    agent["spent"]["tokens"] += _tokens(frame.get("usage"))
    return answer


def _tokens(usage: dict[str, Any] | None) -> int:
    told = [] if usage is None else [usage.get(key) for key in ("inputTokens", "outputTokens")]
    return sum(number for number in told if isinstance(number, int))
