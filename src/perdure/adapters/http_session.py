"""One pool of connections (aiohttp) and the table of what its errors mean. Imported at the first request only.

Only `egress.py` uses it, and hands it the rule by which addresses are checked: as resolver for names, and once more as
socket factory for every single connection, because aiohttp asks no resolver for a literal address.
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

from perdure.adapters.locations import Location
from perdure.ports.egress import EgressFailed, Streamed

_CONNECT_SECONDS = 20.0
_IDLE_SECONDS = 15.0
_CONNECTIONS = 256
_CHUNK = 65_536
_LEFT_SECONDS = 0.02

FAILURES: tuple[tuple[type[Exception], bool | None, str], ...] = (
    (aiohttp.ClientConnectorDNSError, False, "the name is not known"),
    (aiohttp.ClientConnectorCertificateError, False, "its certificate is not valid"),
    (aiohttp.ClientSSLError, False, "no TLS connection could be made"),
    (aiohttp.ClientConnectorError, False, "no connection could be made"),
    (aiohttp.ConnectionTimeoutError, False, "no connection could be made in time"),
    (aiohttp.ServerDisconnectedError, None, "the connection ended before the answer"),
    (aiohttp.ClientPayloadError, None, "the connection ended within the answer"),
    (aiohttp.ClientResponseError, None, "the answer is not valid HTTP"),
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

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_Resolver(checked),
                socket_factory=make_socket,
                use_dns_cache=False,
                limit=_CONNECTIONS,
                keepalive_timeout=_IDLE_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            trace_configs=[trace],
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type", "Accept"),
        )

    async def close(self) -> None:
        await self._session.close()

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
        self, response: aiohttp.ClientResponse, encoding: str, location: Location, limits: "_Limits"
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
    ) -> aiohttp.ClientResponse:
        """Send, and read as far as the headers."""
        return await self._session.request(
            method,
            yarl.URL(location.uri, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            trace_request_ctx=seen,
        )

    async def _exchange(
        self, method: str, location: Location, headers: Mapping[str, str], body: bytes | None, seen: SimpleNamespace
    ) -> Answer:
        async with await self._begin(method, location, headers, body, seen) as response:
            merged = _merged(response)
            body_read = await self._read(response, merged.get("content-encoding", ""), location)
            return Answer(response.status, merged, body_read)

    async def _read(self, response: aiohttp.ClientResponse, encoding: str, location: Location) -> bytes:
        """The whole body, unpacked; it may never be larger than the limit, packed or unpacked."""
        unpack = _unpacker(encoding, location)
        parts: list[bytes] = []
        size = received = 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            received += len(chunk)
            part = unpack(chunk, self._max_bytes - size + 1)
            size += len(part)
            if max(size, received) > self._max_bytes:
                raise _too_large(location, self._max_bytes)
            parts.append(part)
        return b"".join(parts)


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
    except aiohttp.ClientError as error:  # its timeouts are kinds of TimeoutError as well
        raise _failure(error, location, sent=seen.sent) from error
    except TimeoutError:
        what = "there was no whole answer" if seen.sent else "no connection could be made"
        raise EgressFailed(f"{location.place}: {what} within {timeout:g} s.", sent=seen.sent) from None
    except OSError as error:
        raise _failure(error, location, sent=seen.sent) from error


def _merged(response: aiohttp.ClientResponse) -> dict[str, str]:
    """The headers by lower-case name; those that came several times in one line."""
    merged: dict[str, str] = {}
    for name, value in response.headers.items():
        name = name.lower()
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    return merged


def _too_large(location: Location, most: int) -> EgressFailed:
    return EgressFailed(f"{location.place}: the answer is larger than the limit of {most} bytes.", sent=True)


async def _finish(response: aiohttp.ClientResponse) -> None:
    """Read the little that may be left behind a stream's own end mark, so that the connection can be used again."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(_LEFT_SECONDS):
            await response.content.readany()
            await response.content.readany()


async def _note_sent(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
    context.trace_request_ctx.sent = True


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
