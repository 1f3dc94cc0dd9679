"""What a page needs, in one round: several routes of the API asked at once and put together (backend for the frontend).

It decides nothing: each part is the answer of a route that the caller could ask himself, and is null where he may not.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from perdure.errors import Unavailable
from perdure.gateway.inner import Answer, Inner
from perdure.gateway.problems import Refused
from perdure.ports.cache import Cache
from perdure.ports.edge import IDEMPOTENCY, LIMIT, SELF, Caller, caller, permission
from perdure.ports.engine import ENDED

_FRESH = 2.0
"""Seconds for which a board is kept."""
_LONGEST_WAIT = 30.0
_SHOWN = 20
_PREFIX = "/api/v1"
By = Annotated[Caller, Depends(caller)]


class Runs(Protocol):
    """What the workflows service lends."""

    async def wait(self, tenant: str, run: str) -> Any:
        """Return when the run has ended."""
        ...


class Execution(BaseModel):
    """A run to start, and for how long to wait for its end."""

    model_config = ConfigDict(extra="forbid")

    workflow: Annotated[str, Field(min_length=1, max_length=200, description="`<namespace>.<name>`")]
    version: Annotated[str | None, Field(max_length=100)] = None
    input: Any = None
    wait: Annotated[float, Field(ge=0, le=_LONGEST_WAIT, description="Seconds.")] = 10.0


class Executed(BaseModel):
    """The run as it is at the end of the waiting."""

    ended: bool
    run: dict[str, Any]


class Dashboard(BaseModel):
    """The newest of everything."""

    workflows: list[dict[str, Any]] | None
    runs: list[dict[str, Any]] | None
    faulted: list[dict[str, Any]] | None
    waiting: list[dict[str, Any]] | None
    inbox: list[dict[str, Any]] | None
    schedules: list[dict[str, Any]] | None


class Complete(BaseModel):
    """A workflow with what belongs to it."""

    workflow: dict[str, Any]
    versions: list[dict[str, Any]] | None
    runs: list[dict[str, Any]] | None
    schedules: list[dict[str, Any]] | None


def router(inner: Inner, cache: Cache, runs: Runs) -> APIRouter:
    """The three pages."""
    routes = APIRouter(tags=["pages"])

    @routes.get("/dashboard", openapi_extra=permission(SELF, project=True), response_model=Dashboard)
    async def dashboard(request: Request, by: By) -> Response:
        """The newest workflows, runs, questions and schedules, at most a few seconds old."""
        return await _kept(cache, by, "dashboard", lambda: _parts(inner, request, _BOARD))

    @routes.get(
        "/workflows/{id}/complete", openapi_extra=permission("workflows:read", project=True), response_model=Complete
    )
    async def complete(id: str, request: Request, by: By) -> Response:
        """A workflow with its versions, its newest runs and its schedules."""
        address = f"{_PREFIX}/workflows/{id}"
        asked: dict[str, tuple[str, dict[str, Any]]] = {
            "versions": (f"{address}/versions", {"limit": _SHOWN}),
            "runs": (f"{_PREFIX}/runs", {"limit": _SHOWN, "workflow": id}),
            "schedules": (f"{_PREFIX}/schedules", {"limit": _SHOWN, "workflow": id}),
        }

        async def made() -> dict[str, Any]:
            found, parts = await asyncio.gather(inner.ask(request, "GET", address), _parts(inner, request, asked))
            return {"workflow": _needed(found), **parts}

        return await _kept(cache, by, f"complete:{id}", made)

    extra = {**permission("runs:write", project=True), LIMIT: "run", IDEMPOTENCY: "own"}

    @routes.post("/workflows/execute", openapi_extra=extra)
    async def execute(given: Execution, request: Request, by: By) -> Executed:
        """Start a run and wait a while for its end. The run goes on when the waiting is over."""
        wanted = {"workflow": given.workflow, "input": given.input, "version": given.version}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        started = _needed(await inner.ask(request, "POST", f"{_PREFIX}/runs", json=wanted))
        run = started.get("run") or started["id"]
        if given.wait:
            try:
                async with asyncio.timeout(given.wait):
                    await runs.wait(by.tenant, run)
            except TimeoutError:
                pass
        found = _needed(await inner.ask(request, "GET", f"{_PREFIX}/runs/{run}"))
        return Executed(ended=found.get("status") in ENDED, run=found)

    return routes


_BOARD: Mapping[str, tuple[str, dict[str, Any]]] = {
    "workflows": (f"{_PREFIX}/workflows", {"limit": _SHOWN}),
    "runs": (f"{_PREFIX}/runs", {"limit": _SHOWN}),
    "faulted": (f"{_PREFIX}/runs", {"limit": _SHOWN, "status": "faulted"}),
    "waiting": (f"{_PREFIX}/runs", {"limit": _SHOWN, "status": "waiting"}),
    "inbox": (f"{_PREFIX}/inbox", {"limit": _SHOWN, "state": "open"}),
    "schedules": (f"{_PREFIX}/schedules", {"limit": _SHOWN}),
}


async def _parts(inner: Inner, request: Request, asked: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    answers = await asyncio.gather(
        *(inner.ask(request, "GET", path, query=urlencode(query)) for path, query in asked.values())
    )
    return {name: _items(answer) for name, answer in zip(asked, answers, strict=True)}


def _items(answer: Answer) -> Any:
    """What the caller may not see is null; anything else that goes wrong is the page's problem too."""
    return None if answer.status == 403 else _needed(answer)["items"]


def _needed(answer: Answer) -> Any:
    if answer.status >= 400:
        more = {name: answer.content[name] for name in ("hint", "errors", "details") if name in answer.content}
        raise Refused(answer.status, answer.content["code"], answer.content["detail"], **more)
    return answer.content


async def _kept(cache: Cache, by: Caller, page: str, make: Any) -> Response:
    """Kept for a caller with these permissions: nobody sees through another's eyes."""
    seen = "\0".join((by.subject, by.project, *sorted(by.permissions), page))
    name = f"{by.tenant}:page:{hashlib.blake2b(seen.encode(), digest_size=16).hexdigest()}"
    try:
        body = await cache.get(name)
    except Unavailable:  # then the page is made anew for everybody
        body = None
    if body is None:
        body = msgspec.json.encode(await make())
        with contextlib.suppress(Unavailable):
            await cache.put(name, body, _FRESH)
    return Response(body, media_type="application/json")
