"""What a model wants done in one turn: its tool calls, side by side (language.md 5.3, 5.4).

Under the agent's frame each call has a frame of kind `errand` with the phases "approval" (a person is asked) and then
"tool", or "handover": the agent that is called goes on with the conversation, and its answer is the answer. Keys of the agent's frame meanwhile: `calls` (as the model made them), `results` (texts), `left`, `branches`.
"""

from typing import Any

from perdure.interpreter import agent_context, agent_messages, dataflow
from perdure.interpreter.agent_turns import place as place_of
from perdure.interpreter.cancelling import cancel_below
from perdure.interpreter.faults import Problem, WorkflowFault
from perdure.interpreter.outcomes import WAITS, Elsewhere, Failing, Outcome
from perdure.interpreter.outcomes import begin as begin_list
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json, content_hash

AT_ONCE = 64
"""Tool calls of one turn that are made; more are answered with an error."""


def begin(run: Run, node: Node, frame: Frame, calls: list[dict[str, Any]]) -> Outcome:
    """Make the calls that can be made; a model is told of the others at once."""
    frame.update(calls=calls, results=[None] * len(calls), left=0, branches=[])
    for index, call in enumerate(calls):
        wrong = _wrong(node.body, index, call, is_alone=len(calls) == 1)
        if wrong is None:
            _send(run, node, frame, index, call)
        else:
            frame["results"][index] = agent_messages.cut(f"Error: {wrong}")
    return WAITS if frame["left"] else _report(run, node, frame)


def _wrong(body: Any, index: int, call: dict[str, Any], *, is_alone: bool) -> str | None:
    """Why this call cannot be made."""
    tool = body.tools.get(call["name"])
    if index >= AT_ONCE:
        return f"More than {AT_ONCE} tool calls at once. This one was not made."
    if tool is None:
        return f"There is no tool {call['name']!r}. The tools are: {', '.join(body.tools) or 'none'}."
    if not isinstance(call["arguments"], dict):
        return "The arguments are not a JSON object. The call was not made."
    if tool.takes_over and not is_alone:
        return "The conversation is handed over by a call that is alone in its turn. This one was not made."
    violation: str | None = tool.schema.violation(call["arguments"])
    return None if violation is None else f"The arguments do not fit, and the call was not made: {violation}"


def _send(run: Run, node: Node, frame: Frame, index: int, call: dict[str, Any]) -> None:
    place = f"{frame['path']}/turn#{frame['spent']['turns']}"
    tool = node.body.tools[call["name"]]
    hash_ = content_hash([call["name"], call["arguments"]])
    errand: Frame = {
        "path": f"{place}/errand#{index}",
        "node": node.pointer,
        "ref": frame["ref"],
        "kind": "errand",
        "parent": frame["path"],
        "scope": frame["scope"],
        "started": run.now,
        "input": None,
        "index": index,
        "bound": hash_[:24],
        "phase": _work(tool),
        "place": f"{place}/tool#{index}",
    }
    for key in ("at", "depth", "deadline"):
        if key in frame:
            errand[key] = frame[key]
    if tool.needs_approval:
        errand["phase"] = "approval"
        wanted = {"tool": call["name"], "arguments": call["arguments"], "hash": hash_}
        request = {**wanted, "run": run.state["id"], "task": frame["ref"]}
        begin_list(errand, place_of(node, "approval"), errand["place"] + "/approval", request)
    else:
        begin_list(errand, tool.list, errand["place"], call["arguments"])
    run.place(errand)
    frame["branches"].append(errand["path"])
    frame["left"] += 1
    run.ready.append(errand["path"])


def _work(tool: Any) -> str:
    return "handover" if tool.takes_over else "tool"


def list_done(run: Run, node: Node, errand: Frame, value: Json) -> Outcome:
    """A person has decided, or the tool has answered."""
    agent = run.frames[errand["parent"]]
    if "ending" in errand:  # a function of the document that says `then: end`
        agent["ending"] = True
        cancel_below(run, agent, {})
        return Elsewhere(agent, value)
    if errand["phase"] == "handover":
        cancel_below(run, agent, {})
        return Elsewhere(agent, value) if (wrong := _unfit(node.body, value)) is None else Failing(agent, wrong)
    if errand["phase"] == "tool":
        return _told(run, errand, agent_messages.text(value))
    decision = value[0] if isinstance(value, list) and value else value
    call = agent["calls"][errand["index"]]
    if isinstance(decision, dict) and decision.get("approved") is True:
        errand["phase"] = _work(node.body.tools[call["name"]])
        return begin_list(errand, node.body.tools[call["name"]].list, errand["place"], call["arguments"])
    reason = decision.get("reason") if isinstance(decision, dict) else None
    said = f" The reason given: {reason}" if isinstance(reason, str) and reason else ""
    return _told(run, errand, f"Error: A person refused this call of {call['name']}. It was not made.{said}")


def _unfit(body: Any, value: Json) -> Problem | None:
    """Why the answer of the agent that took over is none of this agent."""
    violation = None if body.output is None else body.output.violation(value)
    if violation is None:
        return None
    detail = f"The agent that took over gave an answer that does not fit the output schema: {violation}"
    return dataflow.fault("validation", detail).problem


def absorbs(run: Run, errand: Frame, failing: Frame | None) -> bool:
    """Whether a fault inside becomes a result that the model reads.

    Not while it is unknown whether an effect that is not safe to repeat has happened: that goes up (reliability.md 1).
    """
    agent = run.frames[errand["parent"]]
    tool = run.program.nodes[agent["node"]].body.tools[agent["calls"][errand["index"]]["name"]]
    unknown = failing is not None and "key" in failing
    return errand["phase"] == "tool" and (tool.is_safe or not unknown)


def failed(run: Run, errand: Frame, problem: Problem, *, unknown: bool) -> Outcome:
    """The tool has failed; nothing of it is left under the errand."""
    told = problem.get("detail") or problem.get("title") or problem["type"]
    more = " It is not known whether it happened all the same." if unknown else ""
    return _told(run, errand, f"Error: {told}{more}")


def _told(run: Run, errand: Frame, result: str) -> Outcome:
    """One call has its result; after the last one the model is asked again."""
    agent = run.frames[errand["parent"]]
    agent["results"][errand["index"]] = agent_messages.cut(result)
    agent["left"] -= 1
    run.drop(errand)
    if agent["left"]:
        return WAITS
    try:
        return Elsewhere(agent, _report(run, run.program.nodes[agent["node"]], agent))
    except WorkflowFault as fault:
        return Failing(agent, fault.problem)


def _report(run: Run, node: Node, frame: Frame) -> Outcome:
    """All results, in the order of the calls, and the next request."""
    newest = len(frame["messages"])
    for call, result in zip(frame["calls"], frame["results"], strict=True):
        agent_messages.add(frame, {"role": "tool", "toolCall": call["id"], "content": result})
    if "window" not in frame:
        agent_messages.trim(frame, newest)
    for key in ("calls", "results", "left", "branches"):
        del frame[key]
    return agent_context.next_request(run, node, frame)
