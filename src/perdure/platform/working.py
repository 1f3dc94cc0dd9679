"""What a worker of the platform does besides the services' own loops: it says that it lives, and sweeps."""

import dataclasses
import uuid
from typing import TYPE_CHECKING

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perdure.engines.temporal.protocol import QUEUES
from perdure.gateway.app import Parts
from perdure.ports.clock import Clock
from perdure.ports.edge import LIMIT, Caller, public
from perdure.ports.locks import Locks
from perdure.services.identity.service import Tenants

if TYPE_CHECKING:
    from perdure.engines.temporal.engine import TemporalEngine

_HOUR, _DAY = 3_600.0, 86_400.0
_SWEEP = "sweep of values"
_PAGE = 100


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is worked on: queues of the Temporal server, calls at once on each, and seconds for them at the end."""

    queues: tuple[str, ...] = QUEUES
    calls: int = 100
    drain: float = 30.0


def of_worker(parts: Parts) -> Parts:
    """What is left of the gateway at a worker: health and numbers, under whichever name it is asked."""
    rules = msgspec.structs.replace(parts.rules, hosts=())
    return dataclasses.replace(parts, routers=(), others=[("", _alive())], forms={}, runs=None, rules=rules)


def _alive() -> APIRouter:
    """Where the health of `perdure worker` has always been looked for, beside `/ready`."""
    routes = APIRouter(include_in_schema=False)
    is_open = {**public("Says only that the process lives; orchestrators have no credentials."), LIMIT: "none"}

    @routes.get("/live", openapi_extra=is_open)
    async def live(request: Request) -> Response:
        return JSONResponse({"status": "live"})

    return routes


async def sweep(engine: "TemporalEngine", tenants: Tenants, locks: Locks, clock: Clock, home: str) -> None:
    """Forget big values of runs that the server has forgotten: once a day, in one of all workers, until cancelled."""
    while True:
        await clock.sleep(_HOUR)
        # A new holder each time, and never given back: that is what makes it once a day.
        if await locks.lease(_SWEEP, str(uuid.uuid4()), _DAY) is None:
            continue
        before = clock.now() - int(_DAY * 1000)
        for tenant in await _all(tenants, home):
            await engine.sweep(tenant, before)


async def _all(tenants: Tenants, home: str) -> list[str]:
    found: list[str] = []
    by = Caller(tenant=home, subject="installation")
    while page := await tenants.find(by, after=found[-1] if found else "", limit=_PAGE):
        found += [tenant.id for tenant in page]
    return found
