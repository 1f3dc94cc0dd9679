"""The document that an agent is: one call of `agent` (language.md 5.3), with its tools under `use.functions`.

What an agent says is data of the document: every text stands there as a jq literal, so nothing of it is evaluated.
"""

from typing import Any

from perdure.errors import Invalid
from perdure.interpreter.agent_arguments import PARAMETERS
from perdure.language.schemas import Schema
from perdure.language.values import Json, canonical
from perdure.services.agents.models import Definition, Tool, Version

NAMESPACE = "agents"
_parameters = Schema(PARAMETERS)
_REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {"request": {"type": "string", "description": "What it is to do, with all that it needs to know."}},
    "required": ["request"],
    "additionalProperties": False,
}


class Workflow:
    """A published workflow, as far as a tool shows it."""

    def __init__(self, id: str, version: str, document: Json) -> None:
        self.id = id
        self.version = version
        self.heading: dict[str, Any] = document["document"]
        self.schema: Json = ((document.get("input") or {}).get("schema") or {}).get("document")


class Draft:
    """A document in the making. `workflows` and `agents` are those that tools name, found before."""

    def __init__(self, workflows: dict[tuple[str, str], Workflow], agents: dict[tuple[str, str], Version]) -> None:
        self._workflows = workflows
        self._agents = agents
        self._functions: dict[str, Any] = {}

    def document(self, name: str, number: int, definition: Definition) -> dict[str, Any]:
        """Its input is `{instruction, input, memory}`; its output the final answer."""
        with_ = {
            **self._arguments(definition),
            "instruction": "${ .instruction }", "input": "${ .input }", "memory": "${ .memory }", "stream": True,
        }  # fmt: skip
        made: dict[str, Any] = {
            "document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": name, "version": f"{number}.0.0"},
            "do": [{"answer": {"call": "agent", "with": with_}}],
        }
        if self._functions:
            made["use"] = {"functions": self._functions}
        return made

    def _arguments(self, definition: Definition) -> dict[str, Any]:
        with_: dict[str, Any] = {}
        violation = _parameters.violation(definition.parameters)  # literals: no check of the document sees into them
        if violation is not None:
            raise Invalid(f"The agent does not fit at parameters: {violation}")
        for key in ("model", "provider", "parameters"):
            if getattr(definition, key):
                with_[key] = literal(getattr(definition, key))
        for key in ("limits", "context", "output", "approval"):
            if getattr(definition, key):
                with_[key] = getattr(definition, key)
        tools = [self._tool(item) for item in definition.tools]
        if tools:
            with_["tools"] = tools
        if definition.handover:
            with_["handover"] = [self._agent(Tool(agent=name)) for name in definition.handover]
        return with_

    def _tool(self, item: str | Tool) -> str | dict[str, Any]:
        tool = Tool(function=item) if isinstance(item, str) else item
        if tool.workflow:
            return self._workflow(tool)
        if tool.agent:
            return self._agent(tool)
        if tool.name or tool.version:
            raise Invalid("A function keeps its name as a tool; its version stands in `function`: name:version.")
        shown: dict[str, Any] = {"name": tool.function}
        if tool.description:
            shown["description"] = tool.description
        if tool.parameters is not None:
            shown["parameters"] = tool.parameters
        return shown

    def _workflow(self, tool: Tool) -> str:
        found = self._workflows[tool.workflow, tool.version]
        run = {key: found.heading[key] for key in ("namespace", "name", "version")}
        told = tool.description or str(found.heading.get("summary") or found.heading.get("title") or "")
        schema = tool.parameters if tool.parameters is not None else found.schema
        return self._function(
            tool.name or str(found.heading["name"]),
            {"run": {"workflow": {**run, "input": "${ . }"}}},
            told or f"Runs the workflow {found.id}.",
            schema if isinstance(schema, dict) else {"type": "object"},
        )

    def _agent(self, tool: Tool) -> str:
        found = self._agents[tool.agent, tool.version]
        definition = found.definition
        with_ = {
            **self._arguments(definition),
            "instruction": literal(definition.instruction), "input": "${ .request }", "stream": True,
        }  # fmt: skip
        return self._function(
            tool.name or found.agent,
            {"call": "agent", "with": with_},
            tool.description or f"Asks the agent {found.agent}.",
            _REQUEST,
        )

    def _function(self, name: str, task: dict[str, Any], told: str, schema: dict[str, Any]) -> str:
        made = {**task, "metadata": {"description": told}, "input": {"schema": {"format": "json", "document": schema}}}
        if self._functions.setdefault(name, made) != made:
            raise Invalid(f"Two different tools have the name {name!r}.", hint="Give one of them another `name`.")
        return name


def check_kind(tool: Tool) -> None:
    """Invalid for a tool that is nothing, or two things at once."""
    if [bool(tool.function), bool(tool.workflow), bool(tool.agent)].count(True) != 1:
        raise Invalid("A tool is exactly one of `function`, `workflow` and `agent`.")


def literal(value: Json) -> str:
    """A value as an expression that gives it, whatever it looks like."""
    return f"${{ {canonical(value).decode()} }}"
