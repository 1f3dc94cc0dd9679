"""Tenants of an installation, and the projects of your own tenant."""

import msgspec

from perdure.client.call import Call, Page, call


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Times as RFC 3339."""

    id: str
    name: str
    created: str
    disabled: str | None = None


class NewTenant(msgspec.Struct, frozen=True):
    """A tenant and its owner key, which is shown this once."""

    tenant: Tenant
    owner_key: str


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a tenant, to which keys can be bound."""

    id: str
    name: str
    created: str


def find(*, limit: int = 100, cursor: str = "") -> Call[Page[Tenant]]:
    return call("GET", "tenants", query={"limit": limit, "cursor": cursor}, answer=Page[Tenant])


def get(id: str) -> Call[Tenant]:
    return call("GET", "tenants", id, answer=Tenant)


def create(id: str, name: str) -> Call[NewTenant]:
    return call("POST", "tenants", body={"id": id, "name": name}, answer=NewTenant)


def disable(id: str, *, disabled: bool = True) -> Call[Tenant]:
    return call("PATCH", "tenants", id, body={"disabled": disabled}, answer=Tenant)


def find_projects(*, limit: int = 100, cursor: str = "") -> Call[Page[Project]]:
    return call("GET", "projects", query={"limit": limit, "cursor": cursor}, answer=Page[Project])


def get_project(id: str) -> Call[Project]:
    return call("GET", "projects", id, answer=Project)


def create_project(id: str, name: str) -> Call[Project]:
    return call("POST", "projects", body={"id": id, "name": name}, answer=Project)
