"""Builds the gateway: one list of routers, one list of layers. START HERE.

The layers in order: id and fixed headers, observation, CORS, problems, hosts and proxies, route, who and whether, body,
limits, idempotency, conditions, call. All are plain ASGI; nothing below authentication sees a request of a stranger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import Receive, Scope, Send

from perdure.gateway import bff, health
from perdure.gateway.auth import Authenticated
from perdure.gateway.bodies import Bodies
from perdure.gateway.conditions import Conditional
from perdure.gateway.cors import Cors
from perdure.gateway.description import Description
from perdure.gateway.dispatch import Dispatch
from perdure.gateway.envelope import Envelope
from perdure.gateway.health import Check, Health
from perdure.gateway.hosts import Hosts
from perdure.gateway.idempotency import Idempotent
from perdure.gateway.inner import Inner
from perdure.gateway.layers import Layer, stacked
from perdure.gateway.limits import Limited
from perdure.gateway.observing import Observed
from perdure.gateway.problems import Form, Problems
from perdure.gateway.routing import Routed, Table
from perdure.gateway.rules import Rules
from perdure.gateway.standing import Standing
from perdure.gateway.stream import Streams
from perdure.ports.cache import Cache
from perdure.ports.clock import Clock
from perdure.ports.edge import STREAM
from perdure.ports.identity import Identity
from perdure.ports.log import Log
from perdure.ports.meters import Meters
from perdure.ports.spans import Spans

PREFIX = "/api/v1"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the gateway is made of. Everything is handed in."""

    identity: Identity
    cache: Cache
    clock: Clock
    log: Log
    meters: Meters
    spans: Spans
    routers: Sequence[APIRouter]
    """Under `/api/v1`."""
    others: Sequence[tuple[str, APIRouter]] = ()
    """Under a prefix of their own, `("/v1", router)`; an empty one is the root."""
    forms: Mapping[str, Form] = field(default_factory=dict)
    """How errors are told on routes that name such a form (`ports/edge.PROBLEMS`)."""
    checks: Mapping[str, Check] = field(default_factory=dict)
    """What must work for this process to be ready, by name."""
    watched: Mapping[str, Check] = field(default_factory=dict)
    """What is told of beside it, though requests can be taken without."""
    runs: bff.Runs | None = None
    """For the pages that ask the workflows service's routes in one round; without it they are not there."""
    rules: Rules = field(default_factory=Rules)
    version: str = ""


class Edge:
    """The ASGI application."""

    def __init__(self, parts: Parts) -> None:
        self.standing = Standing()
        self._streams = Streams(self.standing, parts.rules, parts.log, parts.meters)
        self._api = _api(parts, self.standing)
        self.description = Description(self._api)
        self._api.include_router(self.description.router(), prefix=PREFIX)
        self._dispatch = Dispatch()
        self._inner = Inner(lambda: self.table, self._reached)
        if parts.runs is not None:
            pages = bff.router(self._inner, parts.cache, parts.runs)
            self._api.include_router(pages, prefix=PREFIX)
        self.table = Table(self._api.routes)
        self._app = stacked(self._reached, self._layers(parts))

    def __repr__(self) -> str:
        return f"Edge({self.table}, {self._streams}, {self.standing})"

    def _layers(self, parts: Parts) -> list[Layer]:
        rules, cache, clock, meters = parts.rules, parts.cache, parts.clock, parts.meters
        return [
            partial(Envelope, standing=self.standing),
            partial(Observed, log=parts.log, meters=meters, spans=parts.spans),
            partial(Cors, origins=rules.origins),
            partial(Problems, log=parts.log, forms=parts.forms),
            partial(Hosts, hosts=rules.hosts, proxies=rules.proxies),
            partial(Routed, table=self.table),
            partial(Authenticated, identity=parts.identity, cache=cache, clock=clock, rules=rules, meters=meters),
            partial(Limited, cache=cache, clock=clock, rules=rules, meters=meters),
            partial(Bodies, limit=rules.body),
            partial(Idempotent, cache=cache, meters=meters, seconds=rules.keep_answers),
            partial(Conditional, inner=self._inner),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _reached(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self._api
        scope[STREAM] = self._streams.respond
        await self._dispatch(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The description of the whole API."""
        return self.description.document()


def build(parts: Parts) -> Edge:
    """The gateway, or Bug when a route says neither what it asks of its caller nor why it is public."""
    return Edge(parts)


def _api(parts: Parts, standing: Standing) -> FastAPI:
    """FastAPI keeps the routes and describes them; its own pages, redirects and telemetry are off."""
    api = FastAPI(
        title="Perdure", version=parts.version, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    for router in parts.routers:
        api.include_router(router, prefix=PREFIX)
    for prefix, router in parts.others:
        api.include_router(router, prefix=prefix)
    state = Health(parts.checks, standing, parts.clock, watched=parts.watched, log=parts.log)
    api.include_router(health.router(state, parts.meters, metrics_open=parts.rules.metrics_open))
    return api
