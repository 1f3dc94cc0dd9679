"""One pool of connections (aiohttp) and the table of what its errors mean. Imported at the first request only.

Only `egress.py` uses it, and hands it the rule by which addresses are checked: as resolver for names, and once more as
socket factory for every single connection, because aiohttp asks no resolver for a literal address. Pool, TLS and parser
are aiohttp's; its session, which knows cookies, proxies, redirects and forms, is left out: it took half of a request's time.
"""

import asyncio
import contextlib
import socket
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError

from perdure.adapters.locations import Location
from perdure.ports.egress import EgressFailed, Streamed

_CONNECT_SECONDS = 20.0
_IDLE_SECONDS = 15.0
_CONNECTIONS = 256
_LEFT_SECONDS = 0.02
_PLACES = 1024
"""Origins that are remembered."""
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_REPEATABLE = _BODILESS | {"PUT", "DELETE"}
"""Sent once more when a connection that was kept turns out to be closed (RFC 9110, 9.2.2)."""

FAILURES: tuple[tuple[type[Exception], bool | None, str], ...] = (
    (aiohttp.ClientConnectorDNSError, False, "the name is not known"),
    (aiohttp.ClientConnectorCertificateError, False, "its certificate is not valid"),
    (aiohttp.ClientSSLError, False, "no TLS connection could be made"),
    (aiohttp.ClientConnectorError, False, "no connection could be made"),
    (aiohttp.ConnectionTimeoutError, False, "no connection could be made in time"),
    (aiohttp.ServerDisconnectedError, None, "the connection ended before the answer"),
    (aiohttp.ClientPayloadError, None, "the connection ended within the answer"),
    (HttpProcessingError, None, "the answer is not valid HTTP"),
    (aiohttp.ClientError, None, "the connection broke"),
    (Exception, None, "the connection failed"),
)
"""Kind of error, whether the request was sent (None: as the trace saw it), and what to say. The first that fits."""


class Answer(NamedTuple):
    """What came back, read whole and unpacked."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Resolver(AbstractResolver):
    """Gives aiohttp only addresses that were checked."""

    def __init__(self, checked: Callable[[str, int], Awaitable[list[str]]]) -> None:
        self._checked = checked

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._checked(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held."""


class HttpSession:
    """Sends single requests; no redirects, no cookies, no proxies, no environment."""

    def __init__(
        self,
        checked: Callable[[str, int], Awaitable[list[str]]],
        check_connection: Callable[[str, int], None],
        max_bytes: int,
    ) -> None:
        self._max_bytes = max_bytes

        def make_socket(info: Any) -> socket.socket:
            family, kind, protocol, _name, address = info
            check_connection(address[0], address[1])
            return socket.socket(family, kind, protocol)

        self._connector = aiohttp.TCPConnector(
            resolver=_Resolver(checked),
            socket_factory=make_socket,
            use_dns_cache=False,
            limit=_CONNECTIONS,
            keepalive_timeout=_IDLE_SECONDS,
        )
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        self._places: dict[tuple[str, str, int], aiohttp.ClientRequest] = {}

    async def close(self) -> None:
        await self._connector.close()

    async def send(
        self, method: str, location: Location, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> Answer:
        """One request to the very place of `location`, within `timeout` seconds. EgressFailed as FAILURES says."""
        seen = SimpleNamespace(sent=False)
        with _failures(location, seen, timeout):
            async with asyncio.timeout(timeout):
                return await self._exchange(method, location, headers, body, seen)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        location: Location,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: float,
        idle: float,
    ) -> AsyncIterator[Streamed]:
        """As `send`, but the body is read while it comes; the connection is used again only when it was read whole."""
        seen = SimpleNamespace(sent=False)
        ends = asyncio.get_running_loop().time() + timeout
        with _failures(location, seen, timeout):
            async with asyncio.timeout_at(ends):
                response = await self._begin(method, location, headers, body, seen)
        try:
            merged = _merged(response)
            pieces = self._pieces(response, merged.get("content-encoding", ""), location, _Limits(ends, timeout, idle))
            async with contextlib.aclosing(pieces):
                yield Streamed(status=response.status, headers=merged, body=pieces)
            await _finish(response)
        finally:
            response.close()

    async def _pieces(
        self, response: "_Response", encoding: str, location: Location, limits: "_Limits"
    ) -> AsyncGenerator[bytes, None]:
        """The body as it comes, unpacked, never more than the limit."""
        unpack = _unpacker(encoding, location)
        size = received = 0
        seen = SimpleNamespace(sent=True)
        while True:
            left = limits.ends - asyncio.get_running_loop().time()
            with _failures(location, seen, limits.idle if limits.idle < left else limits.total):
                async with asyncio.timeout(max(0.0, min(left, limits.idle))):
                    chunk = await response.content.readany()
            if not chunk:
                return
            received += len(chunk)
            part = unpack(chunk, self._max_bytes - size + 1)
            size += len(part)
            if max(size, received) > self._max_bytes:
                raise _too_large(location, self._max_bytes)
            if part:
                yield part

    async def _begin(
        self, method: str, location: Location, headers: Mapping[str, str], body: bytes | None, seen: SimpleNamespace
    ) -> "_Response":
        """Send, and read as far as the headers."""
        written = _written(method, location.target, headers, body)
        try:
            return await self._sent(method, location, written, seen)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            if method not in _REPEATABLE:
                raise
        return await self._sent(method, location, written, seen)

    async def _sent(self, method: str, location: Location, written: bytes, seen: SimpleNamespace) -> "_Response":
        try:
            connection = await self._connector.connect(self._place(location), [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None or transport.is_closing():
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False)
            seen.sent = True
            transport.write(written)
            while True:
                message, content = await protocol.read()
                if message.code >= 200 or message.code == 101:
                    return _Response(message.code, message.raw_headers, content, connection)
        except BaseException:
            _broken_off(connection)
            raise

    def _place(self, location: Location) -> aiohttp.ClientRequest:
        """What the pool knows a connection by. Nothing else of it is used."""
        found = self._places.get(location.origin)
        if found is None:
            if len(self._places) >= _PLACES:
                self._places.clear()
            uri = yarl.URL(location._replace(target="/").uri, encoded=True)
            found = aiohttp.ClientRequest("GET", uri, loop=asyncio.get_running_loop())
            self._places[location.origin] = found
        return found

    async def _exchange(
        self, method: str, location: Location, headers: Mapping[str, str], body: bytes | None, seen: SimpleNamespace
    ) -> Answer:
        response = await self._begin(method, location, headers, body, seen)
        try:
            merged = _merged(response)
            return Answer(
                response.status, merged, await self._read(response, merged.get("content-encoding", ""), location)
            )
        finally:
            response.close()

    async def _read(self, response: "_Response", encoding: str, location: Location) -> bytes:
        """The whole body, unpacked; it may never be larger than the limit, packed or unpacked."""
        unpack = _unpacker(encoding, location)
        parts: list[bytes] = []
        size = received = 0
        while chunk := await response.content.readany():
            received += len(chunk)
            part = unpack(chunk, self._max_bytes - size + 1)
            size += len(part)
            if max(size, received) > self._max_bytes:
                raise _too_large(location, self._max_bytes)
            parts.append(part)
        return b"".join(parts)


class _Response:
    """The beginning of an answer, and the connection that the rest comes by."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: tuple[tuple[bytes, bytes], ...],
        content: aiohttp.StreamReader,
        connection: Connection,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self._connection = connection

    def __repr__(self) -> str:
        return f"_Response({self.status}, {self._connection!r})"

    def close(self) -> None:
        """The connection is used again where both sides have said all they had to say."""
        transport = self._connection.transport
        if transport is None or transport.get_write_buffer_size():
            _broken_off(self._connection)
        else:
            self._connection.release()  # which closes it where the answer was not read whole


def _broken_off(connection: Connection) -> None:
    """Close, and send nothing more of what was to be sent."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


def _written(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """A request as it goes out."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None or method not in _BODILESS:
        lines.append(f"Content-Length: {len(body or b'')}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise ValueError("a line of a request holds the end of a line")  # whoever calls has checked it: never sent
    return f"{text}\r\n\r\n".encode() + (body or b"")


class _Limits(NamedTuple):
    """When a stream has to be over, how many seconds that was, and how long it may stand still."""

    ends: float
    total: float
    idle: float


@contextlib.contextmanager
def _failures(location: Location, seen: SimpleNamespace, timeout: float) -> Iterator[None]:
    """Errors of the library and of the system as EgressFailed."""
    try:
        yield
    except (aiohttp.ClientError, HttpProcessingError) as error:  # its timeouts are kinds of TimeoutError as well
        raise _failure(error, location, sent=seen.sent) from error
    except TimeoutError:
        what = "there was no whole answer" if seen.sent else "no connection could be made"
        raise EgressFailed(f"{location.place}: {what} within {timeout:g} s.", sent=seen.sent) from None
    except OSError as error:
        raise _failure(error, location, sent=seen.sent) from error


def _merged(response: _Response) -> dict[str, str]:
    """The headers by lower-case name; those that came several times in one line."""
    merged: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("utf-8", "surrogateescape").lower(), raw_value.decode("utf-8", "surrogateescape")
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    return merged


def _too_large(location: Location, most: int) -> EgressFailed:
    return EgressFailed(f"{location.place}: the answer is larger than the limit of {most} bytes.", sent=True)


async def _finish(response: _Response) -> None:
    """Read the little that may be left behind a stream's own end mark, so that the connection can be used again."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(_LEFT_SECONDS):
            await response.content.readany()
            await response.content.readany()


def _failure(error: Exception, location: Location, *, sent: bool) -> EgressFailed:
    known, sentence = next((known, sentence) for kind, known, sentence in FAILURES if isinstance(error, kind))
    reason = f" ({text})" if (text := _reason(error)) else ""
    return EgressFailed(f"{location.place}: {sentence}{reason}.", sent=sent if known is None else known)


def _reason(error: Exception) -> str:
    """What the system said, short and without addresses of objects."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    text = getattr(cause, "strerror", None) or getattr(cause, "verify_message", None) or ""
    return str(text)[:200]


def _unpacker(encoding: str, location: Location) -> Callable[[bytes, int], bytes]:
    """Unpacks chunk by chunk, at most so many bytes at a time: what a packed bomb would hold is never made."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return lambda chunk, limit: chunk
    if name not in ("gzip", "x-gzip", "deflate"):
        raise EgressFailed(
            f"{location.place}: the answer is packed as {name[:40]!r}, which was not asked for.", sent=True
        )
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS if name != "deflate" else zlib.MAX_WBITS)
    started = False

    def unpack(chunk: bytes, limit: int) -> bytes:
        nonlocal unpacker, started
        try:
            part = unpacker.decompress(chunk, limit)
        except zlib.error:
            if started or name != "deflate":
                raise EgressFailed(f"{location.place}: the packed answer is damaged.", sent=True) from None
            unpacker = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers send deflate without its wrapper
            part = unpacker.decompress(chunk, limit)
        started = True
        return part

    return unpack
