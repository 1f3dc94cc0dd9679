"""Who may do what: tenants, users, keys, sessions, and the one table of roles. Times in milliseconds since the epoch."""

import base64
import hashlib
import re
import unicodedata
from typing import Literal

import msgspec

from perdure.errors import Exhausted, Invalid, Unauthenticated

Role = Literal["viewer", "operator", "editor", "admin", "owner"]

_VIEWER = frozenset(
    "self workflows:read runs:read schedules:read webhooks:read inbox:read agents:read usage:read budgets:read".split()
)
_OPERATOR = _VIEWER | frozenset("runs:write runs:operate events:write inbox:decide agents:run models:use".split())
_EDITOR = _OPERATOR | frozenset("workflows:write schedules:write webhooks:write agents:write".split())
_ADMIN = _EDITOR | frozenset("keys:read keys:write users:read users:write audit:read budgets:write system:read".split())
_OWNER = _ADMIN | frozenset("tenants:read tenants:write".split())
INSTALLATION = frozenset("installation:read installation:write".split())
"""What the owners of an installation's home tenant may do besides: see to all tenants."""

ROLES: dict[Role, frozenset[str]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "editor": _EDITOR,
    "admin": _ADMIN,
    "owner": _OWNER,
}
"""What each role may do; each holds all of the one before it."""

ORDER: tuple[Role, ...] = tuple(ROLES)
EVERYTHING = _OWNER | INSTALLATION
LIMITED = _OPERATOR - {"events:write"}
"""What a key may do that is held to some models: whoever writes what others run, sends what starts it, or makes keys, can go
around that."""

KEY_PREFIX = "pdk_"
SESSION_PREFIX = "pds_"
REFRESH_PREFIX = "pdr_"
FAILURES = 10
"""Failures from one address after which an account takes no password from there for a while."""
FAILURES_MS = 15 * 60_000
PENDING = b"?"
"""In front of a sealed TOTP secret that its owner has not confirmed yet: it is not asked for at sign-in."""
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One customer of an installation. `id` is a DNS label and never changes."""

    id: str
    name: str
    created: int
    disabled: int | None = None


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a tenant, to which keys can be bound."""

    tenant: str
    id: str
    name: str
    created: int


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person of a tenant. `password` and `totp` say only whether there is one."""

    tenant: str
    id: str
    email: str
    name: str
    role: Role
    created: int
    disabled: int | None = None
    has_password: bool = False
    has_totp: bool = False


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without its secret. `ending` is its last four characters; `permissions` empty: all of its role."""

    tenant: str
    id: str
    name: str
    role: Role
    ending: str
    created: int
    created_by: str
    permissions: frozenset[str] = frozenset()
    project: str = ""
    user: str = ""
    """Whose own key it is: it can do no more than he can now, and nothing once he is shut out."""
    models: tuple[str, ...] = ()
    """Patterns of the models that it may use (`openai/*`); empty: every model."""
    expires: int | None = None
    revoked: int | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that goes on: a browser's cookie, or a chain of refresh tokens."""

    tenant: str
    id: str
    user: str
    kind: Literal["cookie", "refresh"]
    created: int
    expires: int
    ended: int | None = None


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the record of sign-ins: what was tried, from where, and how it ended."""

    tenant: str
    id: str
    at: int
    subject: str
    how: Literal["password", "refresh", "key", "token"]
    outcome: Literal["granted", "denied", "ended", "reused"]
    address: str = ""
    agent: str = ""


class TooMany(Exhausted):
    """Too many failed sign-ins; wait a few minutes."""


class Refused(Unauthenticated):
    """The sign-in was refused."""


def granted(role: Role, *, wanted: frozenset[str] = frozenset(), is_home: bool = False) -> frozenset[str]:
    """What somebody of this role may do when only `wanted` was asked for; never more than the role."""
    everything = ROLES[role] | INSTALLATION if is_home and role == "owner" else ROLES[role]
    return everything & (wanted | {"self"}) if wanted else everything


def lower(one: Role, other: Role) -> Role:
    return min(one, other, key=ORDER.index)


def held(role: Role) -> frozenset[str]:
    """A role with all those below it: what is asked of an operator may be answered by an admin too."""
    return frozenset(ORDER[: ORDER.index(role) + 1])


def highest(roles: frozenset[str]) -> Role | None:
    return next((role for role in reversed(ORDER) if role in roles), None)


def may_give(giver: frozenset[str], role: Role, *, is_home: bool = False) -> bool:
    """Nobody gives what he does not have: an owner of the home tenant sees to the installation besides."""
    return granted(role, is_home=is_home) <= giver


def new_secret(prefix: str, chance: bytes) -> str:
    """A secret of 256 bits, recognisable by its prefix in a leak scanner."""
    return prefix + base64.urlsafe_b64encode(chance[:32]).decode().rstrip("=")


def digest(secret: str) -> bytes:
    """What is kept of a secret that only has to be recognised. It has 256 bits of chance, so a plain hash is enough."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def checked_id(text: str, what: str) -> str:
    """A DNS label, or Invalid."""
    if not _ID.fullmatch(text):
        raise Invalid(
            f"{text[:80]!r} cannot be the id of a {what}.",
            hint="Use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends.",
        )
    return text


def checked_email(text: str) -> str:
    """An address in the form in which it is compared, or Invalid."""
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    name, at, host = plain.rpartition("@")
    if (
        not (at and name and "." in host.strip("."))
        or len(plain) > 254
        or not plain.isprintable()
        or re.search(r"[\s\x00-\x1f<>,;\"\\]", plain)
    ):
        raise Invalid(f"{text[:80]!r} is no e-mail address.")
    return plain


def checked_password(text: str) -> str:
    """NIST SP 800-63B: long enough, any characters, nothing about their mixture."""
    if len(text) < 12:
        raise Invalid("A password has at least 12 characters.")
    if len(text) > 1024:
        raise Invalid("A password has at most 1,024 characters.")
    return text


def checked_models(given: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns of models in their order, each once, or Invalid."""
    if len(given) > 50:
        raise Invalid("A key names 50 patterns of models at most.")
    for pattern in given:
        if not (0 < len(pattern) <= 200 and pattern.isascii() and pattern.isprintable() and " " not in pattern):
            raise Invalid(
                f"{pattern[:80]!r} is no pattern of models.", hint="Write `openai/gpt-5-mini`, `openai/*`, or `*mini*`."
            )
    return tuple(dict.fromkeys(given))


def checked_permissions(given: frozenset[str]) -> frozenset[str]:
    """Permissions that exist, or Invalid with the first that does not."""
    for name in sorted(given - EVERYTHING):
        raise Invalid(f"There is no permission {name[:80]!r}.", hint=f"There are: {', '.join(sorted(EVERYTHING))}.")
    return given
