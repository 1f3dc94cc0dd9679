"""The bus of one process. It confirms an event when every listener has taken it or it lies with the dead letters.

So an event that the process dies over stays in the outbox and comes again. Dead letters are kept in a database when one
is given, else in memory, which is for tests.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from perdure.adapters.clock import SystemClock
from perdure.adapters.outbox import dead
from perdure.adapters.subscriptions import PAUSES, matches, type_of
from perdure.errors import Unavailable
from perdure.ports.bus import Exchange, Listener
from perdure.ports.clock import Clock
from perdure.ports.database import EVERY, Database, Transaction

_log = logging.getLogger("perdure.bus")


class _Subscription:
    """The listeners of one name on one exchange; they take turns."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = types
        self.listeners: list[Listener] = []
        self.turn = 0

    def next(self) -> Listener:
        self.turn += 1
        return self.listeners[self.turn % len(self.listeners)]


class MemoryBus:
    """Implements `ports/bus.py`. Who subscribes after an event was published does not get it."""

    def __init__(
        self, *, clock: Clock | None = None, pauses: Sequence[float] = PAUSES, database: Database | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._pauses = pauses
        self._database = database
        self._subscriptions: dict[tuple[str, Exchange], _Subscription] = {}
        self._dead: list[tuple[str, dict[str, Any]]] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"MemoryBus({len(self._subscriptions)} subscriptions)"

    async def publish(self, exchange: Exchange, event: dict[str, Any]) -> None:
        if self._closed:
            raise Unavailable("The bus is closed.")
        wanted = [
            self._deliver(name, subscription, event)
            for (name, of), subscription in self._subscriptions.items()
            if of == exchange and matches(subscription.types, type_of(event))
        ]
        await asyncio.gather(*wanted)

    async def subscribe(self, name: str, exchange: Exchange, types: tuple[str, ...], listener: Listener) -> None:
        subscription = self._subscriptions.setdefault((name, exchange), _Subscription(types))
        subscription.listeners.append(listener)

    async def keep(self, name: str, exchange: Exchange, types: tuple[str, ...]) -> None:
        return  # who listens is in this process, and subscribes before anything is published

    async def redrive(self, name: str, limit: int = 1000) -> int:
        letters = await self._take_dead(name, limit)
        for event in letters:
            for (of, _), subscription in self._subscriptions.items():
                if of == name and matches(subscription.types, type_of(event)):
                    await self._deliver(name, subscription, event)
        return len(letters)

    async def close(self) -> None:
        self._closed = True

    async def _deliver(self, name: str, subscription: _Subscription, event: dict[str, Any]) -> None:
        """Hand over until it is taken; each try gets a copy of its own. At the end the dead letters take it."""
        for pause in (*self._pauses, None):
            try:
                await subscription.next()(msgspec.json.decode(msgspec.json.encode(event)))
                return
            except Exception as error:  # noqa: BLE001 - a listener may fail in any way; that is what retries are for
                reason = f"{type(error).__name__}: {error}"
            if self._closed:
                raise Unavailable("The bus is closed.")
            if pause is not None:
                await self._clock.sleep(pause)
        _log.error("%s could not take event %s (%s); it is with the dead letters.", name, event.get("id"), reason)
        await self._bury(name, event, reason)

    async def _bury(self, name: str, event: dict[str, Any], reason: str) -> None:
        if self._database is None:
            self._dead.append((name, event))
            return
        row = {
            "name": name,
            "tenant": str(event.get("tenant", "")),
            "event": msgspec.json.encode(event).decode(),
            "reason": reason[:1000],
            "at": self._clock.now(),
        }
        await self._database.write(
            EVERY, lambda transaction: transaction.connection.execute(insert(dead), row).rowcount
        )

    async def _take_dead(self, name: str, limit: int) -> list[dict[str, Any]]:
        if self._database is None:
            mine = [event for of, event in self._dead if of == name][:limit]
            self._dead = [letter for letter in self._dead if letter[0] != name or letter[1] not in mine]
            return mine

        def take(transaction: Transaction) -> list[dict[str, Any]]:
            query = select(dead.c.seq, dead.c.event).where(dead.c.name == name).order_by(dead.c.seq).limit(limit)
            rows = transaction.connection.execute(query).all()
            transaction.connection.execute(delete(dead).where(dead.c.seq.in_([row.seq for row in rows])))
            return [msgspec.json.decode(row.event) for row in rows]

        return await self._database.write(EVERY, take)
