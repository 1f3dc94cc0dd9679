"""Timers: never early, once, and as many as the disk holds.

A timer in memory waits by monotonic time, so setting the wall clock moves nothing. Timers of runs outside memory are
rows; the next of them are kept at hand. Rows written by this process move along when the wall clock is set; rows of an
earlier process can only be judged by the wall clock.
"""

import asyncio
import heapq
import logging
import math
from collections.abc import Callable
from typing import TypeAlias

from perdure.errors import Unavailable
from perdure.ports.clock import Clock

Row: TypeAlias = tuple[int, int, str]
"""(due, run, id), due in wall milliseconds."""
_JUMP = 1_000
_HOLD = 0.25
_log = logging.getLogger("perdure.engine")
_FIRST: Row = (-1, -1, "")


class Timers:
    """Calls `fire(run, id)` when a timer is due. Run 0 belongs to the engine itself."""

    def __init__(
        self, clock: Clock, limit: int, read: Callable[[Row, int], list[Row]], fire: Callable[[int, str], None]
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._read = read
        self._fire = fire
        self._heap: list[tuple[float, int, str]] = []
        self._targets: dict[tuple[int, str], float] = {}
        self._bookmark = _FIRST
        """Every row up to here is at hand."""
        self._beyond: float | None = None
        """When the first row after the bookmark is due, or None when there is none."""
        self._moves: list[int] = []
        """Settings of the wall clock that the rows do not know of yet. Until they do, no row is read or trusted."""
        self._offset = clock.now() - clock.monotonic() * 1000
        self._wake = asyncio.Event()
        self._sleeping_until = float("inf")

    def __repr__(self) -> str:
        return f"Timers(at hand={len(self._targets)}, beyond={self._beyond is not None})"

    def arm_at_wall_time(self, run: int, id: str, due: int) -> None:
        """Fire at `due`, by the wall clock as it stands now."""
        self.arm(run, id, due - self._offset)

    def arm(self, run: int, id: str, target: float) -> None:
        """Fire at this monotonic time, in milliseconds. A timer that is armed already stays as it is."""
        if (run, id) not in self._targets:
            self._targets[run, id] = target
            heapq.heappush(self._heap, (target, run, id))
            self._wake_before(target)

    def cancel(self, run: int, id: str) -> None:
        """Forget a timer."""
        if self._targets.pop((run, id), None) is not None:
            self._tidy()

    def due(self, run: int, id: str, otherwise: int) -> int:
        """The wall time at which an armed timer fires, as the wall clock stands now."""
        target = self._targets.get((run, id))
        return otherwise if target is None else math.ceil(target + self._offset)

    def stored(self, rows: list[Row]) -> None:
        """These timers are rows now; those that are far away are forgotten here until their time comes near."""
        if self._moves:
            return
        for row in rows:
            target = row[0] - self._offset
            if row > self._bookmark:
                self._beyond = target if self._beyond is None else min(self._beyond, target)
                if len(self._targets) > self._limit:
                    self._targets.pop(row[1:], None)
            elif row[1:] not in self._targets:
                self.arm_at_wall_time(row[1], row[2], row[0])
        self._tidy()
        if self._beyond is not None:
            self._wake_before(self._beyond)

    def _tidy(self) -> None:
        """Deadlines of calls are cancelled far more often than they come: what is forgotten leaves the heap too."""
        if len(self._heap) > 2 * len(self._targets) + 64:
            self._heap = [item for item in self._heap if self._targets.get(item[1:]) == item[0]]
            heapq.heapify(self._heap)

    def refill(self) -> None:
        """Bring the next rows to hand."""
        rows = self._read(self._bookmark, self._limit + 1)
        self._beyond = rows[self._limit][0] - self._offset if len(rows) > self._limit else None
        for due, run, id in rows[: self._limit]:
            self.arm_at_wall_time(run, id, due)
            self._bookmark = (due, run, id)

    def moved(self) -> None:
        """The rows follow one more setting of the wall clock: when it is the last, read them anew."""
        self._moves.pop(0)
        if not self._moves:
            self._bookmark = _FIRST
            self.refill()

    @property
    def pending_move(self) -> int:
        """By how much the rows of this process lag behind the wall clock, in milliseconds."""
        return sum(self._moves)

    def jump(self) -> int:
        """By how many milliseconds the wall clock was set since the last look; 0 for less than a second."""
        offset = self._clock.now() - self._clock.monotonic() * 1000
        moved = offset - self._offset
        if abs(moved) < _JUMP:
            return 0
        self._offset = offset
        self._moves.append(math.ceil(moved))
        return self._moves[-1]

    async def run(self) -> None:
        """Fire timers for ever."""
        while True:
            try:
                self._fire_due()
            except Unavailable as error:
                _log.error("The journal cannot be read (%s); timers are looked for again.", error)
                await self._clock.sleep(_HOLD)
                continue
            until = self._next()
            self._sleeping_until = until
            self._wake.clear()
            if until == float("inf"):
                await self._wake.wait()
            else:
                await self._sleep((until - self._clock.monotonic() * 1000) / 1000)

    def _fire_due(self) -> None:
        now = self._clock.monotonic() * 1000
        while self._beyond is not None and self._beyond <= now and not self._moves:
            self.refill()
        while self._heap and self._heap[0][0] <= now:
            target, run, id = heapq.heappop(self._heap)
            if self._targets.get((run, id)) == target:
                del self._targets[run, id]
                self._fire(run, id)

    def _next(self) -> float:
        while self._heap and self._targets.get(self._heap[0][1:]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        first = self._heap[0][0] if self._heap else float("inf")
        return first if self._beyond is None or self._moves else min(first, self._beyond)

    def _wake_before(self, target: float) -> None:
        if target < self._sleeping_until:
            self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleep, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            woken.cancel()
