"""Which web origins may call from a browser: those of a list that is empty by default, and never with cookies."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.gateway.exchange import exchange

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_ASKED = b"authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, x-api-key, x-request-id, traceparent"  # fmt: skip
_SHOWN = b"etag, idempotency-replayed, ratelimit, ratelimit-policy, retry-after, x-request-id"


class Cors:
    """Answers preflights of the listed origins. `Access-Control-Allow-Credentials` is never said."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("latin-1") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = exchange(scope)
        if self._origins:
            seen.answer.append((b"vary", b"Origin"))
        origin = seen.headers.get(b"origin")
        if origin is None or origin not in self._origins:
            await self._app(scope, receive, send)
            return
        seen.answer += [(b"access-control-allow-origin", origin), (b"cross-origin-resource-policy", b"cross-origin")]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in seen.headers:
            seen.answer += [
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _ASKED),
                (b"access-control-max-age", b"600"),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        seen.answer.append((b"access-control-expose-headers", _SHOWN))
        await self._app(scope, receive, send)
