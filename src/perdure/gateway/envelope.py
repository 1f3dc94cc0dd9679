"""The outermost layer: the id of a request, the headers that every answer carries, and what is no HTTP at all."""

import os
import re
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perdure.gateway.exchange import EXCHANGE, Exchange
from perdure.gateway.problems import answer
from perdure.gateway.standing import Standing
from perdure.ports.log import REQUEST

SECURITY: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_STRICT = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_LENGTH, _AHEAD = 12, 256
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:-]{8,64}")
_ONCE = (b"authorization", b"x-api-key", b"host", b"content-length", b"content-type", b"idempotency-key", b"cookie")


class Envelope:
    """Gives each request its Exchange, and each answer its fixed headers."""

    def __init__(self, app: ASGIApp, standing: Standing) -> None:
        self._app = app
        self._standing = standing
        self._ids: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        id = given.decode() if given is not None and _WELL_FORMED.fullmatch(given) else self._id()
        exchange = Exchange(id, headers)
        scope[EXCHANGE] = exchange

        async def sender(message: Message) -> None:
            if exchange.begun:
                exchange.sent += len(message.get("body", b""))
                await send(message)
                return
            exchange.begun = True
            exchange.status = message["status"]
            await send({**message, "headers": self._headers(scope, exchange, message.get("headers", ()))})

        token = REQUEST.set(id)
        try:
            if len(headers) != len(scope["headers"]) and (name := _repeated(scope)):
                detail = f"The header {name} may be given once."
                await answer(sender, 400, {}, {"code": "malformed", "detail": detail})
                return
            await self._app(scope, receive, sender)
        finally:
            exchange.still = None  # it holds the scope, and the scope it: a circle that only the collector would find
            REQUEST.reset(token)

    def _id(self) -> str:
        """Chance is asked for many ids at once."""
        if not self._ids:
            chance = os.urandom(_LENGTH * _AHEAD).hex()
            self._ids = [chance[at : at + 2 * _LENGTH] for at in range(0, len(chance), 2 * _LENGTH)]
        return self._ids.pop()

    def _headers(
        self, scope: Scope, exchange: Exchange, given: Iterable[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        headers = [*given, *exchange.answer]
        names = dict(headers)
        headers.append((b"x-request-id", exchange.id.encode()))
        headers += SECURITY if _NAMES.isdisjoint(names) else [pair for pair in SECURITY if pair[0] not in names]
        if b"cache-control" not in names:
            headers.append(_ASK_AGAIN if b"etag" in names else _NOT_STORED)
        if scope["scheme"] == "https":
            headers.append(_STRICT)
        if self._standing.draining:
            headers.append((b"connection", b"close"))
        return headers


_NAMES = frozenset(name for name, _ in SECURITY)
_ASK_AGAIN = (b"cache-control", b"private, no-cache")
_NOT_STORED = (b"cache-control", b"no-store")


def _repeated(scope: Scope) -> str:
    names = [name for name, _ in scope["headers"]]
    return next((name.decode() for name in _ONCE if names.count(name) > 1), "")


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """WebSockets are refused. Start and stop of the parts are wiring's business, not a server's."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
