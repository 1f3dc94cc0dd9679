"""The tables of identity and every query on them. Each takes a connection and a tenant.

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
    Select,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)

from perdure.services.identity.models import PENDING, Key, Project, Session, SignIn, Tenant, User

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


def _made(kind: Any, row: RowMapping) -> Any:
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
    return None if row is None else _made(Project, row)


def all_projects(connection: Connection, tenant: str, *, after: str = "", limit: int = 100) -> list[Project]:
    query = select(projects).where(projects.c.tenant == tenant, projects.c.id > after)
    return [_made(Project, row) for row in connection.execute(query.order_by(projects.c.id).limit(limit)).mappings()]


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


# Sessions


def add_session(connection: Connection, tenant: str, made: Session, digest: bytes) -> None:
    connection.execute(insert(sessions).values(**msgspec.structs.asdict(made) | {"tenant": tenant}))
    add_session_secret(connection, tenant, made.id, digest)


def add_session_secret(
    connection: Connection, tenant: str, session: str, digest: bytes, *, parent: bytes | None = None
) -> None:
    """`parent`: the digest of the refresh token in whose place this one comes."""
    values = {"digest": digest, "tenant": tenant, "session": session, "parent": parent}
    connection.execute(insert(session_secrets).values(**values))


def is_forked(connection: Connection, tenant: str, digest: bytes) -> bool:
    """Whether another token that came in the place of the same one was used: then two hold copies of it."""
    own = select(session_secrets.c.parent).where(
        session_secrets.c.digest == digest, session_secrets.c.tenant == tenant, session_secrets.c.parent.is_not(None)
    )
    query = _used_child(tenant).where(
        session_secrets.c.digest != digest, session_secrets.c.parent == own.scalar_subquery()
    )
    return connection.execute(query.limit(1)).first() is not None


def is_followed(connection: Connection, tenant: str, digest: bytes) -> bool:
    """Whether a token that came in the place of this one was used."""
    query = _used_child(tenant).where(session_secrets.c.parent == digest)
    return connection.execute(query.limit(1)).first() is not None


def _used_child(tenant: str) -> Select[tuple[Any]]:
    return select(session_secrets.c.digest).where(
        session_secrets.c.tenant == tenant, session_secrets.c.used.is_not(None)
    )


def session_of_digest(connection: Connection, tenant: str, digest: bytes) -> tuple[Session, int | None] | None:
    """For EVERY, as keys: the session, and when this secret of it was used up."""
    query = (
        select(sessions, session_secrets.c.used)
        .join(
            session_secrets,
            and_(session_secrets.c.tenant == sessions.c.tenant, session_secrets.c.session == sessions.c.id),
        )
        .where(session_secrets.c.digest == digest)
    )
    if tenant != "*":
        query = query.where(sessions.c.tenant == tenant)
    row = connection.execute(query).mappings().first()
    return None if row is None else (_made(Session, row), row["used"])


def session(connection: Connection, tenant: str, id: str) -> Session | None:
    query = select(sessions).where(sessions.c.tenant == tenant, sessions.c.id == id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _made(Session, row)


def use_session_secret(connection: Connection, tenant: str, digest: bytes, at: int) -> bool:
    """Use up a refresh token. False when it was used before: two cannot both win."""
    query = update(session_secrets).where(
        session_secrets.c.digest == digest, session_secrets.c.tenant == tenant, session_secrets.c.used.is_(None)
    )
    return connection.execute(query.values(used=at)).rowcount == 1


def end_sessions(connection: Connection, tenant: str, at: int, *, session: str = "", user: str = "") -> None:
    """End one session, or all of a user."""
    query = update(sessions).where(sessions.c.tenant == tenant, sessions.c.ended.is_(None))
    query = query.where(sessions.c.id == session) if session else query.where(sessions.c.user == user)
    connection.execute(query.values(ended=at))


def forget_sessions(connection: Connection, tenant: str, before: int) -> None:
    """For EVERY: drop what has ended or expired before a time."""
    old = select(sessions.c.tenant, sessions.c.id).where(or_(sessions.c.expires < before, sessions.c.ended < before))
    if tenant != "*":
        old = old.where(sessions.c.tenant == tenant)
    for row in connection.execute(old.limit(1000)).all():
        match = and_(session_secrets.c.tenant == row.tenant, session_secrets.c.session == row.id)
        connection.execute(delete(session_secrets).where(match))
        connection.execute(delete(sessions).where(sessions.c.tenant == row.tenant, sessions.c.id == row.id))


# The record of sign-ins


def add_sign_in(connection: Connection, tenant: str, made: SignIn) -> None:
    connection.execute(insert(sign_ins).values(**msgspec.structs.asdict(made) | {"tenant": tenant}))


def all_sign_ins(connection: Connection, tenant: str, *, before: str = "", limit: int = 100) -> list[SignIn]:
    """Newest first."""
    query = select(sign_ins).where(sign_ins.c.tenant == tenant)
    if before:
        query = query.where(sign_ins.c.id < before)
    query = query.order_by(sign_ins.c.id.desc()).limit(limit)
    return [_made(SignIn, row) for row in connection.execute(query).mappings()]


def failures(connection: Connection, tenant: str, subject: str, since: int) -> list[str]:
    """The addresses of refused password sign-ins of a subject since a time, at most 1,000."""
    query = _tries(tenant, subject, "denied", since)
    return [row.address for row in connection.execute(query.limit(1000)).all()]


def has_come_from(connection: Connection, tenant: str, subject: str, address: str, since: int) -> bool:
    """Whether a password sign-in of a subject from an address was granted since a time."""
    query = _tries(tenant, subject, "granted", since).where(sign_ins.c.address == address)
    return connection.execute(query.limit(1)).first() is not None


def _tries(tenant: str, subject: str, outcome: str, since: int) -> Select[tuple[str]]:
    return select(sign_ins.c.address).where(
        sign_ins.c.tenant == tenant, sign_ins.c.subject == subject, sign_ins.c.how == "password",
        sign_ins.c.outcome == outcome, sign_ins.c.at >= since,
    )  # fmt: skip


def forget_sign_ins(connection: Connection, tenant: str, before: int) -> None:
    """For EVERY: drop what was tried before a time."""
    old = select(sign_ins.c.tenant, sign_ins.c.id).where(sign_ins.c.at < before)
    if tenant != "*":
        old = old.where(sign_ins.c.tenant == tenant)
    for row in connection.execute(old.limit(10_000)).all():
        connection.execute(delete(sign_ins).where(sign_ins.c.tenant == row.tenant, sign_ins.c.id == row.id))


# The issuer


def add_issuer_key(connection: Connection, tenant: str, id: str, *, created: int, public: str, private: bytes) -> None:
    """Of the installation: for EVERY only."""
    connection.execute(insert(issuer_keys).values(id=id, created=created, public=public, private=private))


def all_issuer_keys(connection: Connection, tenant: str) -> list[tuple[str, int, str, bytes]]:
    """(id, created, public JWK, sealed private JWK), newest first."""
    rows = connection.execute(select(issuer_keys).order_by(issuer_keys.c.created.desc(), issuer_keys.c.id)).all()
    return [(row.id, row.created, row.public, row.private) for row in rows]
