"""The rules on calls of `agent` (language.md 5.2): its tools are functions that exist, and are written out.

Tools, agents to hand over to, output schema and the list of approvals are part of the program, so an expression cannot make them.
"""

from typing import Protocol

from perdure.language import templates
from perdure.language.expressions import ExpressionFault
from perdure.language.grammar.table import BUILT_IN_CALLS
from perdure.language.rules.report import Report, below, nearest, shown
from perdure.language.rules.survey import Call
from perdure.language.values import Json

AGENT = "agent"
TASKS = (AGENT, "approve")
"""Functions that are tasks of the machine, and no effects that a model can call."""
FIXED = ("tools", "handover", "output", "approval")


class Schemas(Protocol):
    """What is asked of the default catalog here."""

    def schema_of(self, name: str, version: str | None) -> dict[str, Json] | None: ...
    def names(self) -> list[str]: ...


def check_agent(call: Call, report: Report, own: dict[str, None], functions: Schemas) -> None:
    """A call of the catalog's `agent`. `own` are the names of `use.functions`."""
    given = call.task.get("with")
    if not isinstance(given, dict):
        return
    pointer = below(call.pointer, "with")
    for key in FIXED:
        if key in given and not is_constant(given[key]):
            message = f"'{key}' of an agent is part of the program; an expression cannot make it."
            report.error("fixed-text", below(pointer, key), message, "Write it out.")
    tools = given.get("tools")
    names: dict[str, None] = {}
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        name = tool.get("name") if isinstance(tool, dict) else tool
        version = tool.get("version") if isinstance(tool, dict) else None
        if isinstance(name, str) and "${" not in name:
            names[name if name in own else _bare(name)[0]] = None
            _check_tool(name, version, below(below(pointer, "tools"), str(index)), report, (own, functions))
    handover = given.get("handover")
    for index, name in enumerate(handover if isinstance(handover, list) else ()):
        if isinstance(name, str) and "${" not in name:
            names[name] = None
            if name not in own:
                message = f"There is no function '{shown(name)}' under use: functions to hand over to."
                place = below(below(pointer, "handover"), str(index))
                report.error("unknown-function", place, message, nearest(name, own))
    approval = given.get("approval")
    for index, name in enumerate(approval if isinstance(approval, list) else ()):
        if isinstance(name, str) and "${" not in name and name not in names:
            message = f"'{shown(name)}' is none of the agent's tools."
            place = below(below(pointer, "approval"), str(index))
            report.error("unknown-name", place, message, nearest(name, names) or "Name it under tools as well.")


def _check_tool(name: str, version: Json, pointer: str, report: Report, known: tuple[dict[str, None], Schemas]) -> None:
    own, functions = known
    if name in own:
        return
    bare, written = _bare(name)
    if bare in BUILT_IN_CALLS or bare in TASKS:
        message = f"'{shown(bare)}' cannot be a tool itself."
        report.error("unknown-function", pointer, message, "Write a function that calls it under use: functions.")
    elif bare not in functions.names():
        hint = nearest(bare, [*own, *functions.names()])
        report.error("unknown-function", pointer, f"There is no function '{shown(bare)}'.", hint)
    elif functions.schema_of(bare, version if isinstance(version, str) else written) is None:
        message = f"The function '{shown(bare)}' has no such version."
        report.error("unknown-function", pointer, message, f"Write '{bare}' for the newest.")


def _bare(name: str) -> tuple[str, str | None]:
    bare, _colon, version = name.removesuffix("@default").partition(":")
    return bare, version or None


def is_constant(value: Json) -> bool:
    """Whether no expression stands anywhere in the value."""
    try:
        return templates.compile_template(value).is_constant
    except ExpressionFault:
        return False
