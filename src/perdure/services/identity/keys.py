"""API keys: made, shown once, recognised, revoked."""

import msgspec
from sqlalchemy import Connection

from perdure.errors import Denied, Invalid, NotFound
from perdure.ports.database import EVERY, Transaction
from perdure.ports.edge import Caller
from perdure.services.identity import events, store
from perdure.services.identity.models import (
    KEY_PREFIX,
    LIMITED,
    ROLES,
    Key,
    Role,
    checked_models,
    checked_permissions,
    digest,
    granted,
    held,
    lower,
    new_secret,
)
from perdure.services.identity.service import Ground, refuse_more


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a new key shall be. `days` until it expires; 0: never."""

    name: str
    role: Role
    permissions: frozenset[str] = frozenset()
    project: str = ""
    days: int = 0
    models: tuple[str, ...] = ()
    """Patterns of the models that it may use; empty: every model."""


class Keys:
    """The API keys of all tenants."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, by: Caller, wish: Wish, *, user: str = "") -> tuple[Key, str]:
        """A key, and its secret, shown this once. Denied when it could do more than whoever makes it.

        With `user` it is that user's own, and lives no longer than he does here.
        """
        ground, now = self._ground, self._ground.clock.now()
        refuse_more(by, wish.role, ground.home) if not wish.permissions else _refuse_beyond(by, wish)
        if by.project and wish.project not in ("", by.project):
            raise Denied(f"You are bound to the project {by.project!r}, and so is every key that you make.")
        name = wish.name.strip()
        if not 1 <= len(name) <= 200:
            raise Invalid("A name has 1 to 200 characters.")
        if not 0 <= wish.days <= 3650:
            raise Invalid("A key expires in 1 to 3650 days, or never (0).")
        _refuse_unlimited(wish.role, wish.permissions, models := checked_models(wish.models))
        secret = new_secret(KEY_PREFIX, ground.chance(32))
        made = Key(
            tenant=by.tenant, id=ground.id("key"), name=name, role=wish.role, permissions=wish.permissions,
            project=wish.project or by.project, user=user, models=models, ending=secret[-4:], created=now,
            created_by=by.subject,
            expires=now + wish.days * 86_400_000 if wish.days else None,
        )  # fmt: skip

        def work(tx: Transaction) -> None:
            if made.project and store.project(tx.connection, by.tenant, made.project) is None:
                raise NotFound(f"There is no project {made.project!r}.")
            store.add_key(tx.connection, by.tenant, made, digest(secret))
            tx.tell(events.key_created(made))

        await ground.database.write(by.tenant, work)
        return made, secret

    async def find(
        self, tenant: str, *, user: str = "", project: str = "", after: str = "", limit: int = 100
    ) -> list[Key]:
        """All, or those of a user or a project."""

        def work(connection: Connection) -> list[Key]:
            return store.all_keys(connection, tenant, user=user, project=project, after=after, limit=limit)

        return await self._ground.database.read(tenant, work)

    async def get(self, tenant: str, id: str) -> Key:
        found = await self._ground.database.read(tenant, lambda connection: store.key(connection, tenant, id))
        if found is None:
            raise NotFound(f"There is no key {id!r}.")
        return found

    async def change(self, by: Caller, id: str, models: tuple[str, ...]) -> Key:
        """Other models that it may use; every process holds to them within seconds. Denied as `revoke`."""
        models, home = checked_models(models), self._ground.home

        def work(tx: Transaction) -> Key:
            key = store.key(tx.connection, by.tenant, id)
            if key is None:
                raise NotFound(f"There is no key {id!r}.")
            if key.id == by.key:
                raise Denied("A key does not choose its own models.")
            refuse_more(by, key.role, home) if not key.permissions else _refuse_stronger(by, key)
            _refuse_unlimited(key.role, key.permissions, models)
            store.set_models(tx.connection, by.tenant, id, models)
            changed = msgspec.structs.replace(key, models=models)
            tx.tell(events.key_changed(changed, by.subject))
            return changed

        return await self._ground.database.write(by.tenant, work)

    async def revoke(self, by: Caller, id: str, *, user: str = "") -> Key:
        """End a key, or only one of a user's own; every process refuses it within seconds. Again: nothing happens.

        Denied for one that may do more than who asks: an administrator does not shut out the owners.
        """
        at, home = self._ground.clock.now(), self._ground.home

        def work(tx: Transaction) -> Key | None:
            key = store.key(tx.connection, by.tenant, id)
            if key is None or (user and key.user != user):
                return None
            if not _is_own(by, key):
                refuse_more(by, key.role, home) if not key.permissions else _refuse_stronger(by, key)
            if store.revoke_key(tx.connection, by.tenant, id, at):
                tx.tell(events.key_revoked(id, by.subject))
            return store.key(tx.connection, by.tenant, id)

        revoked = await self._ground.database.write(by.tenant, work)
        if revoked is None:
            raise NotFound(f"There is no key {id!r}.")
        return revoked

    async def recognise(self, secret: str) -> Caller | None:
        """Who shows this key, or None. The digest is compared by the index: nothing of the secret can be timed."""
        if not secret.startswith(KEY_PREFIX) or len(secret) > 100:
            return None
        shown = digest(secret)
        found = await self._ground.database.read(EVERY, lambda connection: _owned(connection, shown))
        now = self._ground.clock.now()
        if found is None or found[0].revoked is not None or (found[0].expires is not None and found[0].expires <= now):
            return None
        key, role, email = found
        permissions = granted(role, wanted=key.permissions, is_home=key.tenant == self._ground.home)
        if key.models:
            permissions &= LIMITED
        return Caller(
            tenant=key.tenant, subject=key.user or f"key:{key.id}", roles=held(role), permissions=permissions,
            project=key.project, key=key.id, by="key", email=email, models=key.models,
        )  # fmt: skip


def _owned(connection: Connection, shown: bytes) -> tuple[Key, Role, str] | None:
    """The key of this digest, and the role it has now: never above that of the user whose own it is, with his address."""
    key = store.key_of_digest(connection, EVERY, shown)
    if key is None or not key.user:
        return None if key is None else (key, key.role, "")
    user = store.user(connection, key.tenant, key.user)
    return None if user is None or user.disabled is not None else (key, lower(key.role, user.role), user.email)


def _is_own(by: Caller, key: Key) -> bool:
    return key.id == by.key or (bool(key.user) and key.user == by.subject)


def _refuse_stronger(by: Caller, key: Key) -> None:
    if not granted(key.role, wanted=key.permissions) <= by.permissions:
        raise Denied("The key may do more than you may, so it is not yours to change or end.")


def _refuse_unlimited(role: Role, permissions: frozenset[str], models: tuple[str, ...]) -> None:
    """Models can be kept only from a key that cannot go around it. An operator's does without what would; what was asked
    for by name, or comes with a higher role, is not silently left out."""
    beyond = granted(role, wanted=permissions) - (LIMITED if permissions else ROLES["operator"])
    if models and beyond:
        raise Invalid(
            f"A key with the permission {min(beyond)!r} cannot be held to some models: it could let others ask for it.",
            hint="Give it the role `viewer` or `operator`, or only permissions that an operator has, without `events:write`.",
        )


def _refuse_beyond(by: Caller, wish: Wish) -> None:
    """With few permissions the role still says who the key is: what is asked of owners, an owner's key decides."""
    checked_permissions(wish.permissions)
    if wish.role not in by.roles:
        raise Denied(f"You may not give the role {wish.role!r}: yours is a lower one.")
    beyond = (wish.permissions & ROLES[wish.role]) - by.permissions
    if beyond or not wish.permissions <= ROLES[wish.role]:
        missing = sorted(beyond or wish.permissions - ROLES[wish.role])
        raise Invalid(
            f"The key cannot have the permission {missing[0]!r}.",
            hint="Ask only for permissions that its role has, and that you have yourself.",
        )
