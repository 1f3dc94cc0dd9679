"""What the agents service reacts to: answers of people. Idempotent: each may come again."""

from typing import Any

from perdure.services.agents.budgets import Budgets


class Listeners:
    """Listens on the bus."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    def __repr__(self) -> str:
        return "Listeners()"

    async def decided(self, event: dict[str, Any]) -> None:
        """`events.APPROVAL_DECIDED`: perhaps about a budget."""
        subject, data = str(event.get("subject", "")), event.get("data")
        if not subject.startswith("mark_") or not isinstance(data, dict):
            return
        given = data.get("data")
        add = given.get("add") if isinstance(given, dict) else None
        await self._budgets.decided(
            event["tenant"], subject, approved=data.get("approved") is True, by=str(data.get("by", "")),
            add=add if isinstance(add, int | float) else None,
        )  # fmt: skip
