"""What all use cases of the workflows service stand on. They are split by noun: `definitions.py`, `runs.py`, `bulk.py`,
`schedules.py` with `firing.py` and `triggers.py`, `webhooks.py`, `inbox.py`; `listeners.py` hears runs and neighbours.

What wiring hands over is `Ground`; `workflows.py: Workflows(ground)` is the whole service. Wiring then

- serves `routes.router(service)` under the API's prefix;
- runs `await service.firing.run()`, `await service.inbox.run()` and `await service.bulk.run()` as tasks, in any number of
  processes at once (`up` and `worker`, not `serve`), and cancels them at the end;
- hands what runs emit to `service.listeners.take(tenant, event)` (`ports/outlet.py`): on the embedded engine with
  `await service.listeners.follow(engine)` as a task, on Temporal as the outlet of its workers;
- subscribes `service.listeners.answered` to `events.ANSWERING` on the exchange `workflow.events`;
- calls `await service.definitions.restore()` once before the first request, so that an engine whose store is new knows
  what is published.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from perdure.interpreter.program import Functions
from perdure.language.values import Json
from perdure.ports.clock import Clock
from perdure.ports.database import Database
from perdure.ports.engine import Engine
from perdure.ports.ids import new_id
from perdure.ports.sealing import Sealing


class Resolve(Protocol):
    """Fetches the outside documents that a document names, to be pinned with it (`functions/resolve.py`)."""

    def __call__(self, document: Json) -> Awaitable[dict[str, Json]]: ...


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """This service's database, the engine, the clock, chance, the default catalog, and how secrets are sealed."""

    database: Database
    engine: Engine
    clock: Clock
    sealing: Sealing
    functions: Functions
    resolve: Resolve
    chance: Callable[[int], bytes] = os.urandom
    recent: float = 2.0
    """Seconds for which a workflow's state, set in another process, may be out of date here."""

    def id(self, kind: str) -> str:
        return new_id(kind, self.clock.now(), self.chance(10))
