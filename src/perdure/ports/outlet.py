"""Where events that runs emit go besides other runs: to the platform around them."""

from collections.abc import Awaitable
from typing import Any, Protocol


class Outlet(Protocol):
    """Takes each emitted CloudEvent at least once."""

    def take(self, tenant: str, event: dict[str, Any]) -> Awaitable[None]:
        """Idempotent by the event's source and id."""
        ...
