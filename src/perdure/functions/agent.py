"""`agent` as the default catalog lists it. The loop itself is the machine's (`interpreter/agent.py`, language.md 5.3):
a document's call of it never reaches `execute`.
"""

from typing import Any

from perdure.interpreter.agent_arguments import INPUT
from perdure.interpreter.faults import problem
from perdure.language.values import Json
from perdure.ports.function import Context, Effect, FunctionFault


class Agent:
    """The description of `agent`."""

    name = "agent"
    version = "1.0.0"
    effect: Effect = "unsafe"
    summary = "Let a language model work with tools until it has an answer; each request and tool call is a step."
    input_schema: dict[str, Any] = INPUT
    output_schema: dict[str, Any] = {}

    async def execute(self, arguments: Json, context: Context) -> Json:
        """Always a fault `configuration`: an agent that is called in another way than by a task has no steps."""
        detail = "An agent runs as a task of a document only. As a tool, put its task under use.functions."
        raise FunctionFault(problem("configuration", detail=detail))

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        """As declared."""
        return self.effect

    def __repr__(self) -> str:
        return f"Agent({self.version})"
