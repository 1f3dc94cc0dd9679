"""A turn of an agent: one request to its model (language.md 5.3).

The frame of a turn stands under that of its agent, at `<task>/turn#n`. What is asked follows from the agent's frame at
that moment, so it is kept once, and a turn that is entered again asks the same.
"""

from collections.abc import Iterator
from typing import Any

from perdure.interpreter import dataflow
from perdure.interpreter.events import Event
from perdure.interpreter.faults import WorkflowFault
from perdure.interpreter.outcomes import WAITS, Outcome
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
    check(run, frame)
    spent["turns"] += 1
    return begin_list(frame, place(node, "turn"), f"{frame['path']}/turn#{spent['turns']}", spent["turns"])


def check(run: Run, frame: Frame) -> None:
    """WorkflowFault when this agent, or one that it works for, has reached a limit."""
    _check(run, frame)
    for above in _above(run, frame):
        _check(run, above, without="turns")


def _check(run: Run, frame: Frame, without: str = "") -> None:
    spent, most = frame["spent"], frame["most"]
    for what in ("turns", "tokens"):
        if what in most and what != without and spent[what] >= most[what]:
            raise _limit(frame, f"limits.{what} is {most[what]:,}")
    if "cost" in most:
        if "unpriced" in spent:
            detail = (
                f"limits.cost is set, but the price of the model {spent['unpriced']!r} is not known here. "
                "Give it under `prices` in the models file."
            )
            raise dataflow.fault("configuration", detail)
        if spent["cost"] >= most["cost"]:
            raise _limit(frame, f"limits.cost is {most['cost']:g} US dollars")
    if "until" in frame and run.now >= frame["until"]:
        raise _limit(frame, f"limits.duration ended at {dataflow.iso8601(frame['until'])}")


def _above(run: Run, frame: Frame) -> Iterator[Frame]:
    """The agents that this one works for, as a tool or in their place: what it spends is theirs too."""
    while frame["parent"] is not None:
        frame = run.frames[frame["parent"]]
        if frame["kind"] == "agent":
            yield frame


def _limit(frame: Frame, which: str) -> WorkflowFault:
    spent = frame["spent"]
    cost = f" for {spent['cost']:g} US dollars" if "cost" in frame["most"] else ""
    detail = (
        f"The agent has no final answer and {which}: "
        f"it has used {spent['turns']:,} turns and {spent['tokens']:,} tokens{cost}."
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
    if answer is WAITS:
        return WAITS
    for payer in (agent, *_above(run, agent)):
        _charge(payer["spent"], frame.get("usage"))
    return answer


def _charge(spent: dict[str, Any], usage: dict[str, Any] | None) -> None:
    """What one request has used."""
    usage = usage or {}
    told = [usage.get(key) for key in ("inputTokens", "outputTokens")]
    spent["tokens"] += sum(number for number in told if isinstance(number, int))
    cost = usage.get("cost")
    if isinstance(cost, int | float) and cost >= 0:
        spent["cost"] = round(spent.get("cost", 0) + cost, 9)
    else:
        spent["unpriced"] = str(usage.get("model", ""))
