"""What identity tells others. Past tense, versioned; a listener of another service may import this file and nothing else."""

from typing import Any

from perdure.ports.database import Told
from perdure.services.identity.models import Key, User

TENANT_CREATED = "dev.perdure.tenant.created.v1"
TENANT_CHANGED = "dev.perdure.tenant.changed.v1"
KEY_CREATED = "dev.perdure.key.created.v1"
KEY_CHANGED = "dev.perdure.key.changed.v1"
KEY_REVOKED = "dev.perdure.key.revoked.v1"
USER_CREATED = "dev.perdure.user.created.v1"
USER_CHANGED = "dev.perdure.user.changed.v1"
SESSION_REUSED = "dev.perdure.session.reused.v1"


def tenant_changed(tenant: str, *, disabled: bool) -> Told:
    return Told(type=TENANT_CHANGED, subject=tenant, data={"tenant": tenant, "disabled": disabled})


def key_created(key: Key) -> Told:
    data: dict[str, Any] = {"key": key.id, "name": key.name, "role": key.role, "by": key.created_by}
    return Told(type=KEY_CREATED, subject=key.id, data=data)


def key_changed(key: Key, by: str) -> Told:
    data: dict[str, Any] = {"key": key.id, "models": list(key.models), "by": by}
    return Told(type=KEY_CHANGED, subject=key.id, data=data)


def key_revoked(key: str, by: str) -> Told:
    return Told(type=KEY_REVOKED, subject=key, data={"key": key, "by": by})


def user_created(user: User, by: str) -> Told:
    return Told(type=USER_CREATED, subject=user.id, data={"user": user.id, "role": user.role, "by": by})


def user_changed(user: str, what: str, by: str) -> Told:
    """`what`: `role`, `disabled`, `enabled`, `password`, `totp`."""
    return Told(type=USER_CHANGED, subject=user, data={"user": user, "what": what, "by": by})


def session_reused(session: str, user: str) -> Told:
    """A refresh token was shown twice: one of the two was stolen, so the session is over (RFC 9700, 4.14.2)."""
    return Told(type=SESSION_REUSED, subject=session, data={"session": session, "user": user})
