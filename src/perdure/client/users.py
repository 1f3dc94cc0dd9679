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


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody signed in, or tried to."""

    id: str
    at: str
    subject: str
    how: str
    outcome: str
    address: str
    agent: str


class Totp(msgspec.Struct, frozen=True):
    """What an authenticator app is shown, this once; it counts from the first code that confirms it."""

    address: str

    def __repr__(self) -> str:
        return "Totp(…)"


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
    """Give a user another password."""
    return call("POST", "users", id, "password", body={"password": password})


def remove_totp(id: str) -> Call[None]:
    """Let a user sign in without the second factor that was lost."""
    return call("DELETE", "users", id, "totp")


def me() -> Call[Me]:
    """Who the server takes you for."""
    return call("GET", "me", answer=Me)


def sign_in(tenant: str, email: str, password: str, *, code: str = "") -> Call[Tokens]:
    """Tokens for a password, and the `code` of a second factor where there is one."""
    body = {"tenant": tenant, "email": email, "password": password, "code": code}
    return call("POST", "auth", "login", body=body, answer=Tokens)


def refresh(token: str) -> Call[Tokens]:
    """Another access token; the refresh token is spent, and another one comes with it."""
    return call("POST", "auth", "refresh", body={"refresh_token": token}, answer=Tokens)


def sign_out(*, everywhere: bool = False) -> Call[None]:
    """End this session, or all of yours."""
    return call("POST", "auth", "logout", body={"everywhere": everywhere})


def change_own_password(password: str, *, current: str) -> Call[None]:
    return call("POST", "me", "password", body={"password": password, "current": current})


def begin_totp() -> Call[Totp]:
    """Begin with a second factor; `confirm_totp` ends it."""
    return call("POST", "me", "totp", answer=Totp)


def confirm_totp(code: str) -> Call[None]:
    """From now on signing in asks for a code of the authenticator app."""
    return call("POST", "me", "totp", "confirm", body={"code": code})


def find_sign_ins(*, limit: int = 100, cursor: str = "") -> Call[Page[SignIn]]:
    """Who signed in, or tried to; the newest first."""
    return call("GET", "sign-ins", query={"limit": limit, "cursor": cursor}, answer=Page[SignIn])
