"""One transaction in the making, on either database: what it tells is written with it, or not at all."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection

from perdure.adapters import outbox
from perdure.ports.clock import Clock
from perdure.ports.database import Told


class Surroundings(NamedTuple):
    """What a transaction needs to know besides its connection."""

    service: str
    clock: Clock
    trace: Callable[[], str]


class OpenTransaction:
    """Implements `ports/database.py: Transaction`."""

    def __init__(self, connection: Connection, tenant: str, around: Surroundings, trace: str) -> None:
        self.connection = connection
        self.tenant = tenant
        self._around = around
        self._trace = trace
        self._told: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"OpenTransaction({self._around.service}, {self.tenant!r}, {len(self._told)} told)"

    @property
    def has_told(self) -> bool:
        return bool(self._told)

    def tell(self, event: Told) -> None:
        now = self._around.clock.now()
        made = outbox.envelope(event, tenant=self.tenant, service=self._around.service, now=now, trace=self._trace)
        self._told.append(made)

    def once(self, event: str) -> bool:
        return outbox.take_once(self.connection, self.tenant, event, self._around.clock.now())

    def flush(self) -> None:
        """Write what was told. To be called once, before the commit."""
        if self._told:
            outbox.put(self.connection, self.tenant, self._told, self._around.clock.now())
