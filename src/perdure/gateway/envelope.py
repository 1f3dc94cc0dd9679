"""The outermost layer: the id of a request, the headers that every answer carries, and what is no HTTP at all."""

import os
import re

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
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:-]{8,64}")
_ONCE = (b"authorization", b"x-api-key", b"host", b"content-length", b"content-type", b"idempotency-key", b"cookie")


class Envelope:
    """Gives each request its Exchange, and each answer its fixed headers."""

    def __init__(self, app: ASGIApp, standing: Standing) -> None:
        self._app = app
        self._standing = standing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        id = given.decode() if _WELL_FORMED.fullmatch(given) else os.urandom(12).hex()
        exchange = Exchange(id, headers)
        scope[EXCHANGE] = exchange

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.begun = True
                exchange.status = message["status"]
                message = {**message, "headers": self._headers(scope, exchange, list(message.get("headers", ())))}
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        token = REQUEST.set(id)
        try:
            if len(headers) != len(scope["headers"]) and (name := _repeated(scope)):
                detail = f"The header {name} may be given once."
                await answer(sender, 400, {}, {"code": "malformed", "detail": detail})
                return
            await self._app(scope, receive, sender)
        finally:
            REQUEST.reset(token)

    def _headers(self, scope: Scope, exchange: Exchange, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        given += exchange.answer
        names = {name for name, _ in given}
        given.append((b"x-request-id", exchange.id.encode()))
        given += SECURITY if names.isdisjoint(_NAMES) else [pair for pair in SECURITY if pair[0] not in names]
        if b"cache-control" not in names:
            given.append((b"cache-control", b"private, no-cache" if b"etag" in names else b"no-store"))
        if scope["scheme"] == "https":
            given.append(_STRICT)
        if self._standing.draining:
            given.append((b"connection", b"close"))
        return given


_NAMES = frozenset(name for name, _ in SECURITY)


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
