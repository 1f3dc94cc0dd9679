"""`approve` of the default catalog: a person decides (language.md 5.2, 5.4).

It is the portable form: a task that asks by an event, and one that listens for the answer. Whatever sends that event
answers, from any system: one whose data has no boolean `approved`, or a `hash` of something else than was shown, is void.
The time limit of the task is that of the answer; without one it is 48 hours.
"""

from typing import Any

from perdure.interpreter import dataflow, handles
from perdure.interpreter.agent_tools import DECIDED, REQUESTED
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.outcomes import Outcome, begin
from perdure.interpreter.program import Frame, Node, Site
from perdure.interpreter.state import Run
from perdure.interpreter.tasks import call_
from perdure.language.schemas import Schema
from perdure.language.values import Json, content_hash

LIMIT = 48 * 3_600_000
"""Milliseconds for an answer where the task has no time limit of its own."""

_name: dict[str, Json] = {"type": "string", "minLength": 1, "maxLength": 200}
INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 300, "description": "The question, in one line."},
        "details": {"description": "What the person needs to know: any value."},
        "to": {
            "anyOf": [_name, {"type": "array", "items": _name, "maxItems": 100}],
            "description": "Who may decide: `user:<id>` or `role:<name>`; absent: everybody who may decide anything.",
        },
        "form": {
            "type": ["object", "boolean"],
            "description": "JSON Schema of the `data` that goes with a decision.",
        },
    },
    "required": ["title"],
    "additionalProperties": False,
}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "by": {"type": ["string", "null"]},
        "at": {"type": "string"},
        "reason": {"type": "string"},
        "data": {},
    },
    "required": ["approved", "by", "at", "reason", "data"],
}
_given = Schema(INPUT)

_IS_SOUND = '${ (.approved | type) == "boolean" and (.hash == null or .hash == $input.data.hash) }'
_ASK: Json = [
    {"request": {"emit": {"event": {"with": {"type": REQUESTED, "data": "${ . }"}}}}},
    {
        "answer": {
            "listen": {
                "to": {
                    "one": {
                        "with": {"type": DECIDED, "data": _IS_SOUND},
                        "correlate": {"request": {"from": ".subject", "expect": "${ .id }"}},
                    }
                },
                "read": "envelope",
            }
        }
    },
]


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    with_ = node.definition.get("with", {})
    node.kind, node.behaviour = "approval", builder.kinds["approval"]
    node.body = builder.template(with_, "body", around, node.pointer + "/with")
    if node.after is None:
        node.after = Site(None, (), LIMIT)
    # The document's extensions and mode are none of the business of what stands nowhere in the document.
    mode, builder.mode = builder.mode, "strict"
    builder.tasks(_ASK, _place(node), Surroundings(in_extension=True))
    builder.mode = mode


def _place(node: Node) -> str:
    return f"approve:{node.pointer}"


# At run time


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    call_.descend(run, frame)
    given = dataflow.evaluate(run, frame, node.body, frame["input"])
    _check(given)
    shown = [given["title"], given.get("details"), given.get("form")]
    to = given.get("to", [])
    request = {
        "title": given["title"],
        "details": given.get("details"),
        "to": [to] if isinstance(to, str) else to,
        "hash": content_hash(shown),
        "run": run.state["id"],
        "task": frame["ref"],
        "deadline": dataflow.iso8601(frame["limit"]),
    }
    if "form" in given:
        request["form"] = frame["form"] = given["form"]
    return begin(frame, _place(node), f"{frame['path']}/ask", request)


def _check(given: Json) -> None:
    """WorkflowFault when the arguments do not fit."""
    if handles.has_secret(given):
        raise dataflow.fault("authorization", "A secret is never shown to people. Leave it out of the arguments.")
    violation = _given.violation(given)
    if violation is not None:
        raise dataflow.fault("validation", f"The arguments of approve do not fit: {violation}")
    try:
        Schema(given.get("form", True)).check()
    except ValueError as error:
        raise dataflow.fault("validation", f"The form of approve cannot be used: {error}") from None


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    """Somebody has decided."""
    event = value[0]
    data = event["data"]
    if "form" in frame and (data["approved"] or data.get("data") is not None):
        violation = Schema(frame["form"]).violation(data.get("data"))
        if violation is not None:
            raise dataflow.fault("validation", f"The decision's data does not fit the form: {violation}")
    reason = data.get("reason")
    by = data.get("by")
    return {
        "approved": data["approved"],
        "by": by if isinstance(by, str) else None,
        "at": _at(run, data.get("at"), event.get("time")),
        "reason": reason if isinstance(reason, str) else "",
        "data": data.get("data"),
    }


def _at(run: Run, *told: Json) -> str:
    """When it was decided: as it is told, in milliseconds or as text, or else now."""
    for at in told:
        if isinstance(at, int) and not isinstance(at, bool) and 0 <= at < 10**14:
            return dataflow.iso8601(at)
        if isinstance(at, str) and at:
            return at
    return dataflow.iso8601(run.now)
