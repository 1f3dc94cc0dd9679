"""Requests that the gateway sends to its own routes for a caller: the same table, the same permissions, no network.

The caller was verified already; whether he may is asked again for each route.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Scope

from perdure.errors import NotFound
from perdure.gateway.exchange import EXCHANGE, Exchange, exchange
from perdure.gateway.problems import told
from perdure.gateway.routing import Table
from perdure.ports.edge import CALLER, Caller


class Answer(NamedTuple):
    """What a route answered."""

    status: int
    content: Any
    """The JSON of the answer; of a refusal, its problem."""


class Inner:
    """Asks a route of ours as the caller of a request that is being answered."""

    def __init__(self, table: Callable[[], Table], app: ASGIApp) -> None:
        self._table = table
        self._app = app

    def __repr__(self) -> str:
        return f"Inner({self._table()!r})"

    async def ask(self, request: Request, method: str, path: str, *, query: str = "", json: Any = None) -> Answer:
        """`path` as it is once decoded. Along goes only the `Idempotency-Key` of a change: whoever sends it again means the
        same one."""
        body = b"" if json is None else msgspec.json.encode(json)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if body else []
        key = request.headers.get("idempotency-key")
        if method == "POST" and key is not None:
            headers.append((b"idempotency-key", key.encode("latin-1")))
        try:
            scope = self._scope(request.scope, method, path, query=query, headers=headers)
        except NotFound as error:
            status, _, problem = told(error)
            return Answer(status, problem)
        status, content = await self.exchanged(scope, body)
        return Answer(
            status, content if isinstance(content, dict) else msgspec.json.decode(content) if content else None
        )

    async def read(self, scope: Scope) -> bytes | None:
        """What a GET of the very address of a request would show its caller now; None when that is nothing."""
        path = scope["path"]
        if self._table().find("GET", path)[0] is None:
            return None
        query = scope["query_string"].decode("latin-1")
        status, content = await self.exchanged(self._scope(scope, "GET", path, query=query, headers=[]), b"")
        return content if status == 200 and isinstance(content, bytes) else None

    async def exchanged(self, scope: Scope, body: bytes) -> tuple[int, bytes | dict[str, Any]]:
        """The status with the body of an answer, or with the problem of a refusal."""
        status, parts = 500, []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        try:
            self._allow(scope)
            await self._app(scope, receive, send)
        except Exception as error:
            status, _, problem = told(error)
            if status >= 500 and status != 503:
                raise
            return status, problem
        return status, b"".join(parts)

    def _scope(
        self, outer: Scope, method: str, path: str, *, query: str, headers: list[tuple[bytes, bytes]]
    ) -> dict[str, Any]:
        found, parameters, _ = self._table().find(method, path)
        if found is None:  # an id that is a word of the API itself, such as `validate`
            raise NotFound("There is nothing at this address.")
        inner = Exchange(exchange(outer).id, dict(headers))
        inner.entry = found
        kept = {name: outer[name] for name in ("type", "asgi", "http_version", "scheme", "client", "server", CALLER)}
        return kept | {
            "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": headers, "path_params": parameters, EXCHANGE: inner,
        }  # fmt: skip

    @staticmethod
    def _allow(scope: Scope) -> None:
        caller: Caller = scope[CALLER]
        scope[EXCHANGE].entry.check(caller)
