"""The tables of identity, and the queries on them but for those on sessions. Each takes a connection and a tenant.

Secrets are kept as SHA-256 (keys, sessions), as argon2id (passwords) or sealed (TOTP, the issuer's private keys). What a
caller shows is looked up before its tenant is known: those reads alone are for the tenant EVERY.
"""

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    MetaData,
    RowMapping,
    Table,
    Text,
    UniqueConstraint,
    and_,
    insert,
    select,
    update,
)

from perdure.services.identity.models import PENDING, Key, Project, Tenant, User

metadata = MetaData()

tenants = Table(
    "tenants", metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("disabled", BigInteger),
)  # fmt: skip
projects = Table(
    "projects", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)  # fmt: skip
users = Table(
    "users", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("disabled", BigInteger),
    Column("password", Text),
    Column("totp", LargeBinary),
    Column("totp_step", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("tenant", "email", name="users_email"),
)  # fmt: skip
keys = Table(
    "keys", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("user", Text, nullable=False, server_default=""),
    Column("ending", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("models", Text, nullable=False, server_default=""),
)  # fmt: skip
sessions = Table(
    "sessions", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("ended", BigInteger),
)  # fmt: skip
session_secrets = Table(
    "session_secrets", metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("used", BigInteger),
    Column("parent", LargeBinary),
    Index("session_secrets_session", "tenant", "session"),
)  # fmt: skip
sign_ins = Table(
    "sign_ins", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index("sign_ins_subject", "tenant", "subject", "at"),
)  # fmt: skip
issuer_keys = Table(
    "issuer_keys", metadata,
    Column("id", Text, primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("public", Text, nullable=False),
    Column("private", LargeBinary, nullable=False),
)  # fmt: skip

_USER = [column for column in users.c if column.name != "totp_step"]


def made(kind: Any, row: RowMapping) -> Any:
    """A record of a row."""
    return kind(**{name: row[name] for name in kind.__struct_fields__ if name in row})


# Tenants and projects


def add_tenant(connection: Connection, tenant: str, made: Tenant) -> None:
    connection.execute(insert(tenants).values(tenant=tenant, name=made.name, created=made.created))


def tenant(connection: Connection, tenant: str) -> Tenant | None:
    row = connection.execute(select(tenants).where(tenants.c.tenant == tenant)).mappings().first()
    return None if row is None else _tenant(row)


def all_tenants(connection: Connection, tenant: str, *, after: str = "", limit: int = 100) -> list[Tenant]:
    """Those that the transaction may see: with the tenant EVERY all of them, else the one."""
    wanted = tenants.c.tenant > after
    if tenant != "*":
        wanted = and_(wanted, tenants.c.tenant == tenant)
    rows = connection.execute(select(tenants).where(wanted).order_by(tenants.c.tenant).limit(limit)).mappings()
    return [_tenant(row) for row in rows]


def _tenant(row: RowMapping) -> Tenant:
    return Tenant(id=row["tenant"], name=row["name"], created=row["created"], disabled=row["disabled"])


def hold(connection: Connection, tenant: str) -> None:
    """Until this transaction ends, no other one that holds the tenant goes on."""
    connection.execute(select(tenants.c.tenant).where(tenants.c.tenant == tenant).with_for_update())


def set_disabled(connection: Connection, tenant: str, at: int | None) -> bool:
    """False when there is no such tenant."""
    return connection.execute(update(tenants).where(tenants.c.tenant == tenant).values(disabled=at)).rowcount == 1


def add_project(connection: Connection, tenant: str, made: Project) -> None:
    connection.execute(insert(projects).values(tenant=tenant, id=made.id, name=made.name, created=made.created))


def project(connection: Connection, tenant: str, id: str) -> Project | None:
    query = select(projects).where(projects.c.tenant == tenant, projects.c.id == id)
    row = connection.execute(query).mappings().first()
    return None if row is None else made(Project, row)


def all_projects(connection: Connection, tenant: str, *, after: str = "", limit: int = 100) -> list[Project]:
    query = select(projects).where(projects.c.tenant == tenant, projects.c.id > after)
    return [made(Project, row) for row in connection.execute(query.order_by(projects.c.id).limit(limit)).mappings()]


# Users


def add_user(connection: Connection, tenant: str, made: User, password: str | None) -> None:
    connection.execute(
        insert(users).values(
            tenant=tenant,
            id=made.id,
            email=made.email,
            name=made.name,
            role=made.role,
            created=made.created,
            disabled=made.disabled,
            password=password,
            totp_step=0,
        )
    )


def _user(row: RowMapping) -> User:
    has = {
        "has_password": row["password"] is not None,
        "has_totp": row["totp"] is not None and not row["totp"].startswith(PENDING),
    }
    return User(**{name: row[name] for name in User.__struct_fields__ if name in row} | has)


def user(connection: Connection, tenant: str, id: str) -> User | None:
    row = connection.execute(select(*_USER).where(users.c.tenant == tenant, users.c.id == id)).mappings().first()
    return None if row is None else _user(row)


def all_users(connection: Connection, tenant: str, *, after: str = "", limit: int = 100) -> list[User]:
    query = select(*_USER).where(users.c.tenant == tenant, users.c.id > after).order_by(users.c.id).limit(limit)
    return [_user(row) for row in connection.execute(query).mappings()]


def user_of_email(connection: Connection, tenant: str, email: str) -> tuple[User, str | None, bytes | None, int] | None:
    """The user with the hash of the password, the sealed TOTP secret, and the last TOTP step that was used."""
    query = select(users).where(users.c.tenant == tenant, users.c.email == email)
    row = connection.execute(query).mappings().first()
    return None if row is None else (_user(row), row["password"], row["totp"], row["totp_step"])


def change_user(connection: Connection, tenant: str, id: str, **values: Any) -> bool:
    changed = connection.execute(update(users).where(users.c.tenant == tenant, users.c.id == id).values(**values))
    return changed.rowcount == 1


def use_totp_step(connection: Connection, tenant: str, id: str, step: int) -> bool:
    """False when this step, or a later one, was used before (RFC 6238, 5.2: accept a code once)."""
    query = update(users).where(users.c.tenant == tenant, users.c.id == id, users.c.totp_step < step)
    return connection.execute(query.values(totp_step=step)).rowcount == 1


def count_owners(connection: Connection, tenant: str) -> int:
    query = select(users.c.id).where(users.c.tenant == tenant, users.c.role == "owner", users.c.disabled.is_(None))
    return len(connection.execute(query.limit(2)).all())


# Keys


def add_key(connection: Connection, tenant: str, made: Key, digest: bytes) -> None:
    values = msgspec.structs.asdict(made) | {
        "permissions": " ".join(sorted(made.permissions)), "models": " ".join(made.models),
    }  # fmt: skip
    connection.execute(insert(keys).values(**values | {"tenant": tenant}, digest=digest))


def _key(row: RowMapping) -> Key:
    values = {name: row[name] for name in Key.__struct_fields__}
    lists = {"permissions": frozenset(row["permissions"].split()), "models": tuple(row["models"].split())}
    return Key(**values | lists)


def key_of_digest(connection: Connection, tenant: str, digest: bytes) -> Key | None:
    """For EVERY: who shows a key has not said of which tenant. A disabled tenant has none."""
    query = (
        select(keys)
        .join(tenants, tenants.c.tenant == keys.c.tenant)
        .where(keys.c.digest == digest, tenants.c.disabled.is_(None))
    )
    if tenant != "*":
        query = query.where(keys.c.tenant == tenant)
    row = connection.execute(query).mappings().first()
    return None if row is None else _key(row)


def key(connection: Connection, tenant: str, id: str) -> Key | None:
    row = connection.execute(select(keys).where(keys.c.tenant == tenant, keys.c.id == id)).mappings().first()
    return None if row is None else _key(row)


def all_keys(
    connection: Connection, tenant: str, *, user: str = "", project: str = "", after: str = "", limit: int = 100
) -> list[Key]:
    """Of a user, of a project, or of all."""
    query = select(keys).where(keys.c.tenant == tenant, keys.c.id > after).order_by(keys.c.id).limit(limit)
    if user:
        query = query.where(keys.c.user == user)
    if project:
        query = query.where(keys.c.project == project)
    return [_key(row) for row in connection.execute(query).mappings()]


def revoke_key(connection: Connection, tenant: str, id: str, at: int) -> bool:
    query = update(keys).where(keys.c.tenant == tenant, keys.c.id == id, keys.c.revoked.is_(None))
    return connection.execute(query.values(revoked=at)).rowcount == 1


def set_models(connection: Connection, tenant: str, id: str, models: tuple[str, ...]) -> bool:
    query = update(keys).where(keys.c.tenant == tenant, keys.c.id == id)
    return connection.execute(query.values(models=" ".join(models))).rowcount == 1


def has_keys(connection: Connection, tenant: str) -> bool:
    return connection.execute(select(keys.c.id).where(keys.c.tenant == tenant).limit(1)).first() is not None


# The issuer


def add_issuer_key(connection: Connection, tenant: str, id: str, *, created: int, public: str, private: bytes) -> None:
    """Of the installation: for EVERY only."""
    connection.execute(insert(issuer_keys).values(id=id, created=created, public=public, private=private))


def all_issuer_keys(connection: Connection, tenant: str) -> list[tuple[str, int, str, bytes]]:
    """(id, created, public JWK, sealed private JWK), newest first."""
    rows = connection.execute(select(issuer_keys).order_by(issuer_keys.c.created.desc(), issuer_keys.c.id)).all()
    return [(row.id, row.created, row.public, row.private) for row in rows]
