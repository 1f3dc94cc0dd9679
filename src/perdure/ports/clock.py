"""Time, so that tests can make it jump."""

from collections.abc import Awaitable
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for waiting."""

    def now(self) -> int:
        """Whole milliseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait by monotonic time."""
        ...
