"""Users of your tenant, and yourself."""

import msgspec

from perdure.client.call import Call, Page, call


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person. Times as RFC 3339."""

    id: str
    email: str
    name: str
    role: str
    created: str
    has_password: bool
    has_totp: bool
    disabled: str | None = None


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who the server takes you for, and what you may do."""

    tenant: str
    subject: str
    project: str
    roles: list[str]
    permissions: list[str]
    signed_in_by: str


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a sign-in gives. `expires_in` in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int

    def __repr__(self) -> str:
        return "Tokens(…)"


def find(*, limit: int = 100, cursor: str = "") -> Call[Page[User]]:
    return call("GET", "users", query={"limit": limit, "cursor": cursor}, answer=Page[User])


def get(id: str) -> Call[User]:
    return call("GET", "users", id, answer=User)


def create(email: str, role: str, *, name: str = "", password: str | None = None) -> Call[User]:
    """Without a password the user signs in through an OpenID provider."""
    body = {"email": email, "role": role, "name": name, "password": password}
    return call("POST", "users", body=body, answer=User)


def change(id: str, *, role: str | None = None, disabled: bool | None = None) -> Call[User]:
    return call("PATCH", "users", id, body={"role": role, "disabled": disabled}, answer=User)


def set_password(id: str, password: str) -> Call[None]:
    return call("POST", "users", id, "password", body={"password": password})


def remove_totp(id: str) -> Call[None]:
    return call("DELETE", "users", id, "totp")


def me() -> Call[Me]:
    return call("GET", "me", answer=Me)


def sign_in(tenant: str, email: str, password: str, *, code: str = "") -> Call[Tokens]:
    body = {"tenant": tenant, "email": email, "password": password, "code": code}
    return call("POST", "auth", "login", body=body, answer=Tokens)


def refresh(token: str) -> Call[Tokens]:
    return call("POST", "auth", "refresh", body={"refresh_token": token}, answer=Tokens)
