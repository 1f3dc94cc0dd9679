"""Sending calls: from plain code (`Client`, on the standard library, quick to start) and from asyncio (`AsyncClient`, on
aiohttp). Neither decides anything: a call says what is sent and what its answer means.
"""

import http.client
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from perdure import __version__
from perdure.client.call import Call, error
from perdure.client.stream import Lines, StreamEvent
from perdure.errors import Invalid, Unavailable

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
_AGAIN = 1.0
_PATIENCE = 60.0
"""Seconds for which a stream that was open looks for its server again."""
_SILENCE = 60.0
"""Seconds without a sign of life, which comes every 15, after which a stream's connection is taken for lost."""
_PIECE = 65_536


class Client:
    """Sends calls to one server and waits for their answers. Not for several threads at once."""

    def __init__(self, url: str, key: str = "", *, timeout: float = 60.0) -> None:
        """`key` is an API key or an access token; `timeout` in seconds, for each call."""
        self._place = _Place(url, key)
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"Client({self._place.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def do(self, call: Call[T]) -> T:
        """The answer. An error of `errors.py` when the server refuses, Unavailable when it cannot be reached."""
        connection = self._connected()
        try:
            answer = self._send(call, connection)
            content = answer.read()
        except (OSError, http.client.HTTPException) as wrong:
            self.close()
            raise self._place.unreachable(wrong) from None
        except BaseException:
            self.close()  # half an answer may be on its way, which is nobody's
            raise
        return call.read(answer.status, content, answer.headers.get("Perdure-Next"))

    def stream(self, call: Call[Any], *, after: str = "") -> Iterator[StreamEvent]:
        """The events of a stream from `after` on. A lost connection is made again, and goes on where it was; a server
        that is away for more than a minute is Unavailable."""
        lines, again = Lines(after), _Again()
        while True:
            try:
                for event in self._events(call, lines, again):
                    yield event
                    if event.type == "end":
                        return
            except (OSError, http.client.HTTPException):
                pass  # cut off
            except Unavailable as wrong:
                again.must_wait(wrong)
            time.sleep(lines.retry or _AGAIN)

    def _events(self, call: Call[Any], lines: Lines, again: "_Again") -> Iterator[StreamEvent]:
        """Those of one connection."""
        connection = self._place.connect(_SILENCE)
        try:
            answer = self._send(call, connection, lines.headers())
            if answer.status >= 300:
                raise error(answer.status, answer.read())
            again.is_open()
            while chunk := answer.read1(_PIECE):
                yield from lines.feed(chunk)
        finally:
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = self._place.connect(self._timeout)
        return self._connection

    def _send(
        self, call: Call[Any], connection: http.client.HTTPConnection, more: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        headers = self._place.headers(call) | (more or {})
        is_old = connection.sock is not None
        try:
            connection.request(call.method, self._place.path + call.target, body=call.body, headers=headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as wrong:
            connection.close()
            if is_old and isinstance(wrong, http.client.RemoteDisconnected | BrokenPipeError | ConnectionResetError):
                return self._send(call, connection, headers)  # the server had closed an idle connection
            raise self._place.unreachable(wrong) from None


class AsyncClient:
    """Sends calls to one server, many at once."""

    def __init__(self, url: str, key: str = "", *, timeout: float = 60.0) -> None:
        self._place = _Place(url, key)
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"AsyncClient({self._place.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def do(self, call: Call[T]) -> T:
        """As `Client.do`."""
        import aiohttp  # heavy: only who is asynchronous pays for it

        try:
            async with self._connected().request(
                call.method, self._place.origin + call.target, data=call.body, headers=self._place.headers(call),
                timeout=aiohttp.ClientTimeout(total=self._timeout), allow_redirects=False,
            ) as answer:  # fmt: skip
                return call.read(answer.status, await answer.read(), answer.headers.get("Perdure-Next"))
        except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
            raise self._place.unreachable(wrong) from None

    async def stream(self, call: Call[Any], *, after: str = "") -> AsyncIterator[StreamEvent]:
        """As `Client.stream`."""
        import asyncio  # as above

        import aiohttp

        lines, again = Lines(after), _Again()
        while True:
            try:
                async for event in self._events(call, lines, again):
                    yield event
                    if event.type == "end":
                        return
            except (aiohttp.ClientError, OSError) as wrong:  # TimeoutError is one of them
                if not again.was_open:
                    raise self._place.unreachable(wrong) from None
                if isinstance(wrong, aiohttp.ClientConnectorError):
                    again.must_wait(self._place.unreachable(wrong))
            except Unavailable as wrong:
                again.must_wait(wrong)
            await asyncio.sleep(lines.retry or _AGAIN)

    async def _events(self, call: Call[Any], lines: Lines, again: "_Again") -> AsyncIterator[StreamEvent]:
        import aiohttp  # as above

        async with self._connected().request(
            call.method, self._place.origin + call.target, data=call.body,
            headers=self._place.headers(call) | lines.headers(), allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=_SILENCE),
        ) as answer:  # fmt: skip
            if answer.status >= 300:
                raise error(answer.status, await answer.read())
            again.is_open()
            async for chunk in answer.content.iter_any():
                for event in lines.feed(chunk):
                    yield event

    def _connected(self) -> "aiohttp.ClientSession":
        import aiohttp  # as above

        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


class _Again:
    """Whether a stream looks for its server again. One that was never there is told at once."""

    def __init__(self) -> None:
        self.was_open = False
        self._until = 0.0

    def is_open(self) -> None:
        """The server answers."""
        self.was_open = True
        self._until = 0.0

    def must_wait(self, wrong: Unavailable) -> None:
        """Raises it when there is nothing to wait for any longer."""
        now = time.monotonic()
        self._until = self._until or now + _PATIENCE
        if not self.was_open or now >= self._until:
            raise wrong from None


class _Place:
    """One server, and who we are there."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query or parts.fragment:
            raise Invalid(f"{url[:200]!r} is no address of a server.", hint="Write http://HOST:PORT or https://HOST.")
        if any(character in key for character in "\r\n\0") or not key.isascii():
            raise Invalid("The key cannot be sent: it holds characters that no key has.")
        self.scheme, self.host, self.port = parts.scheme, parts.hostname, port
        self.path = parts.path.rstrip("/")
        self.origin = f"{parts.scheme}://{parts.netloc}{self.path}"
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{self.path}"
        self._key = key

    def connect(self, timeout: float | None) -> http.client.HTTPConnection:
        if self.scheme == "http":
            return http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=ssl.create_default_context())

    def headers(self, call: Call[Any]) -> dict[str, str]:
        found = {"accept": "application/json, text/event-stream", "user-agent": f"perdure/{__version__}"}
        if self._key:
            found["authorization"] = f"Bearer {self._key}"
        if call.body is not None:
            found["content-type"] = call.type
        if call.method == "POST":
            found["idempotency-key"] = str(uuid.uuid4())  # so that sending it again does nothing twice
        return found | dict(call.headers)

    def unreachable(self, wrong: BaseException) -> Unavailable:
        reason = str(wrong) or type(wrong).__name__
        return Unavailable(
            f"The server at {self.url} cannot be reached ({reason}).", hint="Is it running? `perdure up` starts one."
        )
