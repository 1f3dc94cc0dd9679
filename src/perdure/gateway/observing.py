"""What is counted, logged and traced of each request. Labels are routes, methods and statuses: nothing of a tenant."""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.gateway.exchange import Exchange, exchange
from perdure.ports.log import Log
from perdure.ports.meters import Meters
from perdure.ports.spans import Span, Spans

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observed:
    """One line in the log, one count, one duration and, when it is on, one span for each request."""

    def __init__(self, app: ASGIApp, log: Log, meters: Meters, spans: Spans) -> None:
        self._app = app
        self._log = log
        self._meters = meters
        self._spans = spans
        self._under_way = 0
        meters.watch("perdure_http_requests_in_flight", lambda: self._under_way)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        self._under_way += 1
        try:
            if self._spans.on:
                await self._traced(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
            self._tell(scope, time.perf_counter() - began)

    async def _traced(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = exchange(scope)
        parent = seen.headers.get(b"traceparent", b"").decode("latin-1")
        state = seen.headers.get(b"tracestate", b"").decode("latin-1")
        with self._spans.span(scope["method"], kind="server", parent=parent, state=state) as span:
            await self._app(scope, receive, send)
            _describe(span, seen, scope["method"])

    def _tell(self, scope: Scope, seconds: float) -> None:
        seen = exchange(scope)
        route = seen.entry.path if seen.entry else "unmatched"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._meters.add("perdure_http_requests_total", (method, route, str(seen.status)))
        self._meters.observe("perdure_http_request_seconds", (method, route), seconds)
        self._log(
            "info" if seen.status < 500 else "warning", "request answered", method=method, route=route,
            status=seen.status, milliseconds=round(seconds * 1000, 2), sent=seen.sent, tenant=seen.tenant,
        )  # fmt: skip


def _describe(span: Span, seen: Exchange, method: str) -> None:
    span.set("http.request.method", method)
    span.set("http.route", seen.entry.path if seen.entry else "unmatched")
    span.set("http.response.status_code", seen.status)
    span.set("perdure.request", seen.id)
    if seen.status >= 500:
        span.fail(str(seen.status))
