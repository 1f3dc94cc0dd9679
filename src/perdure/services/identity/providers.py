"""Tokens of OpenID providers that the administrator trusts: whose they are, and what their claims mean here.

Keys come from the provider's JWKS, found through its discovery document, and are read again when a token names one that is
not known (OpenID Connect Discovery 1.0; RFC 9068), and every few minutes: a key that a provider took back ends so long
after at the latest. Issuer, audience and times are compared parsed and whole.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet

from perdure.errors import Unavailable
from perdure.ports.clock import Clock
from perdure.ports.edge import Caller
from perdure.services.identity.models import ORDER, ROLES, Role, held

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "Ed25519", "EdDSA"]
"""No symmetric one: a provider's public key must never serve as a shared secret."""
_LEEWAY = 30
_OLD_MS = 300_000
_OUTDATED_MS = 86_400_000
"""While a provider cannot be reached its keys are believed for so long."""
_AGAIN_MS = 5_000
"""A token with a key that nobody knows makes us ask at most this often."""

SHARED = frozenset({"realm_access.roles", "groups"})
"""Claims whose names are of a whole organisation, not of this application."""
NOT_ACCESS = frozenset({"id", "refresh", "offline", "logout"})
"""What the claim `typ` says of tokens that are not for an API (Keycloak)."""
_AMISS = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What a token that is none makes of the library: it is a stranger's text."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Reads a document of a provider. Unavailable when it cannot be had."""


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider, as settings have it. Either `tenant` or the claim `tenant_claim` says whose the token is.

    `roles` maps what the provider calls a role to ours. `perdure-<role>` needs no entry, and nor do our plain names among
    the roles of this very audience; in `SHARED` claims, where "admin" means a hundred things, they mean nothing.
    """

    issuer: str
    audience: str
    tenant: str = ""
    tenant_claim: str = ""
    role_claims: tuple[str, ...] = ("realm_access.roles", "resource_access.{audience}.roles", "roles", "groups")
    roles: dict[str, Role] = msgspec.field(default_factory=dict)
    default_role: Role | None = None
    subject_claim: str = "sub"


class Providers:
    """The providers that are trusted here."""

    def __init__(self, providers: tuple[Provider, ...], fetch: Fetch, clock: Clock) -> None:
        self._trusted = {provider.issuer: _Trusted(provider, fetch, clock) for provider in providers}

    def __repr__(self) -> str:
        return f"Providers({', '.join(self._trusted)})"

    async def verify(self, issuer: str, token: str) -> Caller | None:
        """Who shows this token of a provider, or None. Unavailable when its keys cannot be read."""
        trusted = self._trusted.get(issuer)
        return None if trusted is None else await trusted.verify(token)


class _Trusted:
    def __init__(self, provider: Provider, fetch: Fetch, clock: Clock) -> None:
        self._provider = provider
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._read_at = 0
        self._tried_at = -_AGAIN_MS
        self._turn = asyncio.Lock()

    async def verify(self, token: str) -> Caller | None:
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
        except _AMISS:
            return None
        if kid is not None and not isinstance(kid, str):
            return None
        keys = await self._keys_for(kid)
        try:
            decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        except _AMISS:
            return None
        return self._caller(decoded.claims) if self._is_valid(decoded.claims) else None

    def _is_valid(self, claims: Mapping[str, Any]) -> bool:
        now, audience = self._clock.now() / 1000, claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        return (
            claims.get("iss") == self._provider.issuer
            and self._provider.audience in audiences
            and isinstance(expires, int | float)
            and isinstance(begins, int | float)
            and str(claims.get("typ", "")).lower() not in NOT_ACCESS
            and expires > now - _LEEWAY
            and begins <= now + _LEEWAY
        )

    def _caller(self, claims: Mapping[str, Any]) -> Caller | None:
        provider = self._provider
        tenant = provider.tenant or _at(claims, provider.tenant_claim)
        subject = claims.get(provider.subject_claim)
        role, email = _role(provider, claims), claims.get("email")
        if not (isinstance(tenant, str) and tenant and tenant != "*" and isinstance(subject, str) and subject and role):
            return None
        return Caller(
            tenant=tenant, subject=f"{provider.issuer}#{subject}", roles=held(role), permissions=ROLES[role], by="token",
            email=email.lower() if isinstance(email, str) and claims.get("email_verified") is True else "",
        )  # fmt: skip

    async def _keys_for(self, kid: str | None) -> KeySet:
        """The keys; read anew when they are old, or when the one that is asked for is not among them.

        Who shows a key that is known does not wait while a slow provider is asked for another.
        """
        keys = self._good(kid, _OUTDATED_MS if self._turn.locked() else _OLD_MS)
        if keys is not None:
            return keys
        async with self._turn:
            now, keys = self._clock.now(), self._good(kid, _OLD_MS)
            if keys is not None:
                return keys
            if now - self._tried_at >= _AGAIN_MS:
                self._tried_at = now
                try:
                    self._keys = await self._read()
                    self._read_at = now
                except Unavailable:
                    if self._keys is None:
                        raise
            if self._keys is None or now - self._read_at > _OUTDATED_MS:
                raise Unavailable(f"The keys of {self._provider.issuer} cannot be read at the moment.")
            return self._keys

    def _good(self, kid: str | None, age: int) -> KeySet | None:
        if self._keys is None or self._clock.now() - self._read_at >= age:
            return None
        return self._keys if kid is None or any(key.kid == kid for key in self._keys.keys) else None

    async def _read(self) -> KeySet:
        issuer = self._provider.issuer
        try:
            found = msgspec.json.decode(await self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
            if found["issuer"] != issuer:
                raise Unavailable(f"The discovery document of {issuer} is of another issuer.")
            listed = msgspec.json.decode(await self._fetch(found["jwks_uri"]))["keys"]
            keys = [key for key in map(_imported, listed) if key is not None]
            if not keys:
                raise Unavailable(f"{issuer} has no key with which its tokens could be verified here.")
            return KeySet(keys)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, JoseError) as error:
            raise Unavailable(f"What {issuer} says of itself cannot be read: {error}.") from None


def _imported(listed: Any) -> Any:
    """One key of a provider. None for what is not for signatures, or of a kind that we do not know: one of these among the
    keys must not keep the others out (RFC 7517, 5)."""
    if not isinstance(listed, dict) or listed.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(listed)
    except _AMISS:
        return None


def _role(provider: Provider, claims: Mapping[str, Any]) -> Role | None:
    """The highest role that any of the claims gives."""
    found: set[Role | None] = {provider.default_role}
    for claim in provider.role_claims:
        given = _at(claims, claim.replace("{audience}", provider.audience.replace(".", "\0")))
        names = [name for name in (given if isinstance(given, list) else [given]) if isinstance(name, str)]
        found |= {_meant(provider, name, is_shared=claim in SHARED) for name in names}
    return next((role for role in reversed(ORDER) if role in found), None)


def _meant(provider: Provider, name: str, *, is_shared: bool) -> Role | None:
    if name in provider.roles:
        return provider.roles[name]
    plain = name.removeprefix("perdure-")
    if is_shared and plain == name:
        return None
    return next((role for role in ORDER if role == plain), None)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    value: Any = claims
    for part in path.split("."):
        value = value.get(part.replace("\0", ".")) if isinstance(value, Mapping) else None
    return value
