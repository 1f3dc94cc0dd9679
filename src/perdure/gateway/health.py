"""Whether this process lives and takes requests, and its numbers. Says nothing that is not for everybody."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perdure.gateway.standing import Standing
from perdure.ports.clock import Clock
from perdure.ports.edge import LIMIT, LOCAL, permission, public
from perdure.ports.log import Level, Log
from perdure.ports.meters import Meters

Check = Callable[[], Awaitable[None]]
"""Returns when a part works; raises when it does not."""
_PATIENCE = 2.0
_FRESH = 1.0
_OPEN = {**public("Says only whether the process works; load balancers have no credentials."), LIMIT: "none"}


class Health:
    """Asks the parts at most once a second, however many ask us."""

    def __init__(
        self, checks: Mapping[str, Check], standing: Standing, clock: Clock, *, watched: Mapping[str, Check], log: Log
    ) -> None:
        """`watched` are told of as well; while one of them fails the process takes requests all the same. The log hears why
        a part fails, when it begins to and when it works again."""
        self._checks = {**checks, **watched}
        self._log = log
        self._needed = frozenset(checks)
        self._standing = standing
        self._clock = clock
        self._known: tuple[float, dict[str, str]] = (float("-inf"), {})
        self._asking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Health({self._known[1] or 'not asked yet'})"

    async def parts(self) -> dict[str, str]:
        """Each part as `ok` or `failing`."""
        async with self._asking:
            if self._clock.monotonic() - self._known[0] > _FRESH:
                reasons = await asyncio.gather(*(_reason(check) for check in self._checks.values()))
                self._keep(dict(zip(self._checks, reasons, strict=True)))
            return self._known[1]

    def _keep(self, reasons: Mapping[str, str]) -> None:
        states = {name: "failing" if reason else "ok" for name, reason in reasons.items()}
        for name, state in states.items():
            if state != self._known[1].get(name, "ok"):
                level: Level = "warning" if reasons[name] else "info"
                self._log(level, "part changed", part=name, state=state, reason=reasons[name])
        self._known = (self._clock.monotonic(), states)

    async def answer(self) -> Response:
        if self._standing.draining:
            return JSONResponse({"status": "draining"}, 503, headers={"Retry-After": "1"})
        parts = await self.parts()
        works = all(parts[name] == "ok" for name in self._needed)
        status = {"status": "ready" if works else "not ready", "parts": parts}
        return JSONResponse(status, 200 if works else 503, headers={} if works else {"Retry-After": "1"})


async def _reason(check: Check) -> str:
    """Why a part does not work; empty when it does."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await check()
    except TimeoutError:
        return f"It did not answer within {_PATIENCE:.0f} seconds."
    except Exception as error:  # noqa: BLE001 - whatever it is, the part does not work
        return str(error) or type(error).__name__
    return ""


def router(health: Health, meters: Meters, *, metrics_open: bool) -> APIRouter:
    """Without a prefix, where orchestrators look."""
    routes = APIRouter(tags=["health"], include_in_schema=False)

    @routes.get("/health/live", openapi_extra=_OPEN)
    async def live(request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(request: Request) -> Response:
        return await health.answer()

    for path in ("/health", "/health/ready", "/ready"):
        routes.add_api_route(path, ready, openapi_extra=_OPEN)

    guard = public("The installation shows its metrics to everybody.") if metrics_open else permission("system:read")

    @routes.get("/metrics", openapi_extra={**guard, LOCAL: True, LIMIT: "none"})
    async def metrics(request: Request) -> Response:
        content, media = meters.text(request.headers.get("accept", ""))
        return Response(content, media_type=media)

    return routes
