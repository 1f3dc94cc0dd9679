"""Publishes what a service's outbox holds, and marks it sent only when the broker has confirmed it.

Any number of relays may work on one database: each claims its own rows for a while. Events of one subject go out one
after the other, so they arrive in order unless something fails.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from perdure.adapters import outbox
from perdure.adapters.outbox import Waiting
from perdure.errors import PerdureError, Unavailable
from perdure.ports.bus import Bus, Exchange
from perdure.ports.clock import Clock
from perdure.ports.database import EVERY, Database

_LEASE_MS = 60_000
"""A claim that is older belonged to a relay that died."""
_DAY_MS = 86_400_000
_LOOK_MS = 3_600_000
"""How often old rows are cleaned away."""
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 100, 30_000
_log = logging.getLogger("perdure.relay")


@runtime_checkable
class _HasEars(Protocol):
    """A database that says when something was told."""

    def on_told(self, ear: Callable[[], None], *, others: bool = False) -> None: ...


class Relay:
    """Works between `open` and `close`, in tasks of its own."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        exchange: Exchange,
        *,
        clock: Clock,
        poll: float = 1.0,
        at_once: int = 200,
        keep_days: float = 7.0,
        alone: bool = False,
        others: bool = False,
    ) -> None:
        """`alone`: no other process works on this database, so that claims of one that was killed end at once. `others`: other
        processes tell something and have no relay of their own."""
        self.published = 0
        self.failed = 0
        self._database = database
        self._bus = bus
        self._exchange: Exchange = exchange
        self._clock = clock
        self._poll = poll
        self._at_once = at_once
        self._keep_ms = int(keep_days * _DAY_MS)
        self._wake = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._numbers: set[int] = set()
        self._cleaned = 0
        self._closing = False
        self._is_held_up = False
        self._alone = alone
        self._others = others
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Relay({self._exchange}, published={self.published}, under way={len(self._numbers)})"

    async def open(self) -> None:
        """Begin. Listeners should have subscribed before."""
        if isinstance(self._database, _HasEars):
            self._database.on_told(self._wake.set, others=self._others)
        if self._alone:
            now = self._clock.now()
            await self._database.write(EVERY, lambda transaction: outbox.release_all(transaction.connection, now))
        self._task = asyncio.create_task(self._work(), name=f"relay {self._exchange}")

    async def close(self, patience: float = 10.0) -> None:
        """Claim nothing more, and let what is under way end. What does not stays in the outbox."""
        self._closing = True
        self._wake.set()
        if self._task is not None:  # first: a round under way still begins what it has claimed
            await asyncio.wait([self._task], timeout=patience)
        tasks = [*self._under_way.values(), *([self._task] if self._task else [])]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                wait = await self._round()
            except Exception as error:  # noqa: BLE001 - whatever it is, the events stay and are tried again
                _log.warning("The outbox for %s cannot be read now: %s", self._exchange, error)
                wait = self._poll
            if wait > 0 and not self._closing:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)

    async def _round(self) -> float:
        """Claim what is due and send it off; after how many seconds to look again when nothing wakes us."""
        now = self._clock.now()
        await self._clean(now)
        room = self._at_once - len(self._numbers)
        if room <= 0:
            return self._poll
        due = await self._database.read(EVERY, outbox.next_due)
        if due is None or due > now:
            return self._poll if due is None else max(0.01, min(self._poll, (due - now) / 1000))
        claimed = await self._database.write(
            EVERY, lambda transaction: outbox.claim(transaction.connection, now, now + _LEASE_MS, room)
        )
        for subject, events in _by_subject(claimed).items():
            mine = [event for event in events if event.seq not in self._numbers]
            self._numbers.update(event.seq for event in mine)
            before = self._under_way.get(subject)
            task = asyncio.create_task(self._send(subject, mine, before))
            self._under_way[subject] = task
        return 0 if claimed else 0.05

    async def _send(self, subject: str, events: list[Waiting], before: asyncio.Task[None] | None) -> None:
        """Publish the events of one subject in order, until one fails."""
        if before is not None:
            await asyncio.wait([before])
        sent: list[int] = []
        try:
            for event in events:
                await self._bus.publish(self._exchange, event.event)
                sent.append(event.seq)
                self.published += 1
                self._tell_recovery()
        except Exception as error:  # noqa: BLE001 - whatever it is, the event stays and is tried again
            self.failed += 1
            self._tell_trouble(subject, error)
        finally:
            try:
                await self._settle(sent, events[len(sent) :])
            except PerdureError as error:  # published and not marked: the claim ends, and they go out once more
                _log.warning("What was published for %s could not be marked: %s", subject, error)
            self._numbers.difference_update(event.seq for event in events)
            if self._under_way.get(subject) is asyncio.current_task():
                del self._under_way[subject]
            self._wake.set()

    def _tell_trouble(self, subject: str, error: Exception) -> None:
        """Once for all events of an outage."""
        if not isinstance(error, Unavailable):
            _log.error("An event for %s is not published yet and will be tried again: %r", subject, error)
        elif not self._is_held_up:
            self._is_held_up = True
            _log.warning("Events for %s stay in the outbox for now: %s", self._exchange, error)

    def _tell_recovery(self) -> None:
        if self._is_held_up:
            self._is_held_up = False
            _log.warning("Events for %s go out again.", self._exchange)

    async def _settle(self, sent: list[int], rest: list[Waiting]) -> None:
        now = self._clock.now()
        if sent:
            await self._database.write(
                EVERY, lambda transaction: outbox.mark_sent(transaction.connection, sent, self._clock.now())
            )
        if rest:
            pause = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(rest[0].attempts - 1, 16))
            numbers = [event.seq for event in rest]
            await self._database.write(
                EVERY, lambda transaction: outbox.release(transaction.connection, numbers, now + pause)
            )

    async def _clean(self, now: int) -> None:
        if now - self._cleaned < _LOOK_MS:
            return
        self._cleaned = now
        sent = now - self._keep_ms
        seen, made = sent - 30 * _DAY_MS, now - _DAY_MS
        await self._database.write(
            EVERY, lambda transaction: outbox.clean(transaction.connection, sent=sent, seen=seen, made=made)
        )


def _by_subject(events: list[Waiting]) -> dict[str, list[Waiting]]:
    groups: dict[str, list[Waiting]] = {}
    for event in events:
        groups.setdefault(f"{event.event.get('tenant')}/{event.event.get('subject')}", []).append(event)
    return groups
