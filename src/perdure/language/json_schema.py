"""Renders the grammar as a JSON Schema (draft 2020-12), so that editors complete, explain and check documents.

Shape only: names, targets, expressions and everything else that needs a look at two places is for `check.py`.
"""

from collections.abc import Callable
from typing import Any

from perdure.language.grammar import kinds
from perdure.language.grammar.table import BUILT_IN_CALLS, DIRECTIVES, SHAPES
from perdure.language.grammar.tasks import TASK_KINDS
from perdure.language.values import Json

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: dict[str, list[str]] = {
    "object": ["object"],
    "list": ["array"],
    "text": ["string"],
    "number": ["number"],
    "boolean": ["boolean"],
    "null": ["null"],
}
_EXPRESSION = "jq, bare or in ${ }"
_ONE_KEY = {"minProperties": 1, "maxProperties": 1}


def document_schema() -> dict[str, Json]:
    """The JSON Schema of a document."""
    definitions = {name: _shape(shape) for name, shape in SHAPES.items() if name != "workflow"}
    definitions["call"] = _call(definitions["call"])
    definitions["task"] = {"description": "A task.", "oneOf": [_ref(kind) for kind in TASK_KINDS]}
    definitions["tasks"] = {
        "description": "Tasks, each under its name.",
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", **_ONE_KEY, "additionalProperties": _ref("task")},
    }
    return {
        "$schema": DIALECT,
        "title": "Perdure workflow",
        **_shape(SHAPES["workflow"]),
        "$defs": definitions,
    }


def _shape(shape: kinds.Shape) -> dict[str, Json]:
    schema: dict[str, Json] = {
        "description": shape.doc,
        "type": "object",
        "properties": {key: _field(field) for key, field in shape.fields.items()},
        "additionalProperties": False,
    }
    if shape.extra is not None:
        free: list[Json] = [{"enum": list(shape.fields)}, {"pattern": _whole(shape.extra_keys or ".*")}]
        schema |= {"additionalProperties": _kind(shape.extra), "propertyNames": {"anyOf": free}}
    if shape.minimum:
        schema["minProperties"] = shape.minimum
    if shape.together:
        schema["dependentRequired"] = {key: [other] for key, other in shape.together}
    rules = [{"oneOf": [{"required": [key]} for key in group]} for group in shape.one_of]
    if shape.some_of:
        rules.append({"anyOf": [{"required": [key]} for key in shape.some_of]})
    required = [key for key, field in shape.fields.items() if field.required]
    alone = [key for key, field in shape.fields.items() if field.alone]
    if alone:
        others: list[Json] = [*rules, *([{"required": required}] if required else [])]
        condition = {"required": alone}
        schema |= {"if": condition, "then": {"maxProperties": 1}, "else": {"allOf": others}}
        return schema
    if required:
        schema["required"] = required
    if rules:
        schema["allOf"] = rules
    return schema


def _field(field: kinds.Field) -> dict[str, Json]:
    return {"description": f"{field.doc} ({field.ref})", **_kind(field.kind)}


def _call(schema: dict[str, Json]) -> dict[str, Json]:
    """What `with` holds depends on what is called."""
    arguments: list[Json] = [
        {
            "if": {"properties": {"call": {"const": name}}},
            "then": {"properties": {"with": _ref(f"call-{name}")}, "required": ["with"]},
        }
        for name in BUILT_IN_CALLS
    ]
    function = {
        "if": {"properties": {"call": {"not": {"enum": list(BUILT_IN_CALLS)}}}},
        "then": {"properties": {"with": {"type": "object"}}},
    }
    return {**schema, "allOf": [*arguments, function]}


def _kind(kind: kinds.Kind) -> dict[str, Json]:
    return _RENDERERS[type(kind)](kind)


def _ref(name: str) -> dict[str, Json]:
    return {"$ref": f"#/$defs/{name}"}


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


def _text(kind: kinds.Text) -> dict[str, Json]:
    return {"type": "string", **({"pattern": _whole(kind.pattern)} if kind.pattern else {})}


def _range(kind: kinds.Whole) -> dict[str, Json]:
    limits = {"minimum": kind.minimum, "maximum": kind.maximum}
    return {"type": "integer", **{name: limit for name, limit in limits.items() if limit is not None}}


def _template(kind: kinds.Template) -> dict[str, Json]:
    types = [name for taken in kind.takes for name in _TYPES[taken]]
    return {"type": types[0] if len(types) == 1 else types} if types else {}


def _metadata(kind: kinds.Metadata) -> dict[str, Json]:
    if not kind.of_task:
        return {"type": "object"}
    read = {
        "compensate": {"description": "The task that undoes this one.", **_ref("task")},
        "saga": {"description": "Whether faults that leave this task undo what was done in it.", "type": "boolean"},
        "compete": {"description": "On a fork: wait for the first success instead of the first end.", "const": "any"},
    }
    return {"type": "object", "properties": read}


def _items(kind: kinds.Items) -> dict[str, Json]:
    return {"type": "array", "items": _kind(kind.item)}


def _entries(kind: kinds.Entries) -> dict[str, Json]:
    minimum = {"minProperties": kind.minimum} if kind.minimum else {}
    return {"type": "object", "additionalProperties": _kind(kind.value), **minimum}


def _steps(kind: kinds.Steps) -> dict[str, Json]:
    item = {"type": "object", **_ONE_KEY, "additionalProperties": _kind(kind.value)}
    return {"type": "array", "items": item, **({"minItems": kind.minimum} if kind.minimum else {})}


def _either(kind: kinds.Either) -> dict[str, Json]:
    given = (kind.text, kind.object, kind.list)
    return {"anyOf": [_kind(alternative) for alternative in given if alternative is not None]}


_RENDERERS: dict[type, Callable[[Any], dict[str, Json]]] = {
    kinds.Anything: lambda _: {},
    kinds.Text: _text,
    kinds.Name: lambda _: {"type": "string", "minLength": 1},
    kinds.Flag: lambda _: {"type": "boolean"},
    kinds.Whole: _range,
    kinds.Number: lambda _: {"type": "number", "exclusiveMinimum": 0},
    kinds.Choice: lambda kind: {"type": "string", "enum": list(kind.values)},
    kinds.Expression: lambda _: {"type": "string", "title": _EXPRESSION},
    kinds.Wrapped: lambda _: {"type": "string", "pattern": r"^\s*\$\{[\s\S]*\}\s*$"},
    kinds.Template: _template,
    kinds.TextValue: lambda _: {"type": ["string", "number", "boolean"]},
    kinds.Uri: lambda _: {"type": "string", "minLength": 1},
    kinds.Duration: lambda _: {"anyOf": [{"type": "string"}, _ref("duration")]},
    kinds.JsonSchema: lambda _: {"type": ["object", "boolean"]},
    kinds.Cron: lambda _: {"type": "string"},
    kinds.Variable: lambda _: {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
    kinds.Reference: lambda _: {"type": "string"},
    kinds.Target: lambda _: {"anyOf": [{"enum": list(DIRECTIVES)}, {"type": "string"}]},
    kinds.Callable: lambda _: {"anyOf": [{"enum": list(BUILT_IN_CALLS)}, {"type": "string"}]},
    kinds.Arguments: lambda _: {},
    kinds.Task: lambda _: _ref("task"),
    kinds.Tasks: lambda _: _ref("tasks"),
    kinds.Metadata: _metadata,
    kinds.Object: lambda kind: _ref(kind.shape),
    kinds.Items: _items,
    kinds.Entries: _entries,
    kinds.Steps: _steps,
    kinds.Either: _either,
}
