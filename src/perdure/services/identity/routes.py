"""Identity over HTTP: signing in and out, and tenants, projects, users and keys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from perdure.errors import Denied, NotFound
from perdure.ports.edge import IDEMPOTENCY, LIMIT, SELF, Caller, caller, permission, public
from perdure.ports.shapes import page
from perdure.services.identity import shapes
from perdure.services.identity.keys import Keys, Wish
from perdure.services.identity.models import Key, highest
from perdure.services.identity.service import Tenants
from perdure.services.identity.sessions import Sessions, Shown
from perdure.services.identity.tokens import Tokens
from perdure.services.identity.users import Users

COOKIE = "__Host-perdure"
By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=100, description="`next` of the page before.")]
Id = Annotated[str, Path(min_length=1, max_length=64)]
_SIGN_IN = {
    **public("Whoever signs in is not signed in yet; attempts are limited and recorded."),
    LIMIT: "sign-in",
}

_ONCE = {IDEMPOTENCY: "secret"}


def router(tenants: Tenants, keys: Keys, users: Users, sessions: Sessions, tokens: Tokens) -> APIRouter:
    """Everything of identity under one prefix."""
    all_routes = APIRouter()
    for part in (
        _sign_in(sessions, tokens),
        _self(sessions, users),
        _own_keys(keys),
        _keys(keys),
        _users(users),
        _tenants(tenants),
        _projects(tenants),
        _record(sessions),
    ):
        all_routes.include_router(part)
    return all_routes


def _shown(given: shapes.SignInRequest, request: Request) -> Shown:
    return Shown(
        tenant=given.tenant, email=given.email, password=given.password, code=given.code,
        address=request.client.host if request.client else "", agent=request.headers.get("user-agent", ""),
    )  # fmt: skip


def _sign_in(sessions: Sessions, tokens: Tokens) -> APIRouter:
    routes = APIRouter(prefix="/auth", tags=["sign-in"])

    @routes.post("/login", openapi_extra=_SIGN_IN)
    async def login(given: shapes.SignInRequest, request: Request) -> shapes.GrantedShape:
        """Sign in with e-mail address and password, and the code of the second factor where there is one."""
        return shapes.GrantedShape.of(await sessions.sign_in(_shown(given, request), "refresh"))

    @routes.post("/session", status_code=204, openapi_extra=_SIGN_IN)
    async def session(given: shapes.SignInRequest, request: Request, response: Response) -> None:
        """Sign in as a browser: the answer sets a cookie that scripts cannot read."""
        granted = await sessions.sign_in(_shown(given, request), "cookie")
        response.set_cookie(
            COOKIE, granted.secret, max_age=12 * 3600, path="/", secure=True, httponly=True, samesite="strict"
        )

    @routes.post(
        "/refresh", openapi_extra={**public("The refresh token is the proof; it is used up by this."), LIMIT: "sign-in"}
    )
    async def refresh(given: shapes.RefreshRequest) -> shapes.GrantedShape:
        """A new pair of tokens. A refresh token that is shown twice ends its session."""
        return shapes.GrantedShape.of(await sessions.refresh(given.refresh_token))

    @routes.get("/jwks", openapi_extra=public("Public keys (RFC 7517)."))
    async def jwks() -> dict[str, list[dict[str, str]]]:
        """The public keys that verify the access tokens of this installation."""
        return await tokens.jwks()

    return routes


def _self(sessions: Sessions, users: Users) -> APIRouter:
    routes = APIRouter(tags=["sign-in"])
    anybody = permission(SELF)

    @routes.get("/me", openapi_extra=permission(SELF, project=True))
    async def me(by: By) -> shapes.Me:
        """Who you are here, and what you may do."""
        role = highest(by.roles)
        return shapes.Me(
            tenant=by.tenant, subject=by.subject, project=by.project, roles=[role] if role else [],
            permissions=sorted(by.permissions), signed_in_by=by.by,
        )  # fmt: skip

    @routes.post("/auth/logout", status_code=204, openapi_extra=anybody)
    async def logout(given: shapes.SignOutRequest, by: By, request: Request, response: Response) -> None:
        """End this session, or all of yours."""
        found = await sessions.by_session(request.cookies.get(COOKIE, ""))
        session = found[1] if found else await _session_of_token(sessions, request)
        await sessions.sign_out(by, everywhere=given.everywhere, session=session)
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")

    @routes.post("/me/password", status_code=204, openapi_extra=anybody)
    async def password(given: shapes.PasswordChange, by: By) -> None:
        """Another password for yourself. All your sessions end."""
        _person(by)
        await users.set_password(by, by.subject, password=given.password, current=given.current)

    @routes.post("/me/totp", openapi_extra={**anybody, **_ONCE})
    async def totp(by: By) -> shapes.TotpShape:
        """Begin with a second factor; it counts once a code of it was confirmed."""
        _person(by)
        return shapes.TotpShape(address=await users.begin_totp(by))

    @routes.post("/me/totp/confirm", status_code=204, openapi_extra=anybody)
    async def confirm(given: shapes.Code, by: By) -> None:
        """Confirm the second factor with a code of it."""
        _person(by)
        await users.confirm_totp(by, given.code)

    return routes


async def _session_of_token(sessions: Sessions, request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return await sessions.session_of(token) if scheme.lower() == "bearer" else ""


def _person(by: Caller) -> None:
    """A key must not make keys or change passwords: who steals one would keep the door open."""
    _user(by)
    if by.by == "key":
        raise Denied("A key cannot do this.", hint="Sign in with your password.")


def _user(by: Caller) -> None:
    if not by.subject.startswith("usr_"):
        raise Denied("This is about a user who signs in with a password here, and you are none.")


def _own_keys(keys: Keys) -> APIRouter:
    routes = APIRouter(prefix="/me/keys", tags=["keys"])

    @routes.get("", openapi_extra=permission(SELF))
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Keys:
        """Your own keys, without their secrets."""
        _user(by)
        found = await keys.find(by.tenant, user=by.subject, after=cursor, limit=limit)
        return shapes.Keys(items=[shapes.KeyShape.of(key) for key in found], next=page(found, limit))

    @routes.post("", status_code=201, openapi_extra={**permission(SELF), **_ONCE})
    async def create(given: shapes.OwnKey, by: By) -> shapes.KeyOnce:
        """A key of your own: it can do what you can, and nothing once you are shut out."""
        _person(by)
        role = highest(by.roles)
        assert role is not None, "a user has a role"
        wish = Wish(name=given.name, role=role, project=by.project, days=given.days)
        key, secret = await keys.create(by, wish, user=by.subject)
        return shapes.KeyOnce(key=shapes.KeyShape.of(key), secret=secret)

    @routes.delete("/{id}", openapi_extra=permission(SELF))
    async def revoke(id: Id, by: By) -> shapes.KeyShape:
        """End a key of your own."""
        _user(by)
        return shapes.KeyShape.of(await keys.revoke(by, id, user=by.subject))

    return routes


def _keys(keys: Keys) -> APIRouter:
    routes = APIRouter(prefix="/keys", tags=["keys"])

    @routes.get("", openapi_extra=permission("keys:read", project=True))
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Keys:
        """The API keys of your tenant, or of the project that you are bound to, without their secrets."""
        found = await keys.find(by.tenant, project=by.project, after=cursor, limit=limit)
        return shapes.Keys(items=[shapes.KeyShape.of(key) for key in found], next=page(found, limit))

    @routes.post("", status_code=201, openapi_extra={**permission("keys:write", project=True), **_ONCE})
    async def create(given: shapes.NewKey, by: By) -> shapes.KeyOnce:
        """A new key. Its secret is in this answer and nowhere else."""
        wish = Wish(
            name=given.name, role=given.role, permissions=frozenset(given.permissions), project=given.project,
            days=given.days, models=tuple(given.models),
        )  # fmt: skip
        key, secret = await keys.create(by, wish)
        return shapes.KeyOnce(key=shapes.KeyShape.of(key), secret=secret)

    @routes.get("/{id}", openapi_extra=permission("keys:read", project=True))
    async def get(id: Id, by: By) -> shapes.KeyShape:
        """One key, without its secret."""
        return shapes.KeyShape.of(await _seen(keys, by, id))

    @routes.patch("/{id}", openapi_extra=permission("keys:write", project=True))
    async def change(id: Id, given: shapes.KeyChange, by: By) -> shapes.KeyShape:
        """Other models that a key may use. It counts within seconds; runs that it started keep what they began with."""
        await _seen(keys, by, id)
        return shapes.KeyShape.of(await keys.change(by, id, tuple(given.models)))

    @routes.delete("/{id}", openapi_extra=permission("keys:write", project=True))
    async def revoke(id: Id, by: By) -> shapes.KeyShape:
        """End a key. Every process refuses it within seconds."""
        await _seen(keys, by, id)
        return shapes.KeyShape.of(await keys.revoke(by, id))

    return routes


async def _seen(keys: Keys, by: Caller, id: str) -> Key:
    """A key, for who may see it."""
    found = await keys.get(by.tenant, id)
    if by.project and found.project != by.project:
        raise NotFound(f"There is no key {id!r}.")
    return found


def _users(users: Users) -> APIRouter:
    routes = APIRouter(prefix="/users", tags=["users"])

    @routes.get("", openapi_extra=permission("users:read"))
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Users:
        """The users of your tenant."""
        found = await users.find(by.tenant, after=cursor, limit=limit)
        return shapes.Users(items=[shapes.UserShape.of(user) for user in found], next=page(found, limit))

    @routes.post("", status_code=201, openapi_extra=permission("users:write"))
    async def create(given: shapes.NewUser, by: By) -> shapes.UserShape:
        """A new user, whose role may do no more than you may."""
        made = await users.create(by, email=given.email, name=given.name, role=given.role, password=given.password)
        return shapes.UserShape.of(made)

    @routes.get("/{id}", openapi_extra=permission("users:read"))
    async def get(id: Id, by: By) -> shapes.UserShape:
        """One user."""
        return shapes.UserShape.of(await users.get(by.tenant, id))

    @routes.patch("/{id}", openapi_extra=permission("users:write"))
    async def change(id: Id, given: shapes.UserChange, by: By) -> shapes.UserShape:
        """Another role, or shut out; all sessions of the user end."""
        return shapes.UserShape.of(await users.change(by, id, role=given.role, disabled=given.disabled))

    @routes.post("/{id}/password", status_code=204, openapi_extra=permission("users:write"))
    async def password(id: Id, given: shapes.PasswordChange, by: By) -> None:
        """A new password for a user; all his sessions end."""
        await users.set_password(by, id, password=given.password, current=given.current)

    @routes.delete("/{id}/totp", status_code=204, openapi_extra=permission("users:write"))
    async def remove_totp(id: Id, by: By) -> None:
        """Remove the second factor of a user who lost his device."""
        await users.remove_totp(by, id)

    return routes


def _tenants(tenants: Tenants) -> APIRouter:
    routes = APIRouter(prefix="/tenants", tags=["tenants"])

    @routes.get("", openapi_extra=permission("installation:read"))
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Tenants:
        """The tenants of the installation."""
        found = await tenants.find(by, after=cursor, limit=limit)
        return shapes.Tenants(items=[shapes.TenantShape.of(one) for one in found], next=page(found, limit))

    @routes.post("", status_code=201, openapi_extra={**permission("installation:write"), **_ONCE})
    async def create(given: shapes.NewTenant, by: By) -> shapes.TenantOnce:
        """A new tenant. Its owner key is in this answer and nowhere else."""
        made, secret = await tenants.create(by, given.id, given.name)
        return shapes.TenantOnce(tenant=shapes.TenantShape.of(made), owner_key=secret)

    @routes.get("/{id}", openapi_extra=permission("tenants:read"))
    async def get(id: Id, by: By) -> shapes.TenantShape:
        """Your tenant; of another one only who may see all."""
        if id != by.tenant and "installation:read" not in by.permissions:
            raise NotFound(f"There is no tenant {id!r}.")
        return shapes.TenantShape.of(await tenants.get(id))

    @routes.patch("/{id}", openapi_extra=permission("installation:write"))
    async def change(id: Id, given: shapes.TenantChange, by: By) -> shapes.TenantShape:
        """Keep everybody of a tenant out, or let them in again. Its runs go on."""
        return shapes.TenantShape.of(await tenants.disable(by, id, disabled=given.disabled))

    return routes


def _projects(tenants: Tenants) -> APIRouter:
    routes = APIRouter(prefix="/projects", tags=["tenants"])

    @routes.get("", openapi_extra=permission("tenants:read"))
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Projects:
        """The projects of your tenant."""
        found = await tenants.find_projects(by.tenant, after=cursor, limit=limit)
        return shapes.Projects(items=[shapes.ProjectShape.of(one) for one in found], next=page(found, limit))

    @routes.post("", status_code=201, openapi_extra=permission("tenants:write"))
    async def create(given: shapes.NewProject, by: By) -> shapes.ProjectShape:
        """A new project, to which keys can be bound."""
        return shapes.ProjectShape.of(await tenants.create_project(by.tenant, given.id, given.name))

    @routes.get("/{id}", openapi_extra=permission("tenants:read"))
    async def get(id: Id, by: By) -> shapes.ProjectShape:
        """One project."""
        return shapes.ProjectShape.of(await tenants.get_project(by.tenant, id))

    return routes


def _record(sessions: Sessions) -> APIRouter:
    routes = APIRouter(prefix="/sign-ins", tags=["sign-in"])

    @routes.get("", openapi_extra=permission("audit:read"))
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.SignIns:
        """The record of sign-ins of your tenant, newest first."""
        found = await sessions.find_sign_ins(by.tenant, before=cursor, limit=limit)
        return shapes.SignIns(items=[shapes.SignInShape.of(one) for one in found], next=page(found, limit))

    return routes
