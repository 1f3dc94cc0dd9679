"""Under which names we are reached, and which proxies are believed about who called them."""

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.errors import Invalid
from perdure.gateway.exchange import Exchange, exchange
from perdure.gateway.problems import Refused

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNIX = "unix"
"""In the list of proxies: whoever speaks over our Unix socket."""


class Hosts:
    """Refuses names that are not ours; sets the scope's client and scheme to those of the caller before the proxies."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str], proxies: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self._suffixes = tuple(host[1:].lower() for host in hosts if host.startswith("*."))
        self._unix = UNIX in proxies
        self._networks = tuple(_network(proxy) for proxy in proxies if proxy != UNIX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = exchange(scope)
        if self._hosts or self._suffixes:
            self._check(seen.headers.get(b"host", b"").decode("latin-1"))
        if self._networks or self._unix:
            self._forwarded(scope, seen)
        await self._app(scope, receive, send)

    def _check(self, given: str) -> None:
        name = host_name(given)
        if name not in self._hosts and not name.endswith(self._suffixes or ("\0",)):
            raise Refused(400, "unknown-host", "This is not a name of this server.")

    def _forwarded(self, scope: Scope, seen: Exchange) -> None:
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._trusted(peer):
            return
        listed = seen.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for address in reversed([part.strip() for part in listed]):
            if address and not self._trusted(address):
                scope["client"] = (address[:64], 0)
                break
        scheme = seen.headers.get(b"x-forwarded-proto", b"").decode("latin-1").strip().lower()
        if scheme in {"http", "https"}:
            scope["scheme"] = scheme

    def _trusted(self, address: str) -> bool:
        if not address:
            return self._unix
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def host_name(given: str) -> str:
    """The name in a Host header, without its port."""
    name = given.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is not a network of proxies.", hint="Write it like 10.0.0.0/8.") from error


def address_of(scope: Scope) -> str:
    """Who called, as an address: the name under which public routes are limited. Of IPv6 the network of 64 bits: one
    machine has all the addresses in it."""
    client = scope.get("client")
    if client and ":" in client[0]:
        try:
            return str(ipaddress.ip_network(f"{client[0].partition('%')[0]}/64", strict=False))
        except ValueError:
            return str(client[0])
    return client[0] if client else UNIX


def is_local(scope: Scope, seen: Exchange) -> bool:
    """Whether the caller is this very machine, with no proxy in between, and knows it as such: a page of another site
    whose name was made to lead here (DNS rebinding) still calls it by its own."""
    if any(name in seen.headers for name in (b"x-forwarded-for", b"forwarded", b"via")):
        return False
    host = host_name(seen.headers.get(b"host", b"").decode("latin-1"))
    return _is_loopback(host.strip("[]")) and _is_loopback(scope["client"][0] if scope.get("client") else "")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
