"""What requests and answers of identity look like over HTTP. No shape holds a secret but those that show one once."""

from typing import Annotated, Self

from pydantic import Field

from perdure.ports.shapes import Line, Shape, maybe, moment
from perdure.services.identity.models import Key, Project, Role, SignIn, Tenant, User
from perdure.services.identity.sessions import Granted

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=Line, examples=["Support"])]
Label = Annotated[str, Field(min_length=1, max_length=63, pattern=Line, examples=["support"])]
Password = Annotated[str, Field(min_length=1, max_length=1024)]


Models = Annotated[
    list[Annotated[str, Field(max_length=200, pattern=r"^[\x21-\x7e]+$", examples=["openai/*"])]],
    Field(max_length=50, description="Patterns of the models that it may use; empty: every model."),
]


class NewKey(Shape):
    name: Name
    role: Role
    permissions: list[Annotated[str, Field(max_length=50, pattern=Line)]] = Field(default=[], max_length=50)
    project: Annotated[str, Field(max_length=63, pattern=Line)] = ""
    days: Annotated[int, Field(ge=0, le=3650, description="Days until it expires; 0: never.")] = 0
    models: Models = []


class KeyChange(Shape):
    models: Models


class OwnKey(Shape):
    name: Name
    days: Annotated[int, Field(ge=1, le=365, description="Days until it expires.")] = 30


class NewTenant(Shape):
    id: Label
    name: Name


class NewProject(Shape):
    id: Label
    name: Name


class NewUser(Shape):
    email: Annotated[str, Field(min_length=3, max_length=254, pattern=Line, examples=["ana@example.com"])]
    name: Annotated[str, Field(max_length=200, pattern=Line)] = ""
    role: Role
    password: Annotated[str | None, Field(max_length=1024, description="Absent: signs in through a provider.")] = None


class UserChange(Shape):
    role: Role | None = None
    disabled: bool | None = None


class TenantChange(Shape):
    disabled: bool


class PasswordChange(Shape):
    password: Password
    current: Annotated[str | None, Field(max_length=1024)] = None


class Code(Shape):
    code: Annotated[str, Field(min_length=6, max_length=10)]


class SignInRequest(Shape):
    tenant: Label = "default"
    email: Annotated[str, Field(max_length=254, pattern=Line)]
    password: Password
    code: Annotated[str, Field(max_length=10)] = ""


class RefreshRequest(Shape):
    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class SignOutRequest(Shape):
    everywhere: bool = False


class TenantShape(Shape):
    id: str
    name: str
    created: str
    disabled: str | None

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        return cls(id=tenant.id, name=tenant.name, created=moment(tenant.created), disabled=maybe(tenant.disabled))


class ProjectShape(Shape):
    id: str
    name: str
    created: str

    @classmethod
    def of(cls, project: Project) -> Self:
        return cls(id=project.id, name=project.name, created=moment(project.created))


class UserShape(Shape):
    id: str
    email: str
    name: str
    role: Role
    created: str
    disabled: str | None
    has_password: bool
    has_totp: bool

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(
            id=user.id, email=user.email, name=user.name, role=user.role, created=moment(user.created),
            disabled=maybe(user.disabled), has_password=user.has_password, has_totp=user.has_totp,
        )  # fmt: skip


class KeyShape(Shape):
    id: str
    name: str
    role: Role
    permissions: list[str]
    project: str
    user: Annotated[str, Field(description="Whose own key it is; empty: of the tenant.")]
    models: Models
    ending: Annotated[str, Field(description="The last four characters of its secret.")]
    created: str
    created_by: str
    expires: str | None
    revoked: str | None

    @classmethod
    def of(cls, key: Key) -> Self:
        return cls(
            id=key.id, name=key.name, role=key.role, permissions=sorted(key.permissions), project=key.project,
            user=key.user, models=list(key.models), ending=key.ending, created=moment(key.created),
            created_by=key.created_by, expires=maybe(key.expires), revoked=maybe(key.revoked),
        )  # fmt: skip


class KeyOnce(Shape):
    key: KeyShape
    secret: Annotated[str, Field(description="Shown this once.")]


class TenantOnce(Shape):
    tenant: TenantShape
    owner_key: Annotated[str, Field(description="Shown this once.")]


class GrantedShape(Shape):
    access_token: str
    refresh_token: str
    token_type: str = "Bearer"
    expires_in: int

    @classmethod
    def of(cls, granted: Granted) -> Self:
        return cls(access_token=granted.access, refresh_token=granted.secret, expires_in=granted.seconds)


class TotpShape(Shape):
    address: Annotated[str, Field(description="The `otpauth:` address for an authenticator. Shown this once.")]


class Me(Shape):
    tenant: str
    subject: str
    project: str
    roles: list[str]
    permissions: list[str]
    signed_in_by: str


class SignInShape(Shape):
    id: str
    at: str
    subject: str
    how: str
    outcome: str
    address: str
    agent: str

    @classmethod
    def of(cls, made: SignIn) -> Self:
        return cls(
            id=made.id, at=moment(made.at), subject=made.subject, how=made.how, outcome=made.outcome,
            address=made.address, agent=made.agent,
        )  # fmt: skip


class Keys(Shape):
    items: list[KeyShape]
    next: str | None


class Users(Shape):
    items: list[UserShape]
    next: str | None


class Tenants(Shape):
    items: list[TenantShape]
    next: str | None


class Projects(Shape):
    items: list[ProjectShape]
    next: str | None


class SignIns(Shape):
    items: list[SignInShape]
    next: str | None
