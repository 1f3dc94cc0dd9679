"""Clocks: the machine's own, and one for tests that stands still until it is told to jump."""

import asyncio
import heapq
import time
from collections.abc import Awaitable

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Boot time goes on while a laptop sleeps; plain monotonic time does not, and timers would be late by that much."""


class SystemClock:
    """The clock of the operating system."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.clock_gettime(_STEADY)

    def sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(max(0.0, seconds))


class TestClock:
    """Time that passes only by `advance`, and a wall clock that may be set by `jump` while no time passes."""

    __test__ = False

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self._wall = now
        self._steady = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def __repr__(self) -> str:
        return f"TestClock(now={self.now()}, sleepers={len(self._sleepers)})"

    def now(self) -> int:
        return self._wall

    def monotonic(self) -> float:
        return self._steady

    def sleep(self, seconds: float) -> Awaitable[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._steady + max(0.0, seconds), self._count, future))
        return future

    def next_wake(self) -> float | None:
        """Seconds until the first sleeper wakes, or None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return max(0.0, self._sleepers[0][0] - self._steady) if self._sleepers else None

    def advance(self, seconds: float) -> None:
        """Let time pass: both clocks go on, and whoever slept long enough wakes."""
        self._steady += seconds
        self._wall += round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= self._steady + 1e-9:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or a time server does."""
        self._wall += round(seconds * 1000)
