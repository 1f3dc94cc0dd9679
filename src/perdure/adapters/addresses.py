"""Which hosts and addresses may be reached: our own table of ranges, and the administrator's allow list.

`ipaddress.is_global` is not enough (security.md 2): it calls multicast, mapped and tunnelled addresses global. So an
address is unwrapped first, and every address that it stands for is judged by our table. Nothing here does I/O.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

DENIED_V4: dict[str, str] = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT, and metadata of one cloud",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "the agent address of one cloud; public by its look",
    "169.254.0.0/16": "link-local, and metadata of most clouds",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "relays of a transition tunnel",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarks",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved and broadcast",
}

PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""Only this part of IPv6 is given out for public use; everything else is denied."""

DENIED_V6: dict[str, str] = {
    "2001::/23": "protocol assignments, with Teredo",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4, a transition tunnel",
    "3fff::/20": "documentation",
}

DENIED_PORTS: frozenset[int] = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109}
    | {110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530}
    | {531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190}
    | {5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211}
)
"""Ports of services that could take a request for commands of their own (WHATWG Fetch 2.9, Redis, memcached)."""

_DENIED_V4 = tuple((ipaddress.IPv4Network(text), why) for text, why in DENIED_V4.items())
_DENIED_V6 = tuple((ipaddress.IPv6Network(text), why) for text, why in DENIED_V6.items())

_low_words = {
    "mapped": ipaddress.IPv6Network("::ffff:0:0/96"),
    "compatible": ipaddress.IPv6Network("::/96"),
    "translated": ipaddress.IPv6Network("::ffff:0:0:0/96"),
    "nat64": ipaddress.IPv6Network("64:ff9b::/96"),
    "local nat64": ipaddress.IPv6Network("64:ff9b:1::/48"),
}
_STANDS_FOR_V4 = (_low_words["mapped"], _low_words["nat64"])
"""In these the IPv4 address inside IS the destination, so it alone is judged."""

_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_TEREDO = ipaddress.IPv6Network("2001::/32")
_ISATAP = (0x00005EFE, 0x02005EFE)

_label = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")


def destinations(address: Address) -> list[Address]:
    """Every address that a packet to this one may end at: itself, and those it wraps."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    number = int(address)
    low = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if any(address in network for network in _STANDS_FOR_V4):
        return [low]
    found: list[Address] = [ipaddress.IPv6Address(number)]  # without a zone
    if number > 1 and any(address in network for network in _low_words.values()):  # `::` and `::1` wrap nothing
        found.append(low)
    if address in _SIX_TO_FOUR:
        found.append(ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF))
    if address in _TEREDO:
        found.append(ipaddress.IPv4Address((number >> 64) & 0xFFFFFFFF))
        found.append(ipaddress.IPv4Address((number & 0xFFFFFFFF) ^ 0xFFFFFFFF))
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        found.append(low)
    return found


def denial(address: Address) -> str | None:
    """Why an address is no public one, in a word or two; None when it is public."""
    for destination in destinations(address):
        if isinstance(destination, ipaddress.IPv6Address) and destination not in PUBLIC_V6:
            return "not public"
        table: Iterable[tuple[_Network, str]] = _DENIED_V4 if destination.version == 4 else _DENIED_V6
        for network, why in table:
            if destination in network:
                return why
    return None


def literal(host: str) -> Address | None:
    """The address that a host text is, in its one canonical form; None for a name.

    ValueError for what looks numeric and is not canonical: resolvers read such texts in many ways (`127.1`, `0x7f.1`,
    `00127.0.0.1`), and for names that no resolver should see.
    """
    if ":" in host:
        return ipaddress.IPv6Address(host)
    labels = host.removesuffix(".").split(".")
    if _is_numeric(labels[-1]):
        try:
            return ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("it looks like a number but is not an address in its usual form (four numbers)") from None
    if len(host) > 253 or not all(_label.match(label) for label in labels):
        raise ValueError("it is not a host name")
    return None


def _is_numeric(label: str) -> bool:
    return label.isdigit() or re.match(r"0[xX][0-9a-fA-F]*\Z", label) is not None


class Allowed:
    """The administrator's allow list: networks, addresses, hosts and `*.domain`, each with a port if wanted.

    `10.0.0.0/8` · `127.0.0.1` · `127.0.0.1:8080` · `[::1]:8080` · `db.internal` · `db.internal:9200` · `*.corp.example`.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._networks: list[tuple[_Network, int | None]] = []
        self._hosts: list[tuple[str, int | None]] = []
        for entry in entries:
            self._add(entry.strip().lower())

    def __repr__(self) -> str:
        return f"Allowed({len(self._networks)} networks, {len(self._hosts)} hosts)"

    def _add(self, entry: str) -> None:
        host, port = _split_port(entry)
        try:
            self._networks.append((ipaddress.ip_network(host), port))
            return
        except ValueError:
            if "/" in host:
                raise ValueError(
                    f"{entry!r} in PERDURE_EGRESS_ALLOW is no network: write it like 10.0.0.0/8 or 127.0.0.1."
                ) from None
        try:
            literal(host.removeprefix("*."))
        except ValueError:
            raise ValueError(
                f"{entry!r} in PERDURE_EGRESS_ALLOW is neither a network, an address nor a host name."
            ) from None
        self._hosts.append((host, port))

    def has_host(self, host: str, port: int) -> bool:
        """Whether this host name is permitted, whatever it resolves to."""
        return any((only is None or only == port) and matches(host, pattern) for pattern, only in self._hosts)

    def has_address(self, address: Address, port: int) -> bool:
        """Whether this address is permitted; for a wrapped one all that it stands for must be."""
        return all(
            any((only is None or only == port) and place in network for network, only in self._networks)
            for place in destinations(address)
        )

    def names_port(self, host: str, port: int) -> bool:
        """Whether an entry names this very host and port."""
        try:
            address = literal(host)
        except ValueError:
            return False
        if address is None:
            return any(only == port and matches(host, pattern) for pattern, only in self._hosts)
        return any(only == port and address in network for network, only in self._networks)


def matches(host: str, pattern: str) -> bool:
    """Whether a host fits a pattern: whole, or below a domain for `*.domain`. Never by prefix or suffix of a label."""
    host, pattern = host.lower().removesuffix("."), pattern.lower().removesuffix(".")
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, _port(rest[1:], entry) if rest.startswith(":") else None
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, _port(port, entry)
    return entry, None


def _port(text: str, entry: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(f"{entry!r} in PERDURE_EGRESS_ALLOW has no valid port: write host:port with 1 to 65535.")
    return int(text)


def judged(addresses: Iterable[Address], port: int, allowed: Allowed) -> Iterator[tuple[Address, str | None]]:
    """Each address with the reason against it, or None when it may be reached."""
    for address in addresses:
        yield address, None if allowed.has_address(address, port) else denial(address)
