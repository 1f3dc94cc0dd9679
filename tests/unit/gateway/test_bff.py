"""Pages put together from the routes of the API, seen with the caller's own eyes."""

import asyncio
from typing import Any

import msgspec
import pytest
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_cache import MemoryCache
from perdure.errors import NotFound, Unavailable
from perdure.ports.edge import CALLER, Caller, permission
from tests.unit.gateway.world import World

ALL = frozenset({"workflows:read", "runs:read", "runs:write", "schedules:read", "inbox:read"})


class Workflows:
    """Routes of the shape of the workflows service, and runs that end when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = asyncio.Event()
        self.status = "running"

    async def wait(self, tenant: str, run: str) -> None:
        await self.over.wait()
        self.status = "completed"

    def router(self) -> APIRouter:
        routes = APIRouter()
        for path, needed in [
            ("/workflows", "workflows:read"), ("/workflows/{id}/versions", "workflows:read"), ("/runs", "runs:read"),
            ("/inbox", "inbox:read"), ("/schedules", "schedules:read"),
        ]:  # fmt: skip
            routes.add_api_route(path, self._list, openapi_extra=permission(needed))

        @routes.get("/workflows/{id}", openapi_extra=permission("workflows:read"))
        async def workflow(id: str) -> dict[str, Any]:
            if id != "demo.one":
                raise NotFound("There is no workflow here.", hint="Look again.")
            return {"id": id}

        @routes.post("/runs", status_code=201, openapi_extra=permission("runs:write"))
        async def start(given: dict[str, Any]) -> dict[str, Any]:
            self.asked.append(f"start {given}")
            return {"id": "run-1"}

        @routes.get("/runs/{id}", openapi_extra=permission("runs:read"))
        async def run(id: str) -> dict[str, Any]:
            return {"id": id, "status": self.status, "output": {"a": 1}}

        return routes

    async def _list(self, request: Request) -> Response:
        by: Caller = request.scope[CALLER]
        self.asked.append(f"{request.url.path}?{request.url.query}")
        return JSONResponse({"items": [{"of": by.tenant, "path": request.url.path}], "next": None})


class Away(MemoryCache):
    async def get(self, key: str) -> bytes | None:
        raise Unavailable("no cache")

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        raise Unavailable("no cache")


def made(**more: Any) -> tuple[World, Workflows]:
    service = Workflows()
    world = World(routers=[service.router()], runs=service, **more)
    for tenant in "ab":
        world.identity.callers[f"all-{tenant}"] = Caller(tenant=tenant, subject="key:9", by="key", permissions=ALL)
    world.identity.callers["some"] = Caller(tenant="a", subject="key:9", by="key", permissions=frozenset({"runs:read"}))
    return world, service


async def test_the_dashboard_in_one_round_and_kept_for_a_moment():
    world, service = made()
    board = (await world.ask("GET", "/api/v1/dashboard", key="all-a")).json
    assert set(board) == {"workflows", "runs", "faulted", "waiting", "inbox", "schedules"}
    assert all(part[0]["of"] == "a" for part in board.values())
    assert "/api/v1/runs?limit=20&status=faulted" in service.asked and len(service.asked) == 6
    await world.ask("GET", "/api/v1/dashboard", key="all-a")
    assert len(service.asked) == 6
    world.clock.advance(2.1)
    await world.ask("GET", "/api/v1/dashboard", key="all-a")
    assert len(service.asked) == 12


async def test_without_a_cache_it_is_made_anew():
    world, service = made(cache=Away(TestClock()))
    for _ in range(2):
        assert (await world.ask("GET", "/api/v1/dashboard", key="all-a")).status == 200
    assert len(service.asked) == 12


async def test_nobody_sees_with_the_eyes_of_another():
    world, _ = made()
    await world.ask("GET", "/api/v1/dashboard", key="all-a")
    other = (await world.ask("GET", "/api/v1/dashboard", key="all-b")).json
    assert all(part[0]["of"] == "b" for part in other.values())
    some = (await world.ask("GET", "/api/v1/dashboard", key="some")).json
    assert some["runs"] and some["workflows"] is None and some["inbox"] is None


async def test_a_workflow_with_what_belongs_to_it():
    world, service = made()
    page = (await world.ask("GET", "/api/v1/workflows/demo.one/complete", key="all-a")).json
    assert page["workflow"] == {"id": "demo.one"} and len(page["runs"]) == 1
    assert "/api/v1/schedules?limit=20&workflow=demo.one" in service.asked
    missing = await world.ask("GET", "/api/v1/workflows/demo.two/complete", key="all-a")
    assert missing.status == 404 and missing.json["hint"] == "Look again."
    assert (await world.ask("GET", "/api/v1/workflows/demo.one/complete", key="some")).status == 403


@pytest.mark.parametrize("id", ["execute", "de mo", "é", "de%20mo"])
async def test_a_word_of_the_api_is_no_workflow(id):
    """`/workflows/execute` is an address where only a POST has a meaning."""
    world, _ = made()
    missing = await world.ask("GET", f"/api/v1/workflows/{id}/complete", key="all-a")
    assert (missing.status, missing.json["code"]) == (404, "not-found")


@pytest.mark.parametrize("wait", [0, 0.01])
async def test_a_run_that_takes_longer_than_the_waiting(wait):
    world, service = made()
    answer = await world.ask(
        "POST", "/api/v1/workflows/execute", key="all-a", json={"workflow": "demo.one", "wait": wait}
    )
    assert answer.json == {"ended": False, "run": {"id": "run-1", "status": "running", "output": {"a": 1}}}
    assert service.asked == ["start {'workflow': 'demo.one'}"]


async def test_a_run_that_ends_meanwhile():
    world, service = made()
    service.over.set()
    given = {"workflow": "demo.one", "input": {"x": 1}, "version": "1.0.0"}
    answer = await world.ask("POST", "/api/v1/workflows/execute", key="all-a", json=given)
    assert answer.json["ended"] is True and answer.json["run"]["status"] == "completed"
    assert msgspec.json.decode(answer.body)["run"]["output"] == {"a": 1}
    refused = await world.ask("POST", "/api/v1/workflows/execute", key="some", json=given)
    assert refused.status == 403
    unknown = await world.ask("POST", "/api/v1/workflows/execute", key="all-a", json={**given, "document": {}})
    assert unknown.status == 422, "a definition has no place here"
