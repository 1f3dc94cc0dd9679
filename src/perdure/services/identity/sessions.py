"""Signing in with a password, staying signed in, signing out.

Refresh tokens are used once: showing one twice ends its session (RFC 9700, 4.14.2), but for a client that did not hear the
answer and asks again at once. Cookies carry an opaque secret. Every attempt is in the record of sign-ins.
"""

from functools import partial
from typing import Literal

import msgspec
from sqlalchemy import Connection

from perdure.ports.database import EVERY, Transaction
from perdure.ports.edge import Caller
from perdure.services.identity import events, store, store_sessions
from perdure.services.identity.models import (
    FAILURES,
    FAILURES_MS,
    REFRESH_PREFIX,
    SESSION_PREFIX,
    Refused,
    Session,
    SignIn,
    TooMany,
    User,
    checked_email,
    digest,
    granted,
    held,
    new_secret,
)
from perdure.services.identity.service import Ground
from perdure.services.identity.tokens import Tokens
from perdure.services.identity.users import Passwords, Users, asks_for_code

_COOKIE_MS = 12 * 3_600_000
_REFRESH_MS = 30 * 86_400_000
_FAILURES_ANYWHERE = 50
"""Failures from all addresses after which it takes none but from addresses where it has signed in before: who only wants
to shut somebody out does not get so far (OWASP, "blocking brute force attacks")."""
_FAMILIAR_MS = 60 * 86_400_000
_AGAIN_MS = 10_000
"""For so long a used refresh token gives another one, as long as none of those that it gave was used."""
_RECORD_MS = 400 * 86_400_000
"""How long the record of sign-ins is kept."""
_KNOWN_MS = 5_000
"""How long an access token is believed without looking whether its session has ended."""
_NO = "The e-mail address, the password or the code is not right."


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody shows to sign in, and from where."""

    tenant: str
    email: str
    password: str
    code: str = ""
    address: str = ""
    agent: str = ""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that worked. `secret` is the refresh token or the cookie's value; `seconds` the life of `access`."""

    user: User
    session: Session
    secret: str
    access: str
    seconds: int

    def __repr__(self) -> str:
        return f"Granted({self.user.id}, {self.session.id})"


class Sessions:
    """Who is signed in."""

    def __init__(self, ground: Ground, passwords: Passwords, users: Users, tokens: Tokens) -> None:
        self._ground = ground
        self._passwords = passwords
        self._users = users
        self._tokens = tokens
        self._known: dict[tuple[str, str], tuple[int, Caller | None]] = {}

    def __repr__(self) -> str:
        return f"Sessions({len(self._known)} known)"

    async def sign_in(self, shown: Shown, kind: Literal["cookie", "refresh"]) -> Granted:
        """Refused with one sentence for every reason; TooMany after ten failures in a quarter of an hour."""
        subject, now = _plain(shown.email), self._ground.clock.now()
        if await self._ground.database.read(shown.tenant, lambda connection: _is_held(connection, shown, subject, now)):
            raise TooMany
        found = await self._ground.database.read(
            shown.tenant, lambda connection: store.user_of_email(connection, shown.tenant, subject)
        )
        is_right = await self._passwords.is_right(found[1] if found else None, shown.password)
        if found is None or not is_right or found[0].disabled is not None:
            await self._note(shown, subject, "denied")
            raise Refused(_NO)
        user, _, sealed, _ = found
        step = 0
        if sealed is not None and asks_for_code(sealed):
            if not shown.code:
                raise Refused("A code of the second factor is needed.", code="totp-required")
            step = self._users.totp_step(user, sealed, shown.code) or -1
        return await self._grant(shown, user, kind, step)

    async def _grant(self, shown: Shown, user: User, kind: Literal["cookie", "refresh"], step: int) -> Granted:
        ground, now = self._ground, self._ground.clock.now()
        secret = new_secret(SESSION_PREFIX if kind == "cookie" else REFRESH_PREFIX, ground.chance(32))
        session = Session(
            tenant=user.tenant, id=ground.id("ses"), user=user.id, kind=kind, created=now,
            expires=now + (_COOKIE_MS if kind == "cookie" else _REFRESH_MS),
        )  # fmt: skip

        def work(tx: Transaction) -> bool:
            if _is_held(tx.connection, shown, user.email, now):  # others failed while this one's password was hashed
                raise TooMany
            if step < 0 or (step and not store.use_totp_step(tx.connection, user.tenant, user.id, step)):
                return False
            current = store.tenant(tx.connection, user.tenant)
            if current is None or current.disabled is not None:
                return False
            store_sessions.add_session(tx.connection, user.tenant, session, digest(secret))
            return True

        is_granted = await ground.database.write(user.tenant, work)
        await self._note(shown, user.id if is_granted else _plain(shown.email), "granted" if is_granted else "denied")
        if not is_granted:
            raise Refused(_NO)
        access, seconds = await self._tokens.issue(user, session)
        return Granted(user=user, session=session, secret=secret, access=access, seconds=seconds)

    async def refresh(self, token: str) -> Granted:
        """A new pair for a refresh token that was not used before."""
        shown, now = digest(token), self._ground.clock.now()
        found = None
        if token.startswith(REFRESH_PREFIX):
            found = await self._ground.database.read(
                EVERY, lambda connection: store_sessions.session_of_digest(connection, EVERY, shown)
            )
        if found is None or found[0].kind != "refresh":
            raise Refused("The refresh token is not valid.")
        session = found[0]
        secret = new_secret(REFRESH_PREFIX, self._ground.chance(32))
        reused = SignIn(
            tenant=session.tenant, id=self._ground.id("sgn"), at=now, subject=session.user, how="refresh",
            outcome="reused",
        )  # fmt: skip

        def work(tx: Transaction) -> User | None:
            connection, tenant = tx.connection, session.tenant
            current = store_sessions.session_of_digest(connection, tenant, shown)
            user = store.user(connection, tenant, session.user)
            owner = store.tenant(connection, tenant)
            if current is None or current[0].ended is not None or current[0].expires <= now or user is None:
                return None
            if user.disabled is not None or owner is None or owner.disabled is not None:
                return None
            if not _may_follow(connection, tenant, shown, now, current[1]):
                store_sessions.end_sessions(connection, tenant, now, session=session.id)
                store_sessions.add_sign_in(connection, tenant, reused)
                tx.tell(events.session_reused(session.id, user.id))
                return None
            store_sessions.add_session_secret(connection, tenant, session.id, digest(secret), parent=shown)
            return user

        user = await self._ground.database.write(session.tenant, work)
        if user is None:
            self._known.clear()
            raise Refused("The refresh token is not valid.", hint="Sign in again.")
        access, seconds = await self._tokens.issue(user, session)
        return Granted(user=user, session=session, secret=secret, access=access, seconds=seconds)

    async def sign_out(self, by: Caller, *, everywhere: bool = False, session: str = "") -> None:
        """End the session, or every session of the user."""
        now = self._ground.clock.now()

        def work(tx: Transaction) -> None:
            if everywhere or session:
                store_sessions.end_sessions(
                    tx.connection, by.tenant, now, session="" if everywhere else session, user=by.subject
                )

        await self._ground.database.write(by.tenant, work)
        self._known.clear()

    async def by_session(self, secret: str) -> tuple[Caller, str] | None:
        """Who shows this cookie, and the id of the session."""
        if not secret.startswith(SESSION_PREFIX) or len(secret) > 100:
            return None
        shown = digest(secret)
        found = await self._ground.database.read(
            EVERY, lambda connection: store_sessions.session_of_digest(connection, EVERY, shown)
        )
        if found is None or found[0].kind != "cookie":
            return None
        who = await self.caller(found[0].tenant, found[0].id, "session")
        return None if who is None else (who, found[0].id)

    async def session_of(self, token: str) -> str:
        """The session of an access token of ours; empty when it is none."""
        found = await self._tokens.verify(token)
        return "" if found is None else found[1]

    async def caller(self, tenant: str, session: str, by: str) -> Caller | None:
        """Whose session this is, as he is now; None when it has ended."""
        now = self._ground.clock.now()
        known = self._known.get((tenant, session))
        if known is not None and now - known[0] < _KNOWN_MS:
            return known[1]
        user = await self._ground.database.read(tenant, lambda connection: _user(connection, tenant, session, now))
        who = None
        if user is not None:
            permissions = granted(user.role, is_home=tenant == self._ground.home)
            who = Caller(
                tenant=tenant, subject=user.id, roles=held(user.role), permissions=permissions, by=by, email=user.email
            )
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[tenant, session] = (now, who)
        return who

    async def admits(self, tenant: str) -> bool:
        """Whether there is such a tenant, and it is not shut."""
        found = await self._ground.database.read(tenant, lambda connection: store.tenant(connection, tenant))
        return found is not None and found.disabled is None

    async def find_sign_ins(self, tenant: str, *, before: str = "", limit: int = 100) -> list[SignIn]:
        def work(connection: Connection) -> list[SignIn]:
            return store_sessions.all_sign_ins(connection, tenant, before=before, limit=limit)

        return await self._ground.database.read(tenant, work)

    async def sweep(self) -> None:
        """Forget, once an hour and for ever, sessions that ended more than a week ago, and sign-ins of earlier years."""
        while True:
            await self._ground.database.write(EVERY, partial(_forget, now=self._ground.clock.now()))
            await self._ground.clock.sleep(3600)

    async def _note(self, shown: Shown, subject: str, outcome: Literal["granted", "denied"]) -> None:
        made = SignIn(
            tenant=shown.tenant, id=self._ground.id("sgn"), at=self._ground.clock.now(), subject=subject,
            how="password", outcome=outcome, address=shown.address[:100], agent=shown.agent[:300],
        )  # fmt: skip
        await self._ground.database.write(
            shown.tenant, lambda tx: store_sessions.add_sign_in(tx.connection, shown.tenant, made)
        )


def _user(connection: Connection, tenant: str, session: str, now: int) -> User | None:
    """Whose session this is, when it goes on and its owner may come in."""
    found = store_sessions.session(connection, tenant, session)
    if found is None or found.ended is not None or found.expires <= now:
        return None
    user, owner = store.user(connection, tenant, found.user), store.tenant(connection, tenant)
    is_in = user is not None and user.disabled is None and owner is not None and owner.disabled is None
    return user if is_in else None


def _forget(tx: Transaction, *, now: int) -> None:
    store_sessions.forget_sessions(tx.connection, EVERY, now - 7 * 86_400_000)
    store_sessions.forget_sign_ins(tx.connection, EVERY, now - _RECORD_MS)


def _is_held(connection: Connection, shown: Shown, subject: str, now: int) -> bool:
    """Whether an account takes no password from this address for now; the same for one that does not exist."""
    failed = store_sessions.failures(connection, shown.tenant, subject, now - FAILURES_MS)
    if failed.count(shown.address) >= FAILURES:
        return True
    if len(failed) < _FAILURES_ANYWHERE:
        return False
    found = store.user_of_email(connection, shown.tenant, subject)
    return found is None or not store_sessions.has_come_from(
        connection, shown.tenant, found[0].id, shown.address, now - _FAMILIAR_MS
    )


def _may_follow(connection: Connection, tenant: str, shown: bytes, now: int, used: int | None) -> bool:
    """Use up a refresh token: False when somebody else has a copy of it.

    A client whose answer was lost shows the same one again, and gets another; so do two that ask at once. From then on
    one branch goes on: as soon as a token of one was used, one of another ends the session.
    """
    if store_sessions.use_session_secret(connection, tenant, shown, now):
        return not store_sessions.is_forked(connection, tenant, shown)
    at = now if used is None else used
    return now - at <= _AGAIN_MS and not store_sessions.is_followed(connection, tenant, shown)


def _plain(email: str) -> str:
    try:
        return checked_email(email)
    except Exception:  # noqa: BLE001 - what is no address belongs to nobody, and is refused like any other
        return email[:100].lower()
