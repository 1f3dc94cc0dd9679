"""Queries on sessions, their secrets, and the record of sign-ins. What a caller shows is looked up for the tenant EVERY."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, delete, insert, or_, select, update

from perdure.services.identity.models import Session, SignIn
from perdure.services.identity.store import made, session_secrets, sessions, sign_ins


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
    return None if row is None else (made(Session, row), row["used"])


def session(connection: Connection, tenant: str, id: str) -> Session | None:
    query = select(sessions).where(sessions.c.tenant == tenant, sessions.c.id == id)
    row = connection.execute(query).mappings().first()
    return None if row is None else made(Session, row)


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
    return [made(SignIn, row) for row in connection.execute(query).mappings()]


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
