"""`approve` as the default catalog lists it. Asking and waiting are the machine's (`interpreter/approval.py`): a document's
call of it never reaches `execute`.
"""

from typing import Any

from perdure.interpreter.approval import INPUT, OUTPUT
from perdure.interpreter.faults import problem
from perdure.language.values import Json
from perdure.ports.function import Context, Effect, FunctionFault


class Approve:
    """The description of `approve`."""

    name = "approve"
    version = "1.0.0"
    effect: Effect = "idempotent"
    summary = "Ask a person, and wait for the decision: days if need be."
    input_schema: dict[str, Any] = INPUT
    output_schema: dict[str, Any] = OUTPUT

    async def execute(self, arguments: Json, context: Context) -> Json:
        """Always a fault `configuration`: who waits for a person is a task."""
        detail = "A person is asked by a task of a document only. As a tool, put that task under use.functions."
        raise FunctionFault(problem("configuration", detail=detail))

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        """As declared."""
        return self.effect

    def __repr__(self) -> str:
        return f"Approve({self.version})"
