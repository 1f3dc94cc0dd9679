"""The agent loop (language.md 5.3): ask the model, do what it wants done, tell it, and ask again until it answers.

A call of the catalog function `agent` is no opaque call: each request (`<task>/turn#n`), each tool call
(`<task>/turn#n/tool#m`) and each approval is a step of its own, with its own journal entries and idempotency key.
The frame of an agent goes from a turn to its errands and to the next turn; `agent_arguments.py`, `agent_messages.py`,
`agent_context.py` and `agent_errands.py` say which keys it has for that.
"""

from typing import Any

import msgspec

from perdure.interpreter import (
    agent_arguments,
    agent_context,
    agent_errands,
    agent_messages,
    agent_tools,
    agent_turns,
    dataflow,
    handles,
)
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.outcomes import Outcome
from perdure.interpreter.program import Frame, Node, Site, invalid
from perdure.interpreter.state import Run
from perdure.interpreter.tasks import call_
from perdure.language.schemas import Schema
from perdure.language.values import Json

CORRECTIONS = 2
"""How often a model may mend a final answer that does not fit `output`."""

DEEPEST = 64
"""Levels of a structured answer, at most: as deep as results of calls may be."""


class Agent:
    """A compiled agent."""

    __slots__ = ("output", "shown", "tools", "with_")

    def __init__(self, with_: Site, tools: dict[str, agent_tools.Tool], output: Schema | None) -> None:
        self.with_ = with_
        self.tools = tools
        self.output = output
        self.shown = [tool.shown for tool in tools.values()]


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    with_ = node.definition.get("with", {})
    pointer = node.pointer + "/with"
    if not isinstance(with_, dict):
        raise invalid(pointer, "the arguments of an agent are a map: its tools are part of the program.")
    fixed = {key: with_[key] for key in agent_arguments.FIXED if key in with_}
    violation = Schema({**agent_arguments.INPUT, "required": []}).violation(fixed)
    if violation is not None:
        raise invalid(pointer, f"{', '.join(agent_arguments.FIXED)} must be written out: {violation}")
    evaluated = {key: value for key, value in with_.items() if key not in fixed}
    site = builder.template(evaluated, "body", around, pointer)
    node.kind, node.behaviour = "agent", builder.kinds["agent"]
    node.body = Agent(site, agent_tools.compile(builder, node, fixed), _output(fixed, pointer))
    for kind in ("turn", "summary"):
        step = Node(agent_turns.place(node, kind), kind, node.name, node.definition)
        step.behaviour = builder.kinds[kind]
        builder.program.nodes[step.pointer] = step
        builder.program.lists[step.pointer] = (step,)


def _output(fixed: dict[str, Any], pointer: str) -> Schema | None:
    if "output" not in fixed:
        return None
    schema = Schema(fixed["output"])
    try:
        schema.check()
    except ValueError as error:
        raise invalid(pointer + "/output", str(error)) from None
    return schema


# At run time


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    call_.descend(run, frame)
    given = dataflow.evaluate(run, frame, node.body.with_, frame["input"])
    agent_arguments.take(run, frame, given)
    taken_over = _taken_over(run, frame)
    agent_messages.open_with(frame, given, taken_over or [])
    agent_context.open_with(frame, given, is_taken_over=taken_over is not None)
    return agent_context.next_request(run, node, frame)


def _taken_over(run: Run, frame: Frame) -> list[dict[str, Any]] | None:
    """The conversation of the agent that handed over to this one; None when none did."""
    call = run.frames[frame["parent"]]
    errand = run.frames.get(call["parent"] or "")
    if errand is None or errand.get("phase") != "handover":
        return None
    return agent_messages.told(run.frames[errand["parent"]]["messages"][1:])


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    """A turn is through: the model wants something done, or this is its final answer."""
    answer = agent_arguments.answer(value)
    if "cut" in frame.get("window", ()):
        is_said = answer.get("finish") != "refused"
        return agent_context.summarized(run, node, frame, answer["text"] if is_said else "")
    calls = answer.get("toolCalls")
    if answer.get("finish") == "refused":
        raise dataflow.fault("validation", "The model refused to answer.")
    if calls:
        said = {"role": "assistant", "content": agent_messages.cut(answer["text"]), "toolCalls": calls}
        agent_messages.add(frame, said)
        return agent_errands.begin(run, node, frame, calls)
    if node.body.output is None:
        return answer["text"]
    made, violation = _structured(node.body.output, answer["text"])
    if violation is None:
        return made
    if answer.get("finish") == "length":
        violation = f"It was cut at the limit of tokens. {violation}"
    return _correct(run, node, frame, answer["text"], violation)


def _structured(schema: Schema, text: str) -> tuple[Json, str | None]:
    """The value that a text spells, and why it does not fit. Only a definition can make a handle (5.5)."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None, "It is not JSON."
    except RecursionError:
        return None, _TOO_DEEP
    if _depth(value) > DEEPEST:
        return None, _TOO_DEEP
    violation = schema.violation(value)
    return handles.escape(value), violation


_TOO_DEEP = f"It is nested more than {DEEPEST} levels deep."


def _depth(value: Json) -> int:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        depth += 1
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _correct(run: Run, node: Node, frame: Frame, text: str, violation: str) -> Outcome:
    """Ask again with what is wrong, a few times."""
    spent = frame["spent"]
    if spent["corrections"] >= CORRECTIONS:
        detail = f"The agent's answer does not fit the output schema after {CORRECTIONS} corrections: {violation}"
        raise dataflow.fault("validation", detail)
    spent["corrections"] += 1
    agent_messages.add(frame, {"role": "assistant", "content": agent_messages.cut(text)})
    wanted = (
        f"That answer does not fit the JSON Schema. {violation} Answer again with JSON that fits, and nothing else."
    )
    agent_messages.add(frame, {"role": "user", "content": wanted})
    return agent_context.next_request(run, node, frame)
