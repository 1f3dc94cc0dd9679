"""The one way out of Perdure (security.md, rules 7 and 8): every request to another host is made here.

RULES
- An address is read strictly (`locations.py`), resolved by us, checked by our own table (`addresses.py`), and what was
  checked is what is connected to: the last check stands in the socket factory of the connection itself.
- Redirects are followed here only, each hop checked like the first; what could be a credential stays on its host.
- No proxies, cookies or names from the environment. What an installation permits is an argument.
"""

import asyncio
import contextlib
import functools
import ipaddress
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from perdure import __version__
from perdure.adapters.addresses import DENIED_PORTS, Address, Allowed, denial, judged
from perdure.adapters.locations import Location, follow, parse
from perdure.ports.egress import EgressFailed, EgressRefused, Response, Streamed

if TYPE_CHECKING:
    from perdure.adapters.http_session import HttpSession

MAX_BYTES = 10_000_000
MAX_HOPS = 10
_REMEMBERED = 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = frozenset({"GET", "HEAD"})
_CARRIED = frozenset({"accept", "accept-language", "user-agent", "accept-encoding"})
"""All that goes along to another host on a redirect: any other header may be a credential."""
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_USUAL = {"User-Agent": f"perdure/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
    | {"proxy-authorization", "proxy-connection", "http2-settings"}
)

_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = r"[\x20-\x7e\t\x80-\ud7ff\ue000-\uffff]*\Z"
"""A pattern, compiled at the first request: that takes 2 ms."""

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a name, as texts. Raises OSError when there are none."""


class HttpEgress:
    """Egress over aiohttp, which is imported at the first request.

    `allow` holds entries of `addresses.Allowed`. `mapping` (host -> "127.0.0.1:port") sends a host's requests to a
    local server as plain HTTP: for tests, never from a document or the environment.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        mapping: Mapping[str, str] | None = None,
        resolver: Resolver | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._allowed = Allowed(allow)
        self._mapping = {host.lower(): parse(f"http://{place}/") for host, place in (mapping or {}).items()}
        self._resolver = resolver or _system_resolver
        self._max_bytes = max_bytes
        self._session: HttpSession | None = None
        self._trusted: set[tuple[str, int]] = {(place.host, place.port) for place in self._mapping.values()}
        """Addresses that only a name on the allow list, or the mapping, leads to."""
        self._permitted: set[tuple[str, int]] = set()
        """Literal addresses that passed the check: the rule does not change while it stands."""
        self._requests = 0

    def __repr__(self) -> str:
        return f"HttpEgress({self._allowed!r}, {self._requests} requests, open={self._session is not None})"

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 60.0,
        follow: bool = False,
    ) -> Response:
        """One request, as `ports/egress.py` says."""
        method = _method(method)
        location = self._located(uri)
        sent = _request_headers(headers or {})
        ends = asyncio.get_running_loop().time() + timeout
        for _hop in range(MAX_HOPS + 1):
            response = await self._once(method, location, sent, body, ends)
            target = response.headers.get("location")
            if not follow or method not in _SAFE or response.status not in _REDIRECTS or target is None:
                return response
            location, sent = self._next(location, target, sent)
        raise EgressFailed(f"{location.place}: more than {MAX_HOPS} redirects.", sent=True)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 600.0,
        idle: float = 60.0,
    ) -> AsyncIterator[Streamed]:
        """One request, read as it comes, as `ports/egress.py` says."""
        location = self._located(uri)
        sent = {"Host": location.authority, **_request_headers(headers or {})}
        target = self._target(location)
        self._requests += 1
        exchange = self._opened().stream(_method(method), target, sent, body, timeout=timeout, idle=idle)
        async with exchange as streamed:
            yield streamed

    def _target(self, location: Location) -> Location:
        """Where a request to this place goes, checked as far as it can be before a name is looked up."""
        self._check_port(location)
        target = self._mapping.get(location.host)
        if target is not None:
            return target._replace(target=location.target)
        place = location.host, location.port
        if location.address is not None and place not in self._permitted:
            self._check(location.host, [location.address], location.port)
            if len(self._permitted) < _REMEMBERED:
                self._permitted.add(place)
        return location

    async def _once(
        self, method: str, location: Location, headers: dict[str, str], body: bytes | None, ends: float
    ) -> Response:
        """One request to one place, checked."""
        target = self._target(location)
        self._requests += 1
        answer = await self._opened().send(
            method,
            target,
            {"Host": location.authority, **headers},
            body,
            max(0.0, ends - asyncio.get_running_loop().time()),
        )
        return Response(
            method=method,
            uri=location.uri,
            request_headers={
                low: value for name, value in headers.items() if (low := name.lower()) not in _CREDENTIALS
            },
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
        )

    def _opened(self) -> "HttpSession":
        if self._session is None:
            # aiohttp costs 0.4 s of start-up: a run that never leaves the machine never pays for it.
            from perdure.adapters.http_session import HttpSession

            self._session = HttpSession(self._resolve, self._check_connection, self._max_bytes)
        return self._session

    def _located(self, uri: str) -> Location:
        try:
            return _parsed(uri)
        except ValueError as error:
            raise EgressRefused(f"The address {_shown(uri)} is refused: {error}.") from None

    def _next(self, location: Location, header: str, headers: dict[str, str]) -> tuple[Location, dict[str, str]]:
        """Where a redirect leads, and the headers that may go there (rule 8)."""
        try:
            target = follow(location, header)
        except ValueError as error:
            raise EgressRefused(f"The redirect of {location.place} is refused: {error}.") from None
        if target.origin != location.origin:
            headers = {name: value for name, value in headers.items() if name.lower() in _CARRIED}
        return target, headers

    def _check_port(self, location: Location) -> None:
        if location.port in DENIED_PORTS and not self._allowed.names_port(location.host, location.port):
            raise EgressRefused(
                f"The port of {location.place} belongs to another kind of service. {_how_to_permit(location.place)}"
            )

    async def _resolve(self, host: str, port: int) -> list[str]:
        """The checked addresses of a name: the only ones that a connection for this name is made to."""
        found = []
        for text in await self._resolver(host, port):
            found.append(ipaddress.ip_address(text.partition("%")[0]))
        if not found:
            raise OSError("the name has no address")
        return [str(address) for address in self._check(host, found, port)]

    def _check(self, host: str, addresses: list[Address], port: int) -> list[Address]:
        """Those addresses that may be reached. EgressRefused when the administrator permits none and one is denied.

        A public name that also gives an inner address is refused whole: no honest name does so.
        """
        if self._allowed.has_host(host, port):
            self._trusted.update((str(address), port) for address in addresses)
            return addresses
        permitted = [address for address in addresses if self._allowed.has_address(address, port)]
        if permitted:
            return permitted
        for address, reason in judged(addresses, port, self._allowed):
            if reason is not None:
                where = f"{host}:{port}" if ":" not in host else f"[{host}]:{port}"
                what = "" if str(address) == host else f" is at {address}, which"
                raise EgressRefused(f"{where}{what} is not open to documents ({reason}). {_how_to_permit(where)}")
        return addresses

    def _check_connection(self, address: str, port: int) -> None:
        """The last check, for the very address a socket is about to connect to."""
        if (address, port) in self._trusted:
            return
        checked = ipaddress.ip_address(address.partition("%")[0])
        if not self._allowed.has_address(checked, port) and denial(checked) is not None:
            raise EgressRefused(f"{address} is not open to documents. {_how_to_permit(f'{address}:{port}')}")


_parsed = functools.lru_cache(256)(parse)


@functools.lru_cache(512)
def _name(name: str) -> str:
    """A name of a header in lower case. EgressRefused for one that cannot be, or is set by the connection itself."""
    if not _token.match(name):
        raise _no_header(name)
    if (low := name.lower()) in _OURS:
        raise EgressRefused(f"The header {name!r} is set by Perdure itself: leave it out.")
    return low


def _no_header(name: str) -> EgressRefused:
    return EgressRefused(f"The header {name[:60]!r} holds characters that no header may hold.")


def _method(name: str) -> str:
    if not _token.match(name):
        raise EgressRefused(f"{name[:20]!r} is no HTTP method.")
    return name.upper()


def _request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """All headers that are sent, except those that the connection sets itself."""
    names = {_name(name) for name in headers}
    for name, value in headers.items():
        if not re.match(_VALUE, value):
            raise _no_header(name)
    return {**{name: value for name, value in _USUAL.items() if name.lower() not in names}, **headers}


def _how_to_permit(place: str) -> str:
    return f"An administrator can permit it: PERDURE_EGRESS_ALLOW={place}"


def _shown(uri: str) -> str:
    """An address for a message: without its query and user name, which may be secret."""
    text = uri.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0]
    if "@" in text:
        text = text.partition("//")[0] + "//…@" + text.rpartition("@")[2]
    return ascii(text[:200]) if not text.isprintable() or not text.isascii() else repr(text[:200])


async def _system_resolver(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]
