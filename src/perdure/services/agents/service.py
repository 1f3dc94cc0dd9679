"""What all use cases of the agents service stand on. They are split by noun: `agents.py`, `contexts.py`, `executions.py`
with `live.py`, `prompts.py`, `usage.py`, `budgets.py`; `spending.py` is what functions and the gateway ask before they spend.

What wiring hands over is `Ground`; `whole.py: Agents(ground)` is the whole service. Wiring then

- serves `routes.router(service)` under the API's prefix;
- hands `service.accounts` to the functions that ask models (`ports/spending.py`);
- runs `await service.executions.run()` as a task, in any number of processes at once, and cancels it at the end;
- subscribes `service.listeners.decided` to `events.APPROVAL_DECIDED` on the exchange `workflow.events`.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from perdure.interpreter.program import Functions
from perdure.language.values import Json
from perdure.ports.cache import Cache
from perdure.ports.clock import Clock
from perdure.ports.database import Database
from perdure.ports.engine import Engine
from perdure.ports.ids import new_id
from perdure.ports.spool import Spool


class Price(Protocol):
    """The most that a token of a model costs, in US dollars; None when it is not known."""

    def __call__(self, model: str) -> float | None: ...


class Published(Protocol):
    """Version and document of a published workflow, the default version without a name. NotFound, or Conflict while it
    is not enabled."""

    def __call__(self, tenant: str, id: str, version: str | None) -> Awaitable[tuple[str, Json]]: ...


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """This service's database, the engine, counters, the clock, the default catalog, prices, published workflows, and
    chance."""

    database: Database
    engine: Engine
    cache: Cache
    clock: Clock
    functions: Functions
    price: Price
    workflow: Published
    canonical: Callable[[str], str] = str
    """The whole name of a model (`provider/model`, a provider, a route), however it was asked for."""
    chance: Callable[[int], bytes] = os.urandom
    spool: Spool | None = None
    """Where bills wait that a killed process would lose."""
    recent: float = 2.0
    """Seconds for which budgets, changed in another process, may be out of date here."""

    def id(self, kind: str) -> str:
        return new_id(kind, self.clock.now(), self.chance(10))
