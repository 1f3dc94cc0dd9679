"""The tools of an agent, compiled: functions of the document and of the catalog (language.md 5.2, 5.3).

What the model is told of a catalog function is pinned in the program's resources under `perdure:tools/<as written>`:
a run goes on with the tools that it began with, whatever the catalog says by then.
"""

import re
from typing import Any

from perdure.interpreter.agent_turns import place
from perdure.interpreter.compiler import Builder, Surroundings, escape
from perdure.interpreter.program import Node, invalid
from perdure.interpreter.tasks.call_ import AGENT, Call
from perdure.language.schemas import Schema
from perdure.language.values import Json

PINNED = "perdure:tools/"
REQUESTED = "dev.perdure.approval.requested.v1"
DECIDED = "dev.perdure.approval.decided.v1"

_name = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_OWN = frozenset({"agent", "approve", "a2a", "asyncapi", "grpc", "http", "mcp", "openapi"})
"""Calls whose arguments the machine makes: a function of the document has to stand before them."""

_ANYTHING: dict[str, Json] = {"type": "object"}

_APPROVAL: Json = [
    {"request": {"emit": {"event": {"with": {"type": REQUESTED, "data": "${ . }"}}}}},
    {
        "answer": {
            "listen": {
                "to": {
                    "one": {
                        "with": {"type": DECIDED},
                        "correlate": {
                            "request": {"from": ".subject", "expect": "${ .id }"},
                            "hash": {"from": ".data.hash", "expect": "${ .data.hash }"},
                        },
                    }
                }
            }
        }
    },
]
"""The portable form of 5.4. A decision says for which arguments it is; one for others is void."""


class Tool:
    """One tool: what the model is told, and the list of one task that a call of it is."""

    __slots__ = ("description", "is_safe", "list", "name", "needs_approval", "schema", "takes_over")

    def __init__(self, name: str, description: str, parameters: Json, *, is_safe: bool) -> None:
        self.name = name
        self.description = description
        self.schema = Schema(parameters)
        self.is_safe = is_safe
        self.list = ""
        self.needs_approval = False
        self.takes_over = False
        """The agent that it is goes on with the conversation."""

    @property
    def shown(self) -> dict[str, Json]:
        """As in a request to a model."""
        return {"name": self.name, "description": self.description, "parameters": self.schema.document}


def compile(builder: Builder, node: Node, with_: dict[str, Any]) -> dict[str, Tool]:
    """The tools by name, in the order of the text."""
    found: dict[str, Tool] = {}
    wanted = [(f"tools/{index}", item) for index, item in enumerate(with_.get("tools", ()))]
    others = [(f"handover/{index}", name) for index, name in enumerate(with_.get("handover", ()))]
    for at, item in wanted + others:
        where = f"{node.pointer}/with/{at}"
        tool = _tool(builder, node, {"name": item} if isinstance(item, str) else item, where)
        if tool.name in found:
            raise invalid(where, f"there are two tools named {tool.name!r}.")
        found[tool.name] = tool
    for at, name in others:
        _take_over(builder, found[name], f"{node.pointer}/with/{at}")
    for index, name in enumerate(with_.get("approval", ())):
        if name not in found:
            raise invalid(f"{node.pointer}/with/approval/{index}", f"there is no tool {name!r} in `tools`.")
        found[name].needs_approval = True
    if with_.get("approval"):
        _approval(builder, place(node, "approval"))
    return found


def _tool(builder: Builder, node: Node, item: dict[str, Any], where: str) -> Tool:
    own = (builder.use.get("functions") or {}).get(item["name"])
    if own is not None:
        told = _of_document(item["name"], own)
    else:
        told = _of_catalog(builder, item, where)
    if not _name.match(told["name"]):
        raise invalid(where, f"{told['name']!r} cannot be a tool: models take letters, digits, _ and -, at most 64.")
    description = item.get("description", told["description"])
    made = Tool(told["name"], description, item.get("parameters", told["parameters"]), is_safe=told["effect"] in _SAFE)
    try:
        made.schema.check()
    except ValueError as error:
        raise invalid(where, f"the parameters of {made.name} are not usable: {error}") from None
    body = Call(told["name"], builder.field(".", "body", Surroundings(), where))
    body.version = told["version"]
    if own is not None:
        body.list = builder.function(f"/use/functions/{escape(made.name)}", made.name, own)
    made.list = _list(builder, place(node, f"tools/{made.name}"), made.name, body)
    return made


def _take_over(builder: Builder, tool: Tool, where: str) -> None:
    """Let a tool be an agent that the conversation is handed over to."""
    functions = builder.use.get("functions") or {}
    called = str((functions.get(tool.name) or {}).get("call", "")).partition("@")[0].partition(":")[0]
    if called != AGENT or AGENT in functions:
        raise invalid(
            where, f"the conversation can be handed over to agents of use.functions only, not to {tool.name!r}."
        )
    tool.takes_over = True
    tool.description = tool.description or f"Hand the conversation over to {tool.name}, who answers from then on."


_SAFE = frozenset({"read", "idempotent"})


def _of_document(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """A function of the document: its input schema and `metadata.description` are what the model is told."""
    schema = ((definition.get("input") or {}).get("schema") or {}).get("document", _ANYTHING)
    description = str((definition.get("metadata") or {}).get("description", ""))
    return {"name": name, "version": None, "description": description, "parameters": schema, "effect": "unsafe"}


def _of_catalog(builder: Builder, item: dict[str, Any], where: str) -> dict[str, Any]:
    """A function of the default catalog, as pinned, or as it is now and pinned from here on."""
    name, _colon, version = item["name"].removesuffix("@default").partition(":")
    version = item.get("version", version) or None
    if name in _OWN:
        raise invalid(where, f"`{name}` cannot be a tool itself; write a function that calls it under use.functions.")
    key = PINNED + (f"{name}:{version}" if version else name)
    told = builder.program.resources.get(key)
    if told is None and builder.functions is not None:
        told = builder.functions.describe(name, version)
        if told is None:
            raise invalid(where, f"there is no function {item['name']!r}.")
        builder.program.resources[key] = told
    if told is None:
        if "parameters" not in item:
            raise invalid(where, f"nothing is known of the function {name!r}: give its `parameters`.")
        told = {"name": name, "version": version, "description": "", "effect": "unsafe", "parameters": _ANYTHING}
    return told


def _list(builder: Builder, pointer: str, name: str, body: Call) -> str:
    node = Node(pointer, "call", name, {"call": name})
    node.behaviour = builder.kinds["call"]
    node.body = body
    node.told = {"tool": name}
    builder.program.nodes[pointer] = node
    builder.program.lists[pointer] = (node,)
    return pointer


def _approval(builder: Builder, pointer: str) -> None:
    """The tasks that ask a person; the document's extensions and mode are none of their business."""
    mode, builder.mode = builder.mode, "strict"
    builder.tasks(_APPROVAL, pointer, Surroundings(in_extension=True))
    builder.mode = mode
