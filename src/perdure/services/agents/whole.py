"""The whole service, made of its parts. Wiring makes one and hands it to `routes.py`."""

from perdure.services.agents.agents import Definitions
from perdure.services.agents.budgets import Budgets
from perdure.services.agents.contexts import Contexts
from perdure.services.agents.executions import Executions
from perdure.services.agents.listeners import Listeners
from perdure.services.agents.live import Live
from perdure.services.agents.prompts import Prompts
from perdure.services.agents.service import Ground
from perdure.services.agents.spending import Accounts
from perdure.services.agents.usage import Records


class Agents:
    """Every use case of the service, by noun."""

    def __init__(self, ground: Ground, *, is_heard: bool = True) -> None:
        """`is_heard`: people listen to answers here, and not in other processes only."""
        self.ground = ground
        self.prompts = Prompts(ground)
        self.definitions = Definitions(ground, self.prompts)
        self.contexts = Contexts(ground)
        self.live = Live(ground)
        self.executions = Executions(ground, self.definitions, self.live if is_heard else None)
        self.budgets = Budgets(ground)
        self.records = Records(ground)
        self.accounts = Accounts(ground, self.budgets, self.records)
        self.listeners = Listeners(ground.engine, self.budgets, self.executions)

    def __repr__(self) -> str:
        return f"Agents({self.ground.database!r}, {self.ground.engine!r})"
