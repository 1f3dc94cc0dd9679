"""HTTP digest authentication (RFC 7616): reads a challenge, writes the answer. MD5, SHA-256, SHA-512-256 and their
`-sess` forms; `auth` and `auth-int`. No I/O.
"""

import hashlib
import re
from collections.abc import Callable
from urllib.parse import urlsplit

ALGORITHMS: dict[str, Callable[[bytes], str]] = {
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    # The protocol's own choice, still the only one of many servers.
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
"""Best first (RFC 7616, 3.7)."""

_parameter = re.compile(r'\s*,?\s*([A-Za-z0-9_*-]+)\s*=\s*("((?:[^"\\]|\\.)*)"|[^\s,"]+)')
_scheme = re.compile(r"\s*,?\s*([A-Za-z0-9_-]+)(?:\s+(?=[A-Za-z0-9_*-]+\s*=)|\s*(?=,|\Z))")


def challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of a `WWW-Authenticate` header: scheme (lower case) and parameters, in order."""
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        parameter = _parameter.match(header, position)
        if parameter is not None and found:
            quoted = parameter[3]
            value = parameter[2] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1][parameter[1].lower()] = value
            position = parameter.end()
            continue
        scheme = _scheme.match(header, position)
        if scheme is None or scheme.end() == position:
            break
        found.append((scheme[1].lower(), {}))
        position = scheme.end()
    return found


def best(header: str) -> dict[str, str] | None:
    """The strongest digest challenge that we can answer, or None."""
    offered = [parameters for scheme, parameters in challenges(header) if scheme == "digest"]
    ranks = list(ALGORITHMS)
    known = [parameters for parameters in offered if _algorithm(parameters) in ALGORITHMS and "nonce" in parameters]
    return min(known, key=lambda parameters: ranks.index(_algorithm(parameters)), default=None)


def answer(
    challenge: dict[str, str],
    credentials: tuple[str, str],
    method: str,
    uri: str,
    *,
    body: bytes,
    cnonce: str,
    count: int = 1,
) -> str:
    """The `Authorization` header for a challenge. `cnonce` is any text that was never used before."""
    username, password = credentials
    hash_ = ALGORITHMS[_algorithm(challenge)]
    realm, nonce = challenge.get("realm", ""), challenge["nonce"]
    target = _target(uri)
    nc = f"{count:08x}"
    offered = [quality.strip() for quality in challenge.get("qop", "").split(",") if quality.strip()]
    quality = "auth" if "auth" in offered else "auth-int" if "auth-int" in offered else ""
    a1 = hash_(f"{username}:{realm}:{password}".encode())
    if challenge.get("algorithm", "").upper().endswith("-SESS"):
        a1 = hash_(f"{a1}:{nonce}:{cnonce}".encode())
    a2 = f"{method}:{target}" + (f":{hash_(body)}" if quality == "auth-int" else "")
    middle = f"{nonce}:{nc}:{cnonce}:{quality}" if quality else nonce
    response = hash_(f"{a1}:{middle}:{hash_(a2.encode())}".encode())
    is_hashed = challenge.get("userhash", "").lower() == "true"
    user = hash_(f"{username}:{realm}".encode()) if is_hashed else username
    parts = [
        f"username={_quoted(user)}",
        f"realm={_quoted(realm)}",
        f"nonce={_quoted(nonce)}",
        f"uri={_quoted(target)}",
        f'response="{response}"',
    ]
    if "algorithm" in challenge:
        parts.append(f"algorithm={challenge['algorithm']}")
    if quality:
        parts += [f"qop={quality}", f"nc={nc}", f"cnonce={_quoted(cnonce)}"]
    if "opaque" in challenge:
        parts.append(f"opaque={_quoted(challenge['opaque'])}")
    if is_hashed:
        parts.append("userhash=true")
    return "Digest " + ", ".join(parts)


def _algorithm(challenge: dict[str, str]) -> str:
    return challenge.get("algorithm", "MD5").upper().removesuffix("-SESS")


def _target(uri: str) -> str:
    parts = urlsplit(uri)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
