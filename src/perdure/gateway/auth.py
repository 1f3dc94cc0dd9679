"""Who calls and whether they may: decided once, from the headers alone, before a byte of the body is read.

Credentials are looked up whole by Identity; roles, scopes and origins are compared parsed and whole (security.md, rules
3 and 11). A verified credential is trusted for a few seconds without asking again, so a revoked one works so long at most;
a stream asks again at every sign of life.
"""

import base64
import functools
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.errors import Denied, Unauthenticated, Unavailable
from perdure.gateway.exchange import Exchange, entry, exchange
from perdure.gateway.hosts import address_of, is_local
from perdure.gateway.problems import Refused
from perdure.gateway.rules import Rules
from perdure.ports.cache import Cache
from perdure.ports.clock import Clock
from perdure.ports.edge import CALLER, SELF, Caller
from perdure.ports.identity import Identity
from perdure.ports.meters import Meters

COOKIE = "__Host-perdure"
CSRF_HEADER = b"x-csrf-token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST = 16_384
_REMEMBERED = 10_000


class Authenticated:
    """Puts the Caller into the scope, or refuses."""

    def __init__(
        self, app: ASGIApp, identity: Identity, cache: Cache, clock: Clock, *, rules: Rules, meters: Meters
    ) -> None:
        self._app = app
        self._identity = identity
        self._cache = cache
        self._clock = clock
        self._rules = rules
        self._meters = meters
        self._origins = frozenset(rules.origins)
        self._known: dict[bytes, tuple[Caller, float]] = {}

    def __repr__(self) -> str:
        return f"Authenticated(remembered={len(self._known)})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, route = exchange(scope), entry(scope)
        session = _session(seen)
        explicit = b"authorization" in seen.headers or b"x-api-key" in seen.headers
        if scope["method"] not in _SAFE and not explicit:
            self._refuse_foreign(seen)
        if route.permission and not (route.local and not explicit and is_local(scope, seen)):
            caller = await self._caller(scope, seen, session)
            try:
                route.check(caller)
            except Denied:
                self._meters.add("perdure_refusals_total", ("denied",))
                raise
            scope[CALLER] = caller
            seen.still = functools.partial(self._still, scope, seen, session, caller, route.permission)
            seen.tenant = caller.tenant
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope, seen: Exchange, session: str) -> Caller:
        """API key, then bearer, then cookie: the first that is there must hold."""
        key = seen.headers.get(b"x-api-key", b"").decode("latin-1")
        if key:
            return await self._verified(scope, "key", key, self._identity.by_key)
        scheme, _, bearer = seen.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            bearer = bearer.strip()
            if bearer.count(".") == 2:
                return await self._verified(scope, "token", bearer, self._identity.by_token)
            return await self._verified(scope, "key", bearer, self._identity.by_key)
        if session:
            caller = await self._verified(scope, "session", session, self._identity.by_session)
            self._check_session(scope, seen, session)
            return caller
        raise Unauthenticated(
            "Say who you are first.", hint="Send an API key as x-api-key, or a token as Authorization: Bearer."
        )

    async def _still(self, scope: Scope, seen: Exchange, session: str, before: Caller, permission: str) -> bool:
        """Whether what the request showed is good for the same permission of the same caller."""
        try:
            now = await self._caller(scope, seen, session)
        except (Unauthenticated, Refused):
            return False
        except Unavailable:  # nothing is known of it now
            return True
        is_same = (now.tenant, now.subject) == (before.tenant, before.subject)
        return is_same and (permission == SELF or permission in now.permissions)

    async def _verified(
        self, scope: Scope, by: str, shown: str, ask: Callable[[str], Awaitable[Caller | None]]
    ) -> Caller:
        digest = hashlib.blake2b(shown.encode("utf-8", "surrogatepass"), digest_size=16, person=by.encode()).digest()
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and known[1] > now:
            return known[0]
        found = await ask(shown) if 0 < len(shown) <= _LONGEST else None
        if found is None:
            self._known.pop(digest, None)
            await self._failed(scope, by)
            raise Unauthenticated("These credentials are not valid, or no more.")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        if self._rules.remember > 0:
            self._known[digest] = (found, now + self._rules.remember)
        return found

    async def _failed(self, scope: Scope, by: str) -> None:
        self._meters.add("perdure_refusals_total", (f"unknown-{by}",))
        rate = self._rules.rates.get("refused")
        if rate is None:
            return
        try:
            count = await self._cache.add(f"-:refused:{address_of(scope)}", 1, rate.seconds)
        except Unavailable:  # then nobody counts; what is not valid stays so
            return
        if count > rate.amount:
            raise Refused(
                429, "exhausted", "Too many credentials that are not valid came from your address.",
                headers={"Retry-After": str(rate.seconds)},
            )  # fmt: skip

    def _check_session(self, scope: Scope, seen: Exchange, session: str) -> None:
        """A browser sends cookies by itself: whoever changes something must also know the token that we gave."""
        token = csrf_token(session)
        if scope["method"] in _SAFE:
            seen.answer.append((CSRF_HEADER, token.encode()))
            return
        shown = seen.headers.get(CSRF_HEADER, b"")
        if not hmac.compare_digest(shown, token.encode()):
            self._meters.add("perdure_refusals_total", ("csrf",))
            raise Refused(
                403,
                "csrf",
                "The header x-csrf-token is missing or wrong. Every answer to a GET with the cookie has it.",
            )

    def _refuse_foreign(self, seen: Exchange) -> None:
        """A change that a browser asks for on behalf of another site's page, with what it has of ours."""
        origin = seen.headers.get(b"origin", b"").decode("latin-1")
        if origin in self._origins and origin:
            return
        foreign = seen.headers.get(b"sec-fetch-site") == b"cross-site"
        if foreign or (origin and not _same_host(origin, seen.headers.get(b"host", b"").decode("latin-1"))):
            self._meters.add("perdure_refusals_total", ("foreign-origin",))
            raise Refused(403, "foreign-origin", "Pages of other sites may not do this.")


def csrf_token(session: str) -> str:
    """What proves that a page of ours asks: made from the session, which no script can read."""
    digest = hashlib.blake2b(session.encode("utf-8", "surrogatepass"), digest_size=32, person=b"csrf").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _session(seen: Exchange) -> str:
    cookie = seen.headers.get(b"cookie")
    if cookie is None:
        return ""
    for part in cookie.decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value.strip('"')
    return ""


def _same_host(origin: str, host: str) -> bool:
    try:
        parsed = urlsplit(origin)
        default = {"http": 80, "https": 443}.get(parsed.scheme)
        asked = urlsplit(f"//{host}")
        return default is not None and (parsed.hostname, parsed.port or default) == (
            asked.hostname,
            asked.port or default,
        )
    except ValueError:
        return False
