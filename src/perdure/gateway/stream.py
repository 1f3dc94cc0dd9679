"""Server-sent events: signs of life, readers that are too slow, resuming, and an end that says to come back.

Nothing is kept for a reader: who comes back names the last id it saw, and the service goes on from there.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from perdure.gateway.exchange import exchange
from perdure.gateway.problems import Refused
from perdure.gateway.rules import Rules
from perdure.gateway.standing import Standing
from perdure.ports.edge import CALLER, Caller, Follow, Sent
from perdure.ports.log import Log
from perdure.ports.meters import Meters

_LONGEST_ID = 256
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
_ALIVE = b": still here\n\n"


class Streams:
    """All open streams of this process, counted by caller and tenant."""

    def __init__(self, standing: Standing, rules: Rules, log: Log, meters: Meters) -> None:
        self.standing = standing
        self.rules = rules
        self._log = log
        self._meters = meters
        self._open: dict[str, int] = {}
        meters.watch("perdure_http_streams_open", lambda: self._open.get("", 0))

    def __repr__(self) -> str:
        return f"Streams(open={self._open.get('', 0)})"

    def respond(self, request: Request, follow: Follow) -> Response:
        """What `ports/edge.stream` calls."""
        if self.standing.draining:
            raise Refused(503, "unavailable", "This process is stopping.", headers={"Retry-After": "1"})
        last = request.headers.get("last-event-id", "")
        if len(last) > _LONGEST_ID or not last.isprintable():
            raise Refused(400, "malformed", "Last-Event-ID is none of ours.")
        caller: Caller | None = request.scope.get(CALLER)
        names = self._names(caller)
        for name, most in zip(
            names, (self.rules.streams, self.rules.streams_tenant, self.rules.streams_caller), strict=False
        ):
            if self._open.get(name, 0) >= most:
                self._meters.add("perdure_refusals_total", ("streams",))
                raise Refused(429, "exhausted", f"Only {most} streams at once.", headers={"Retry-After": "10"})
        return Streaming(follow(last), self, names, exchange(request.scope).still)

    @staticmethod
    def _names(caller: Caller | None) -> list[str]:
        return [""] if caller is None else ["", f"tenant:{caller.tenant}", f"{caller.tenant}:{caller.subject}"]

    def opened(self, names: list[str]) -> None:
        for name in names:
            self._open[name] = self._open.get(name, 0) + 1

    def closed(self, names: list[str], why: str) -> None:
        for name in names:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]
        self._meters.add("perdure_http_streams_ended_total", (why,))
        if why == "failed":
            self._log("error", "stream failed")


class Streaming(Response):
    """One stream, from its headers to its end."""

    def __init__(
        self,
        events: AsyncIterator[Sent],
        streams: Streams,
        names: list[str],
        still: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._events = events
        self._still = still
        self._streams = streams
        self._names = names
        self._stopping = False
        self.status_code = 200
        self.background = None

    def __repr__(self) -> str:
        return f"Streaming({self._names[-1]!r}, stopping={self._stopping})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.opened(self._names)
        why = "failed"
        try:
            why = await self._run(receive, send)
        finally:
            self._streams.closed(self._names, why)
            close = getattr(self._events, "aclose", None)
            if close is not None:
                await close()

    async def _run(self, receive: Receive, send: Send) -> str:
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        await send({"type": "http.response.body", "body": _ALIVE, "more_body": True})
        gone: asyncio.Task[None] = asyncio.create_task(_until_gone(receive))
        pump = asyncio.create_task(self._pump(send))

        def stop() -> None:
            self._stopping = True
            pump.cancel()

        gone.add_done_callback(lambda _: pump.cancel())
        self._streams.standing.listen(stop)
        try:
            return await pump
        except asyncio.CancelledError:
            if not pump.cancelled():
                raise
            if not self._stopping:
                return "left"
            await self._part(send)
            return "drained"
        finally:
            self._streams.standing.forget(stop)
            gone.cancel()
            pump.cancel()

    async def _pump(self, send: Send) -> str:
        """Events as they come, and a sign of life when none came for a while; none to who is shut out meanwhile."""
        rules, watch = self._streams.rules, asyncio.get_running_loop().time
        pending: asyncio.Task[Sent] | None = None
        asked = watch()
        try:
            while True:
                pending = pending or asyncio.ensure_future(_next(self._events))
                done, _ = await asyncio.wait({pending}, timeout=rules.heartbeat)
                if watch() - asked >= rules.heartbeat:
                    asked = watch()
                    if self._still is not None and not await self._still():
                        await send({"type": "http.response.body", "body": b""})
                        return "refused"
                if not done:
                    part = _ALIVE
                else:
                    try:
                        part = encoded(pending.result())
                    except StopAsyncIteration:
                        await send({"type": "http.response.body", "body": b""})
                        return "ended"
                    pending = None
                async with asyncio.timeout(rules.stall):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        except TimeoutError:
            return "stalled"
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)

    async def _part(self, send: Send) -> None:
        """Readers come back at different moments, to whoever takes our place."""
        retry = b"retry: %d\n\n" % random.randint(200, 2000)  # noqa: S311 - spreads load, hides nothing
        await send({"type": "http.response.body", "body": retry})


async def _next(events: AsyncIterator[Sent]) -> Sent:
    """As a coroutine of our own: a StopAsyncIteration cannot leave a task of `anext` itself."""
    return await anext(events)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def encoded(sent: Sent) -> bytes:
    """One event as lines (HTML standard, 9.2). A line break in a name or id would begin another field: refused."""
    lines = []
    for name, value in (("id", sent.id), ("event", sent.event)):
        if value:
            assert not any(mark in value for mark in "\r\n\0"), f"{name} of a stream event holds a line break"
            lines.append(f"{name}: {value}\n".encode())
    data = sent.data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines += [b"data: " + line + b"\n" for line in data.split(b"\n")]
    return b"".join(lines) + b"\n"
