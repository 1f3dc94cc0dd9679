"""Events from outside: for the runs that wait for them, and for the schedules that runs begin by."""

from typing import Any

from perdure.services.workflows.service import Ground
from perdure.services.workflows.triggers import Triggers


class Intake:
    """Where every event goes that somebody sends, signs, or that a webhook makes."""

    def __init__(self, ground: Ground, triggers: Triggers) -> None:
        self._engine = ground.engine
        self._triggers = triggers

    async def take(self, tenant: str, event: dict[str, Any]) -> bool:
        """Durable before the answer. False: it was here before, by source and id.

        What was cut off in between is completed when the event is sent again.
        """
        is_new = await self._engine.deliver(tenant, event)
        await self._triggers.take(tenant, event)
        return is_new
