"""Users: made by an administrator, with a role, a password (argon2id) and a second factor (TOTP, RFC 6238)."""

import asyncio
import urllib.parse

import argon2
import pyotp
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from perdure.errors import Conflict, Denied, Invalid, NotFound
from perdure.ports.database import Transaction
from perdure.ports.edge import Caller
from perdure.services.identity import events, store, store_sessions
from perdure.services.identity.models import (
    FAILURES,
    FAILURES_MS,
    PENDING,
    Role,
    SignIn,
    TooMany,
    User,
    checked_email,
    checked_password,
)
from perdure.services.identity.service import Ground, refuse_more

_TOTP = "users/{}/totp"


class Passwords:
    """Hashing takes 19 MiB and tens of milliseconds on purpose (OWASP: argon2id m=19 MiB, t=2, p=1), so it happens in
    threads, a few at once."""

    def __init__(self, at_once: int = 2) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._turn = asyncio.Semaphore(at_once)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def is_right(self, kept: str | None, password: str) -> bool:
        """False without a kept hash too, after the same work: time does not tell who has an account."""
        if self._nobody is None:
            self._nobody = await self.hash("nobody")
        async with self._turn:
            try:
                is_right = await asyncio.to_thread(self._hasher.verify, kept or self._nobody, password)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return False
        return is_right and kept is not None


class Users:
    """The people of all tenants."""

    def __init__(self, ground: Ground, passwords: Passwords) -> None:
        self._ground = ground
        self._passwords = passwords

    async def create(self, by: Caller, *, email: str, name: str, role: Role, password: str | None) -> User:
        """A user. Without a password he signs in through an OpenID provider only. Conflict when the address is taken."""
        refuse_more(by, role, self._ground.home)
        made = User(
            tenant=by.tenant, id=self._ground.id("usr"), email=checked_email(email), name=name.strip()[:200],
            role=role, created=self._ground.clock.now(), has_password=password is not None,
        )  # fmt: skip
        kept = None if password is None else await self._passwords.hash(checked_password(password))

        def work(tx: Transaction) -> None:
            store.add_user(tx.connection, by.tenant, made, kept)
            tx.tell(events.user_created(made, by.subject))

        try:
            await self._ground.database.write(by.tenant, work)
        except IntegrityError:
            raise Conflict(f"There is a user with the address {made.email}.") from None
        return made

    async def get(self, tenant: str, id: str) -> User:
        found = await self._ground.database.read(tenant, lambda connection: store.user(connection, tenant, id))
        if found is None:
            raise NotFound(f"There is no user {id!r}.")
        return found

    async def find(self, tenant: str, *, after: str = "", limit: int = 100) -> list[User]:
        def work(connection: Connection) -> list[User]:
            return store.all_users(connection, tenant, after=after, limit=limit)

        return await self._ground.database.read(tenant, work)

    async def change(self, by: Caller, id: str, *, role: Role | None = None, disabled: bool | None = None) -> User:
        """Another role, or shut out. It holds at once: all sessions of the user end. The last owner stays."""
        now = self._ground.clock.now()

        def work(tx: Transaction) -> User:
            # One after the other: two owners who demote each other at the same moment must not both count two.
            store.hold(tx.connection, by.tenant)
            user = store.user(tx.connection, by.tenant, id)
            if user is None:
                raise NotFound(f"There is no user {id!r}.")
            refuse_more(by, user.role, self._ground.home)
            loses = user.role == "owner" and (role not in (None, "owner") or disabled)
            if loses and store.count_owners(tx.connection, by.tenant) < 2:
                raise Conflict("This is the last owner.", hint="Make somebody else an owner first.")
            if role is not None:
                refuse_more(by, role, self._ground.home)
                store.change_user(tx.connection, by.tenant, id, role=role)
                tx.tell(events.user_changed(id, "role", by.subject))
            if disabled is not None:
                store.change_user(tx.connection, by.tenant, id, disabled=now if disabled else None)
                tx.tell(events.user_changed(id, "disabled" if disabled else "enabled", by.subject))
            store_sessions.end_sessions(tx.connection, by.tenant, now, user=id)
            changed = store.user(tx.connection, by.tenant, id)
            assert changed is not None
            return changed

        return await self._ground.database.write(by.tenant, work)

    async def set_password(self, by: Caller, id: str, *, password: str, current: str | None) -> None:
        """One's own with the current one; somebody else's as who may give his role. All his sessions end."""
        user = await self.get(by.tenant, id)
        if by.subject == id:
            await self._check_current(by, user, current or "")
        else:
            refuse_more(by, user.role, self._ground.home)
            if "users:write" not in by.permissions:
                raise Denied("You may change your own password only.")
        kept = await self._passwords.hash(checked_password(password))
        now = self._ground.clock.now()

        def work(tx: Transaction) -> None:
            store.change_user(tx.connection, by.tenant, id, password=kept)
            store_sessions.end_sessions(tx.connection, by.tenant, now, user=id)
            tx.tell(events.user_changed(id, "password", by.subject))

        await self._ground.database.write(by.tenant, work)

    async def _check_current(self, by: Caller, user: User, current: str) -> None:
        """Who holds a stolen session must not guess the password in peace: a failure counts as one to sign in."""
        ground, now = self._ground, self._ground.clock.now()

        def work(connection: Connection) -> int:
            return store_sessions.failures(connection, by.tenant, user.email, now - FAILURES_MS).count("")

        if await ground.database.read(by.tenant, work) >= FAILURES:
            raise TooMany
        found = await self._read(by.tenant, user.email)
        if await self._passwords.is_right(found[1], current):
            return
        failed = SignIn(
            tenant=by.tenant, id=ground.id("sgn"), at=now, subject=user.email, how="password", outcome="denied"
        )
        await ground.database.write(by.tenant, lambda tx: store_sessions.add_sign_in(tx.connection, by.tenant, failed))
        raise Denied("The current password is not right.")

    # The second factor

    async def begin_totp(self, by: Caller) -> str:
        """A new secret for one's own authenticator, as its `otpauth:` address. It is asked for once it was confirmed."""
        user = await self.get(by.tenant, by.subject)
        if user.has_totp and not await self._is_pending(by):
            raise Conflict("There is a second factor already.", hint="Whoever may change users can remove it.")
        secret = pyotp.random_base32()
        sealed = PENDING + self._ground.sealing.seal(by.tenant, _TOTP.format(user.id), secret.encode())
        await self._ground.database.write(
            by.tenant, lambda tx: store.change_user(tx.connection, by.tenant, user.id, totp=sealed)
        )
        label = urllib.parse.quote(user.email)
        return f"otpauth://totp/Perdure:{label}?secret={secret}&issuer=Perdure&digits=6&period=30"

    async def confirm_totp(self, by: Caller, code: str) -> None:
        """From now on a code is asked for at sign-in. Invalid when the code is not right."""
        user = await self.get(by.tenant, by.subject)
        _, _, sealed, _ = await self._read(by.tenant, user.email)
        if sealed is None or not sealed.startswith(PENDING):
            raise Conflict("There is no second factor to confirm.", hint="Begin with a new one.")
        step = self.totp_step(user, sealed[1:], code)
        if step is None:
            raise Invalid("The code is not right.", hint="Look at the clock of the device that shows it.")

        def work(tx: Transaction) -> None:
            store.change_user(tx.connection, by.tenant, user.id, totp=sealed[1:], totp_step=step)
            tx.tell(events.user_changed(user.id, "totp", by.subject))

        await self._ground.database.write(by.tenant, work)

    async def remove_totp(self, by: Caller, id: str) -> None:
        """One's own, or that of a user who lost his device, by who may give his role."""
        user = await self.get(by.tenant, id)
        if by.subject != id:
            refuse_more(by, user.role, self._ground.home)
            if "users:write" not in by.permissions:
                raise Denied("You may remove your own second factor only.")

        def work(tx: Transaction) -> None:
            store.change_user(tx.connection, by.tenant, id, totp=None)
            tx.tell(events.user_changed(id, "totp", by.subject))

        await self._ground.database.write(by.tenant, work)

    def totp_step(self, user: User, sealed: bytes, code: str) -> int | None:
        """The time step whose code this is, one step early or late allowed; None when it is none."""
        secret = self._ground.sealing.open(user.tenant, _TOTP.format(user.id), sealed).decode()
        now = self._ground.clock.now() // 30_000
        plain = code.replace(" ", "")
        if len(plain) != 6 or not (plain.isascii() and plain.isdigit()):
            return None
        totp = pyotp.TOTP(secret)
        right = [step for step in (now - 1, now, now + 1) if pyotp.utils.strings_equal(totp.at(step * 30), plain)]
        return right[0] if right else None

    async def _is_pending(self, by: Caller) -> bool:
        user = await self.get(by.tenant, by.subject)
        sealed = (await self._read(by.tenant, user.email))[2]
        return sealed is not None and sealed.startswith(PENDING)

    async def _read(self, tenant: str, email: str) -> tuple[User, str | None, bytes | None, int]:
        found = await self._ground.database.read(
            tenant, lambda connection: store.user_of_email(connection, tenant, email)
        )
        if found is None:
            raise NotFound("There is no such user.")
        return found


def asks_for_code(sealed: bytes | None) -> bool:
    """Whether a second factor was set up and confirmed."""
    return sealed is not None and not sealed.startswith(PENDING)
