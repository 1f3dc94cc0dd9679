"""Values that may be lost at any time, and counters that may not be counted twice."""

from collections.abc import Awaitable
from typing import Protocol


class Cache(Protocol):
    """Bytes by key, each with a time to live in seconds. Keys start with the tenant they belong to."""

    def get(self, key: str) -> Awaitable[bytes | None]: ...
    def put(self, key: str, value: bytes, ttl: float) -> Awaitable[None]: ...
    def put_new(self, key: str, value: bytes, ttl: float) -> Awaitable[bool]:
        """False when the key is there; then nothing changes."""
        ...

    def delete(self, key: str) -> Awaitable[None]: ...
    def add(self, key: str, amount: int, ttl: float) -> Awaitable[int]:
        """Count atomically and return the sum; the time to live counts from the first amount."""
        ...

    def close(self) -> Awaitable[None]: ...
