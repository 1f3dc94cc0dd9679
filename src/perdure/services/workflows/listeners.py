"""What the workflows service reacts to: events that runs emit, and its own answers on their way to the engine.

All of it is idempotent: each may come again.
"""

import logging
from collections.abc import Awaitable
from typing import Any, Protocol

from perdure.errors import PerdureError, Unavailable
from perdure.interpreter.correlation import RUN
from perdure.ports.database import EVERY, Transaction
from perdure.services.workflows import events, repairs, store
from perdure.services.workflows.inbox import Inbox
from perdure.services.workflows.service import Ground
from perdure.services.workflows.triggers import Triggers

_log = logging.getLogger("perdure.workflows")
_OUTGOING = "outgoing"
_PAGE = 100
_PAUSE = 1.0


class Emitting(Protocol):
    """An engine that keeps what its runs emit (the embedded one)."""

    def outgoing(self, after: int, limit: int = 100) -> list[tuple[int, str, dict[str, Any]]]: ...
    def published(self) -> Awaitable[None]: ...


class Listeners:
    """Implements `ports/outlet.py: Outlet`, and listens on the bus."""

    def __init__(self, ground: Ground, inbox: Inbox, triggers: Triggers) -> None:
        self._ground = ground
        self._inbox = inbox
        self._triggers = triggers

    async def take(self, tenant: str, event: dict[str, Any]) -> None:
        """An event that a run emitted."""
        if event.get("type") in events.ASKING or (repairs.is_needed(event) and RUN not in event):
            await self._inbox.ask(tenant, event)
        await self._triggers.take(tenant, event)

    async def answered(self, event: dict[str, Any]) -> None:
        """An event of `events.ANSWERING` on the bus: runs may wait for it."""
        tenant = event["tenant"]
        if event["type"] == events.RUN_REPAIRED:
            verb = await repairs.repair(self._ground.engine, tenant, event["data"])
            if verb is not None:
                await self._changed(tenant, verb, event["data"])
            return
        answer = {key: event[key] for key in event if key != "tenant"}
        if event["data"].get("asker"):
            answer[RUN] = event["data"]["asker"]
        await self._ground.engine.deliver(tenant, answer)

    async def _changed(self, tenant: str, verb: str, told: dict[str, Any]) -> None:
        """Tell that a run goes on, now that it does."""

        def work(tx: Transaction) -> None:
            tx.tell(events.runs_changed(verb, [told["run"]], str(told["by"])))

        await self._ground.database.write(tenant, work)

    async def asked(self, event: dict[str, Any]) -> None:
        """An event of `events.ASKING` on the bus: another service asks a person."""
        await self._inbox.ask(event["tenant"], {key: event[key] for key in event if key != "tenant"})

    async def withdrawn(self, event: dict[str, Any]) -> None:
        """Another service needs no answer any more to what it asked under this subject."""
        await self._inbox.withdraw(event["tenant"], event["source"], event["subject"])

    async def follow(self, engine: Emitting) -> None:
        """Take what runs of this engine emit, until cancelled; where it was is kept."""
        position = await self._until_there(_OUTGOING)
        while True:
            try:
                found = engine.outgoing(position, _PAGE)
                for number, tenant, event in found:
                    await self._taken(tenant, event)
                    position = number
                if found:
                    await self._remember(position)
                else:
                    await engine.published()
            except Unavailable as error:
                _log.warning("Events of runs wait: %s", error)
                await self._ground.clock.sleep(_PAUSE)

    async def _remember(self, position: int) -> None:
        await self._ground.database.write(
            EVERY, lambda tx: store.set_position(tx.connection, EVERY, _OUTGOING, position)
        )

    async def _until_there(self, name: str) -> int:
        while True:
            try:
                return await self._ground.database.read(EVERY, lambda c: store.position(c, EVERY, name))
            except Unavailable as error:
                _log.warning("Events of runs wait: %s", error)
                await self._ground.clock.sleep(_PAUSE)

    async def _taken(self, tenant: str, event: dict[str, Any]) -> None:
        """One event; another one's trouble must not keep those behind it waiting for ever."""
        try:
            await self.take(tenant, event)
        except Unavailable:
            raise
        except PerdureError as error:
            _log.error("The event %s of a run cannot be taken: %s", event.get("id"), error)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("The event %s of a run cannot be taken", event.get("id"))
