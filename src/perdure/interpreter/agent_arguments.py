"""What `agent` takes and what a model answers (language.md 5.2), and where each stands in a frame.

`tools`, `handover`, `output` and `approval` are fixed in the document, since they are part of the program; all else is evaluated.
"""

from typing import Any

from perdure.interpreter import agent_messages, dataflow, handles
from perdure.interpreter.program import Frame
from perdure.interpreter.state import Run
from perdure.language.durations import milliseconds
from perdure.language.schemas import Schema
from perdure.language.values import Json

FIXED = ("tools", "handover", "output", "approval")

TURNS = 20
"""Requests to the model when `limits.turns` is absent."""

MOST_TURNS = 1_000

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 0},
        "maxTokens": {"type": "integer", "minimum": 1},
        "topP": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "seed": {"type": "integer"},
        "stop": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 4},
    },
    "additionalProperties": False,
}
"""What may be told to a model besides its messages."""

_tool = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "version": {"type": "string", "minLength": 1},
        "description": {"type": "string"},
        "parameters": {"type": "object", "description": "JSON Schema of the arguments; the function's own by default."},
    },
    "required": ["name"],
    "additionalProperties": False,
}
_limits = {
    "type": "object",
    "properties": {
        "turns": {"type": "integer", "minimum": 1, "maximum": MOST_TURNS, "default": TURNS},
        "tokens": {"type": "integer", "minimum": 1, "description": "Tokens in and out, of all requests together."},
        "cost": {"type": "number", "exclusiveMinimum": 0, "description": "US dollars, of all requests together."},
        "duration": {"type": ["object", "string"], "description": "A duration, from the start of the agent."},
    },
    "additionalProperties": False,
}
_context = {
    "type": "object",
    "properties": {
        "characters": {"type": "integer", "minimum": 1_000, "default": agent_messages.CONTEXT},
        "full": {"enum": ["drop", "summarize"], "default": "drop"},
    },
    "additionalProperties": False,
    "description": "How long the conversation may become, and what is done then.",
}
_earlier = {
    "type": "object",
    "properties": {"role": {"enum": ["user", "assistant"]}, "content": {"type": "string"}},
    "required": ["role", "content"],
    "additionalProperties": False,
}
INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "instruction": {"type": "string", "minLength": 1, "description": "What the agent is to do."},
        "input": {"description": "The data to do it on: a text, or any value, which is written as JSON."},
        "tools": {
            "type": "array",
            "maxItems": 128,
            "items": {"anyOf": [{"type": "string", "minLength": 1}, _tool]},
            "description": "Functions that the model may call: `name`, `name:version`, or with a description.",
        },
        "handover": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": "Agents of use.functions that the model may hand the conversation over to.",
        },
        "output": {"type": ["object", "boolean"], "description": "JSON Schema that the final answer must fit."},
        "images": {"type": "array", "maxItems": 32, "items": {"type": "object"}, "description": "As of `infer`."},
        "limits": _limits,
        "context": _context,
        "approval": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": "Tools whose calls a person has to approve.",
        },
        "memory": {"type": "array", "items": _earlier, "description": "What was said before this."},
        "model": {"type": "string", "minLength": 1},
        "provider": {"type": "string", "minLength": 1},
        "parameters": PARAMETERS,
        "stream": {"type": "boolean", "description": "Report the model's text as it comes as progress of its step."},
    },
    "required": ["instruction"],
    "additionalProperties": False,
}
"""The input schema of `agent`."""

_call = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "name": {"type": "string"}, "arguments": {}},
    "required": ["id", "name", "arguments"],
}
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "toolCalls": {"type": "array", "items": _call},
        "finish": {"enum": ["stop", "length", "refused", "tools"]},
    },
    "required": ["text"],
}
"""The output schema of `model`: what one turn gives. `arguments` that are no object were not JSON."""

_given = Schema(INPUT)
_answer = Schema(ANSWER)


def take(run: Run, frame: Frame, given: Json) -> None:
    """Check the evaluated arguments and put them into the agent's frame. WorkflowFault when they do not fit."""
    if handles.has_secret(given):
        raise dataflow.fault(
            "authorization", "A secret never enters a model's prompt. Leave it out of the arguments of agent."
        )
    violation = _given.violation(given)
    if violation is not None:
        raise dataflow.fault("validation", f"The arguments of agent do not fit: {violation}")
    limits = given.get("limits", {})
    frame["asked"] = {key: given[key] for key in ("model", "provider", "parameters", "stream") if key in given}
    frame["spent"] = {"turns": 0, "tokens": 0, "cost": 0, "corrections": 0}
    frame["most"] = {"turns": limits.get("turns", TURNS)}
    for what in ("tokens", "cost"):
        if what in limits:
            frame["most"][what] = limits[what]
    if "duration" in limits:
        try:
            frame["until"] = run.now + milliseconds(limits["duration"])
        except ValueError as error:
            raise dataflow.fault("validation", f"limits.duration of agent does not fit: {error}") from None
        frame["deadline"] = min(frame["until"], frame.get("deadline", frame["until"]))


def answer(value: Json) -> dict[str, Any]:
    """What a turn gave, checked. WorkflowFault `communication` when it is no answer of a model."""
    violation = _answer.violation(value)
    if violation is not None:
        raise dataflow.fault("communication", f"What the model gave is no answer: {violation}")
    checked: dict[str, Any] = value
    return checked
