"""How much and how often: sliding windows for callers, tenants and addresses, counted in the cache that all gateways share.

When the cache cannot be reached requests pass: availability goes before a limit (and it is logged and counted).
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.errors import Unavailable
from perdure.gateway.exchange import Exchange, entry, exchange
from perdure.gateway.hosts import address_of
from perdure.gateway.problems import Refused
from perdure.gateway.rules import Rate, Rules
from perdure.ports.cache import Cache
from perdure.ports.clock import Clock
from perdure.ports.edge import CALLER, Caller
from perdure.ports.meters import Meters

_MOST_KNOWN = 50_000
_SHARE = 200


class Lot:
    """What this process has taken out of one window: counted in the cache at once, used up one by one."""

    __slots__ = ("earlier", "left", "total", "window")

    def __init__(self, window: int, earlier: int) -> None:
        self.window = window
        self.earlier = earlier
        """Counted in the window before, of which a share still counts."""
        self.total = 0
        """Counted by all processes, with this one's lot."""
        self.left = 0

    def __repr__(self) -> str:
        return f"Lot(window={self.window}, total={self.total}, left={self.left})"


class Windows:
    """Counts by window, and weighs in the share of the window before that still counts.

    The cache is asked once for a lot of a two-hundredth of the limit: so much, at most, does one process err.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._lots: dict[str, Lot] = {}

    def __repr__(self) -> str:
        return f"Windows(lots={len(self._lots)})"

    async def take(self, name: str, rate: Rate, now: int) -> tuple[int, int]:
        """Count one. What is left (below 0: too many), and in how many seconds there is more."""
        length = rate.seconds * 1000
        window, gone = divmod(now, length)
        lot = self._lots.get(name)
        if lot is None or lot.window != window:
            lot = await self._begun(name, window, rate)
        if not lot.left:
            lot.left = max(1, rate.amount // _SHARE)
            lot.total = await self._cache.add(f"{name}:{window}", lot.left, 2 * rate.seconds)
        lot.left -= 1
        weighed = lot.total - lot.left + lot.earlier * (length - gone) // length
        return rate.amount - weighed, (length - gone + 999) // 1000

    async def _begun(self, name: str, window: int, rate: Rate) -> Lot:
        """The count of a window that is over never changes: it is asked for once."""
        earlier = await self._cache.add(f"{name}:{window - 1}", 0, 2 * rate.seconds)
        if len(self._lots) >= _MOST_KNOWN:
            self._lots.clear()
        lot = self._lots[name] = Lot(window, earlier)
        return lot


class Limited:
    """Refuses with 429 what is more than a class of routes allows, and says to everybody else how much is left."""

    def __init__(self, app: ASGIApp, cache: Cache, clock: Clock, rules: Rules, meters: Meters) -> None:
        self._app = app
        self._windows = Windows(cache)
        self._clock = clock
        self._rates = {name: rate for name, rate in rules.rates.items() if name != "none"}
        self._whole = {
            name: Rate(rate.amount * rules.tenant_factor, rate.seconds) for name, rate in self._rates.items()
        }
        """Of a tenant."""
        self._policies = {
            name: (b"ratelimit-policy", f'"{name}";q={rate.amount};w={rate.seconds}'.encode())
            for name, rate in self._rates.items()
        }
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = exchange(scope)
        name = entry(scope).limit_class(scope["method"])
        rate = self._rates.get(name)
        if rate is not None:
            try:
                await self._take(scope, seen, name, rate, scope.get(CALLER))
            except Unavailable:
                self._meters.add("perdure_limits_unavailable_total")
        await self._app(scope, receive, send)

    async def _take(self, scope: Scope, seen: Exchange, name: str, rate: Rate, caller: Caller | None) -> None:
        who = f"-:rate:{address_of(scope)}" if caller is None else f"{caller.tenant}:rate:{caller.subject}"
        now = self._clock.now()
        left, seconds = await self._windows.take(f"{who}:{name}", rate, now)
        if caller is not None and left >= 0:
            of_tenant, _ = await self._windows.take(f"{caller.tenant}:rate:*:{name}", self._whole[name], now)
            left = min(left, of_tenant)
        seen.answer += (self._policies[name], (b"ratelimit", f'"{name}";r={max(0, left)};t={seconds}'.encode()))
        if left < 0:
            self._meters.add("perdure_refusals_total", ("rate",))
            raise Refused(
                429, "exhausted", f"Only {rate.amount} requests of this kind in {rate.seconds} seconds.",
                headers={"Retry-After": str(seconds)},
            )  # fmt: skip
