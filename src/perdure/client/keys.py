"""API keys of your tenant."""

import msgspec

from perdure.client.call import Call, Page, call


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times as RFC 3339."""

    id: str
    name: str
    role: str
    permissions: list[str]
    project: str
    user: str
    models: list[str] = []
    """Patterns of the models that it may use; empty: every model."""
    ending: str
    created: str
    created_by: str
    expires: str | None = None
    revoked: str | None = None


class NewKey(msgspec.Struct, frozen=True):
    """A key and its secret, which is shown this once."""

    key: Key
    secret: str


def find(*, limit: int = 100, cursor: str = "") -> Call[Page[Key]]:
    return call("GET", "keys", query={"limit": limit, "cursor": cursor}, answer=Page[Key])


def get(id: str) -> Call[Key]:
    return call("GET", "keys", id, answer=Key)


def create(
    name: str, role: str, *, permissions: list[str] | None = None, project: str = "", days: int = 0,
    models: list[str] | None = None,
) -> Call[NewKey]:  # fmt: skip
    """`days` until it expires; 0: never. `models`: patterns of those that it may use (`openai/*`); none: every model."""
    body = {
        "name": name, "role": role, "permissions": permissions or [], "project": project, "days": days,
        "models": models or [],
    }  # fmt: skip
    return call("POST", "keys", body=body, answer=NewKey)


def change(id: str, *, models: list[str]) -> Call[Key]:
    """Other models that it may use; none: every model."""
    return call("PATCH", "keys", id, body={"models": models}, answer=Key)


def revoke(id: str) -> Call[Key]:
    """End a key; it is refused within seconds."""
    return call("DELETE", "keys", id, answer=Key)


def find_own(*, limit: int = 100, cursor: str = "") -> Call[Page[Key]]:
    """Keys of your own."""
    return call("GET", "me", "keys", query={"limit": limit, "cursor": cursor}, answer=Page[Key])


def revoke_own(id: str) -> Call[Key]:
    return call("DELETE", "me", "keys", id, answer=Key)


def create_own(name: str, *, days: int = 30) -> Call[NewKey]:
    """A key of your own. Signed in with a password only."""
    return call("POST", "me", "keys", body={"name": name, "days": days}, answer=NewKey)
