"""Leases inside one process."""

from typing import NamedTuple

from perdure.ports.clock import Clock

_NAMES = 10_000


class _Lease(NamedTuple):
    holder: str
    token: int
    until: float


class MemoryLocks:
    """Implements `ports/locks.py`. Tokens begin at the time of day, so they also grow from one process to the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: dict[str, _Lease] = {}

    def __repr__(self) -> str:
        return f"MemoryLocks({len(self._leases)} names)"

    async def lease(self, name: str, holder: str, ttl: float) -> int | None:
        now = self._clock.monotonic()
        last = self._leases.get(name)
        if last is not None and last.until > now and last.holder != holder:
            return None
        if len(self._leases) >= _NAMES:  # what has ended may go: tokens grow with the time of day
            self._leases = {one: lease for one, lease in self._leases.items() if lease.until > now}
        token = max(self._clock.now(), last.token + 1 if last else 1)
        self._leases[name] = _Lease(holder, token, now + ttl)
        return token

    async def renew(self, name: str, holder: str, token: int, ttl: float) -> bool:
        if not self._holds(name, holder, token):
            return False
        self._leases[name] = _Lease(holder, token, self._clock.monotonic() + ttl)
        return True

    async def release(self, name: str, holder: str, token: int) -> None:
        if self._holds(name, holder, token):
            self._leases[name] = _Lease("", token, 0.0)

    async def close(self) -> None:
        self._leases.clear()

    def _holds(self, name: str, holder: str, token: int) -> bool:
        lease = self._leases.get(name)
        return (
            lease is not None
            and (lease.holder, lease.token) == (holder, token)
            and lease.until > self._clock.monotonic()
        )
