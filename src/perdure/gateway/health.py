"""Whether this process lives and takes requests, and its numbers. Says nothing that is not for everybody."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perdure.gateway.standing import Standing
from perdure.ports.clock import Clock
from perdure.ports.edge import LIMIT, LOCAL, permission, public
from perdure.ports.meters import Meters

Check = Callable[[], Awaitable[None]]
"""Returns when a part works; raises when it does not."""
_PATIENCE = 2.0
_FRESH = 1.0
_OPEN = {**public("Says only whether the process works; load balancers have no credentials."), LIMIT: "none"}


class Health:
    """Asks the parts at most once a second, however many ask us."""

    def __init__(
        self, checks: Mapping[str, Check], standing: Standing, clock: Clock, watched: Mapping[str, Check] | None = None
    ) -> None:
        """`watched` are told of as well; while one of them fails the process takes requests all the same."""
        self._checks = {**checks, **(watched or {})}
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
                states = await asyncio.gather(*(_state(check) for check in self._checks.values()))
                self._known = (self._clock.monotonic(), dict(zip(self._checks, states, strict=True)))
            return self._known[1]

    async def answer(self) -> Response:
        if self._standing.draining:
            return JSONResponse({"status": "draining"}, 503, headers={"Retry-After": "1"})
        parts = await self.parts()
        works = all(parts[name] == "ok" for name in self._needed)
        status = {"status": "ready" if works else "not ready", "parts": parts}
        return JSONResponse(status, 200 if works else 503, headers={} if works else {"Retry-After": "1"})


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            await check()
    except Exception:  # noqa: BLE001 - whatever it is, the part does not work
        return "failing"
    return "ok"


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
