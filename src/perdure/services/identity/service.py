"""What all use cases of identity stand on, and the first of them: tenants, projects, and an installation's first owner key.

The others: `keys.py`, `users.py`, `sessions.py`, `tokens.py`; `who.py` answers the gateway.
"""

import os
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from perdure.errors import Conflict, Denied, Invalid, NotFound
from perdure.ports.clock import Clock
from perdure.ports.database import EVERY, Database, Told, Transaction
from perdure.ports.edge import Caller
from perdure.ports.ids import new_id
from perdure.ports.sealing import Sealing
from perdure.services.identity import events, store
from perdure.services.identity.models import (
    KEY_PREFIX,
    Key,
    Project,
    Role,
    Tenant,
    checked_id,
    digest,
    may_give,
    new_secret,
)

_OURS = frozenset({"agents", "perdure"})
"""Where runs of agents and questions of services come from: a project of that name would be theirs."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What wiring hands over: this service's database, the clock, chance, and how secrets are sealed."""

    database: Database
    clock: Clock
    sealing: Sealing
    home: str = "default"
    """The tenant whose owners see to the installation."""
    chance: Callable[[int], bytes] = os.urandom

    def id(self, kind: str) -> str:
        return new_id(kind, self.clock.now(), self.chance(10))


class Tenants:
    """Tenants and their projects."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def first_key(self, tenant: str) -> str | None:
        """The owner key of a new installation, shown this once. None when the tenant has keys already."""
        made = Tenant(id=checked_id(tenant, "tenant"), name=tenant, created=self._ground.clock.now())
        key, secret = self._owner_key(tenant)

        def work(tx: Transaction) -> bool:
            if store.has_keys(tx.connection, tenant):
                return False
            if store.tenant(tx.connection, tenant) is None:
                store.add_tenant(tx.connection, tenant, made)
            _add_key(tx, key, secret)
            return True

        try:
            return secret if await self._ground.database.write(tenant, work) else None
        except IntegrityError:  # another process made it at the same moment
            return None

    async def create(self, by: Caller, id: str, name: str) -> tuple[Tenant, str]:
        """A new tenant, and its owner key, shown this once. Conflict when there is one of that id."""
        made = Tenant(id=checked_id(id, "tenant"), name=_named(name), created=self._ground.clock.now())
        key, secret = self._owner_key(id)

        def work(tx: Transaction) -> None:
            _add(tx, made)
            _add_key(tx, key, secret)

        await self._write(id, work, f"There is a tenant {id!r} already.")
        return made, secret

    def _owner_key(self, tenant: str) -> tuple[Key, str]:
        ground = self._ground
        secret = new_secret(KEY_PREFIX, ground.chance(32))
        key = Key(
            tenant=tenant, id=ground.id("key"), name="owner", role="owner", ending=secret[-4:],
            created=ground.clock.now(), created_by="installation",
        )  # fmt: skip
        return key, secret

    async def find(self, by: Caller, *, after: str = "", limit: int = 100) -> list[Tenant]:
        return await self._ground.database.read(
            EVERY, lambda connection: store.all_tenants(connection, EVERY, after=after, limit=limit)
        )

    async def get(self, id: str) -> Tenant:
        found = await self._ground.database.read(id, lambda connection: store.tenant(connection, id))
        if found is None:
            raise NotFound(f"There is no tenant {id!r}.")
        return found

    async def disable(self, by: Caller, id: str, *, disabled: bool) -> Tenant:
        """Keep everybody of a tenant out, or let them in again. Nothing is deleted, and its runs go on."""
        if id == by.tenant:
            raise Denied("You cannot shut the tenant that you are in.")
        at = self._ground.clock.now() if disabled else None

        def work(tx: Transaction) -> Tenant | None:
            if store.set_disabled(tx.connection, id, at):
                tx.tell(events.tenant_changed(id, disabled=disabled))
            return store.tenant(tx.connection, id)

        changed = await self._ground.database.write(id, work)
        if changed is None:
            raise NotFound(f"There is no tenant {id!r}.")
        return changed

    async def create_project(self, tenant: str, id: str, name: str) -> Project:
        if id in _OURS:
            raise Invalid(
                f"A project cannot be called {id}: what is Perdure's own has that name.", hint="Choose another."
            )
        made = Project(tenant=tenant, id=checked_id(id, "project"), name=_named(name), created=self._ground.clock.now())
        await self._write(
            tenant, lambda tx: store.add_project(tx.connection, tenant, made), f"There is a project {id!r} already."
        )
        return made

    async def find_projects(self, tenant: str, *, after: str = "", limit: int = 100) -> list[Project]:
        def work(connection: Connection) -> list[Project]:
            return store.all_projects(connection, tenant, after=after, limit=limit)

        return await self._ground.database.read(tenant, work)

    async def get_project(self, tenant: str, id: str) -> Project:
        found = await self._ground.database.read(tenant, lambda connection: store.project(connection, tenant, id))
        if found is None:
            raise NotFound(f"There is no project {id!r}.")
        return found

    async def _write(self, tenant: str, work: Callable[[Transaction], None], taken: str) -> None:
        try:
            await self._ground.database.write(tenant, work)
        except IntegrityError:
            raise Conflict(taken) from None


def _add(tx: Transaction, made: Tenant) -> None:
    store.add_tenant(tx.connection, made.id, made)
    tx.tell(Told(type=events.TENANT_CREATED, subject=made.id, data={"tenant": made.id}))


def _add_key(tx: Transaction, key: Key, secret: str) -> None:
    store.add_key(tx.connection, key.tenant, key, digest(secret))
    tx.tell(events.key_created(key))


def _named(name: str) -> str:
    plain = name.strip()
    if not 1 <= len(plain) <= 200:
        raise Invalid("A name has 1 to 200 characters.")
    return plain


def refuse_more(by: Caller, role: Role, home: str) -> None:
    """Denied when somebody would give a role, or touch who has it, that may do more than he may."""
    if not may_give(by.permissions, role, is_home=by.tenant == home):
        raise Denied(f"The role {role!r} may do more than you may: you can neither give it nor change what has it.")
