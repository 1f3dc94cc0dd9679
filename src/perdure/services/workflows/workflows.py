"""The whole service, made of its parts. Wiring makes one and hands it to `routes.py`."""

from perdure.services.workflows.bulk import Bulk
from perdure.services.workflows.definitions import Definitions
from perdure.services.workflows.firing import FiringLoop
from perdure.services.workflows.inbox import Inbox
from perdure.services.workflows.intake import Intake
from perdure.services.workflows.listeners import Listeners
from perdure.services.workflows.runs import Runs
from perdure.services.workflows.schedules import Schedules
from perdure.services.workflows.service import Ground
from perdure.services.workflows.triggers import Triggers
from perdure.services.workflows.webhooks import Webhooks


class Workflows:
    """Every use case of the service, by noun."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.triggers = Triggers(ground)
        self.definitions = Definitions(ground, self._changed)
        self.runs = Runs(ground, self.definitions)
        self.bulk = Bulk(ground, self.runs)
        self.firing = FiringLoop(ground, self.runs)
        self.schedules = Schedules(ground, self.definitions, self._changed)
        self.intake = Intake(ground, self.triggers)
        self.webhooks = Webhooks(ground, self.definitions, self.runs, self.intake)
        self.inbox = Inbox(ground)
        self.listeners = Listeners(ground, self.inbox, self.triggers)

    def __repr__(self) -> str:
        return f"Workflows({self.ground.database!r}, {self.ground.engine!r})"

    def _changed(self, tenant: str) -> None:
        """Schedules of a tenant are others now."""
        self.triggers.forget(tenant)
        self.firing.wake()
