"""What a route of any service says about itself, and what it learns about who calls.

The gateway enforces the permission before it reads the body (`gateway/auth.py`); a route without one, and not declared
public, fails start-up. No decisions here.
"""

from typing import Any

import msgspec
from starlette.requests import Request

CALLER = "perdure.caller"
"""Where the gateway puts the Caller: `request.scope[CALLER]`."""
PERMISSION = "x-perdure-permission"
PUBLIC = "x-perdure-public"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, as the gateway has verified it. Nothing of it comes from the body or the path."""

    tenant: str
    subject: str
    """A user, or `key:<id>` of an API key."""
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    project: str = ""
    """Empty: every project of the tenant."""
    key: str = ""
    """The id of the API key that was used, or empty."""
    by: str = ""
    """How: `key`, `session`, `token`."""


def permission(name: str) -> dict[str, Any]:
    """For `openapi_extra`: callers need this permission (`runs:write`)."""
    return {PERMISSION: name}


def public(why: str) -> dict[str, Any]:
    """For `openapi_extra`: nobody need sign in, and why that is safe."""
    return {PUBLIC: why}


def caller(request: Request) -> Caller:
    """Dependency of routes: who calls."""
    found: Caller = request.scope[CALLER]
    return found
