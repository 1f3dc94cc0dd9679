"""What a route of any service says about itself, and what it learns about who calls.

The gateway enforces the permission before it reads the body (`gateway/auth.py`); a route without one, and not declared
public, fails start-up. No decisions here.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

CALLER = "perdure.caller"
"""Where the gateway puts the Caller: `request.scope[CALLER]`."""
STREAM = "perdure.stream"
"""Where the gateway puts what answers with server-sent events."""
PERMISSION = "x-perdure-permission"
PROJECT = "x-perdure-project"
PUBLIC = "x-perdure-public"
LIMIT = "x-perdure-limit"
"""For `openapi_extra`: the class of rate limits that a route counts in (`read`, `write`, `run`, `stream`, `sign-in`, or `none`)."""
BODY = "x-perdure-body"
"""For `openapi_extra`: the largest body in bytes, where it differs from the default."""
IDEMPOTENCY = "x-perdure-idempotency"
"""For `openapi_extra`: `own` where the service itself makes a repeated POST with one `Idempotency-Key` one; `secret` where
the answer shows a secret once, and is therefore not kept for a repetition."""
LOCAL = "x-perdure-local"
"""For `openapi_extra`: true where callers on this very machine need not sign in."""
PROBLEMS = "x-perdure-problems"
"""For `openapi_extra`: the name of the form in which errors of this route are told, where it is not problem+json; the
gateway is handed the forms by name."""
SELF = "self"
"""The permission that everybody who has signed in has."""

Idempotency = Literal["kept", "own", "secret"]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, as the gateway has verified it. Nothing of it comes from the body or the path."""

    tenant: str
    subject: str
    """A user, or `key:<id>` of an API key."""
    roles: frozenset[str] = frozenset()
    """The role that the caller has, and those that it holds."""
    permissions: frozenset[str] = frozenset()
    project: str = ""
    """The only one that the caller finds anything of; empty: every project of the tenant."""
    key: str = ""
    """The id of the API key that was used, or empty."""
    models: tuple[str, ...] = ()
    """Patterns of the models that the key may use, itself and through the runs that it starts; empty: every model."""
    by: str = ""
    """How: `key`, `session`, `token`."""
    email: str = ""
    """The caller's verified e-mail address in lower case, where it is known: questions may name people by it."""


def permission(name: str, *, project: bool = False) -> dict[str, Any]:
    """For `openapi_extra`: callers need this permission (`runs:write`). `project`: the route keeps those who are bound to a
    project within it; from every other route they are turned away."""
    return {PERMISSION: name, PROJECT: True} if project else {PERMISSION: name}


def public(why: str) -> dict[str, Any]:
    """For `openapi_extra`: nobody need sign in, and why that is safe."""
    return {PUBLIC: why}


def caller(request: Request) -> Caller:
    """Dependency of routes: who calls."""
    found: Caller = request.scope[CALLER]
    return found


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One server-sent event. A client that reconnects names the last `id` it saw."""

    data: bytes
    event: str = ""
    id: str = ""


Follow = Callable[[str], AsyncIterator[Sent]]
"""From the last id that a client saw (empty: from the beginning) to the events after it."""


def stream(request: Request, follow: Follow) -> Response:
    """The answer of a route that streams: heartbeats, slow readers and shutdown are the gateway's.

    Look first whether the thing to follow is there: once the answer has begun, an error of `follow` can only end it.
    """
    respond: Callable[[Request, Follow], Response] = request.scope[STREAM]
    return respond(request, follow)
