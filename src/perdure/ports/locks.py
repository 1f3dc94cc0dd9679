"""Leases: at most one holder, and a number by which a late one is recognised."""

from collections.abc import Awaitable
from typing import Protocol


class Locks(Protocol):
    """Leases by name. A fencing token grows with each new lease of a name: refuse work of a lower one."""

    def lease(self, name: str, holder: str, ttl: float) -> Awaitable[int | None]:
        """Take the lease for `ttl` seconds: its fencing token, or None when another holder has it."""
        ...

    def renew(self, name: str, holder: str, token: int, ttl: float) -> Awaitable[bool]:
        """False when the lease was lost: stop at once."""
        ...

    def release(self, name: str, holder: str, token: int) -> Awaitable[None]: ...
    def close(self) -> Awaitable[None]: ...
