"""What the agents service reacts to: answers of people, and faulted runs that go on. Idempotent: each may come again."""

from typing import Any

from perdure.ports.engine import Engine
from perdure.services.agents.budgets import Budgets
from perdure.services.agents.executions import Executions
from perdure.services.workflows import events as workflow_events

MENDED = (workflow_events.RUNS_CHANGED,)
"""Told when runs have been changed; what a person decided about one (`RUN_REPAIRED`) is not done yet when it is told."""


class Listeners:
    """Listens on the bus."""

    def __init__(self, engine: Engine, budgets: Budgets, executions: Executions) -> None:
        self._engine = engine
        self._budgets = budgets
        self._executions = executions

    def __repr__(self) -> str:
        return "Listeners()"

    async def decided(self, event: dict[str, Any]) -> None:
        """`APPROVAL_DECIDED`: perhaps about a budget, unless a document asked."""
        subject, data = str(event.get("subject", "")), event.get("data")
        if not subject.startswith("mark_") or not isinstance(data, dict) or data.get("asker"):
            return
        given = data.get("data")
        add = given.get("add") if isinstance(given, dict) else None
        runs = await self._budgets.decided(
            event["tenant"], subject, approved=data.get("approved") is True, by=str(data.get("by", "")),
            add=add if isinstance(add, int | float) else None,
        )  # fmt: skip
        await self._executions.reopened(event["tenant"], runs)

    async def settled(self, event: dict[str, Any]) -> None:
        """`BUDGET_SETTLED`: steps of runs wait for it."""
        await self._engine.deliver(event["tenant"], {key: event[key] for key in event if key != "tenant"})

    async def mended(self, event: dict[str, Any]) -> None:
        """`MENDED`: an operator let runs go on, or somebody decided so."""
        data = event["data"]
        if data["verb"] in {"retry", "skip"}:
            await self._executions.reopened(event["tenant"], data["runs"])
