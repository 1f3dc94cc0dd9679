"""Reads an address as strictly as it must be read before anything is sent there.

Two readers of one URL that disagree are a way in (security.md 4, E): whatever a second reader could read otherwise is
refused here, with one sentence. Names are put into their ASCII form once; what is checked is what is connected to.
"""

import re
from typing import NamedTuple
from urllib.parse import quote, urljoin

from perdure.adapters.addresses import Address, literal

MAX_LENGTH = 16_000
_PORTS = {"http": 80, "https": 443}

_form = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)\Z", re.DOTALL)
_authority = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{1,5}))?\Z")
_forbidden = re.compile(r"[\x00-\x20\x7f-\x9f\\\u2028\u2029\ufeff]")


class Location(NamedTuple):
    """A checked http or https address: nothing in it can be read in two ways."""

    scheme: str
    host: str
    """Lower case ASCII; an IPv6 address without its brackets."""
    port: int
    target: str
    """Path and query, percent-encoded."""
    address: Address | None
    """The host when it is a literal address, None when it is a name."""

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port: what goes into `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def place(self) -> str:
        """`host:port` as it is written in messages and in an allow list."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(uri: str) -> Location:
    """The location of an absolute address. ValueError with a reason that ends the sentence "… is refused: "."""
    if len(uri) > MAX_LENGTH:
        raise ValueError(f"it is longer than {MAX_LENGTH} characters")
    if _forbidden.search(uri):
        raise ValueError("it holds a space, a control character or a backslash")
    form = _form.match(uri)
    if form is None:
        raise ValueError("it is no absolute address: it must begin with http:// or https://")
    scheme = form["scheme"].lower()
    if scheme not in _PORTS:
        raise ValueError(f"the scheme {scheme!r} is not permitted: only http and https are")
    rest = form["rest"].partition("#")[0]
    if not rest.startswith("//"):
        raise ValueError(f"after {scheme}: come two slashes")
    end = min((at for at in (rest.find("/", 2), rest.find("?", 2)) if at >= 0), default=len(rest))
    host, port, address = _read_authority(rest[2:end], _PORTS[scheme])
    target = quote(rest[end:], safe="%/?:@!$&'()*+,;=-._~[]|")
    return Location(scheme, host, port, target if target.startswith("/") else "/" + target, address)


def follow(location: Location, header: str) -> Location:
    """Where a `Location` header leads to. ValueError as from `parse`, and for a step down from https to http."""
    if _forbidden.search(header):
        raise ValueError("the redirect holds a space, a control character or a backslash")
    target = parse(urljoin(location.uri, header))
    if location.scheme == "https" and target.scheme == "http":
        raise ValueError("the redirect leads from https to http")
    return target


def _read_authority(text: str, default: int) -> tuple[str, int, Address | None]:
    if "@" in text:
        raise ValueError("a user name in an address is not permitted: use `authentication`")
    if "%" in text:
        raise ValueError("the host holds a percent sign")
    found = _authority.match(text)
    if found is None:
        raise ValueError("it has no valid host and port")
    port = int(found["port"]) if found["port"] else default
    if not 0 < port < 65536:
        raise ValueError(f"the port {port} does not exist")
    written = found["host"]
    if written.startswith("["):
        try:
            address = literal(written[1:-1])
        except ValueError:
            raise ValueError("the host is no IPv6 address") from None
        return str(address), port, address
    host = _ascii(written)
    return host, port, literal(host)


def _ascii(host: str) -> str:
    """The host as the name system knows it. Foreign digits and dots that turn into an address are refused."""
    if host.isascii():
        return host.lower()
    try:
        encoded = host.encode("idna").decode("ascii").lower()
        address = literal(encoded)
    except (UnicodeError, ValueError):
        raise ValueError("the host is no name") from None
    if address is not None:
        raise ValueError("the host is an address written in foreign digits")
    return encoded
