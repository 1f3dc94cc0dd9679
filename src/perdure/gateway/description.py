"""The OpenAPI document: made from the routes when somebody first asks, and kept as bytes."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from perdure.gateway.auth import COOKIE
from perdure.ports.edge import BODY, IDEMPOTENCY, LIMIT, LOCAL, PERMISSION, PROBLEMS, PUBLIC, public

_INNER = (BODY, IDEMPOTENCY, LIMIT, LOCAL, PROBLEMS)
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_SCHEMES: dict[str, Any] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of an OpenID provider, or an API key."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: for programs."},
        "detail": {"type": "string", "description": "One sentence for people; may change."},
        "hint": {"type": "string"},
        "request": {"type": "string", "description": "The id under which the log has more."},
        "errors": {"type": "array", "items": {"type": "object"}},
        "details": {"type": "object"},
    },
}
_PROBLEMS = {
    400: "The request cannot be read.",
    401: "Say who you are first.",
    403: "You may not do this.",
    404: "There is no such thing here.",
    409: "The thing is not in a state that allows this.",
    412: "It has changed since you read it.",
    413: "The body is too large.",
    415: "The body is not of an accepted type.",
    422: "What was given does not fit; nothing was done.",
    429: "A limit or a budget is used up.",
    503: "A part that is needed cannot be reached now.",
}
_WITH_BODY_ONLY = frozenset({413, 415})
_CHANGES = frozenset({"patch", "put", "delete"})


class Description:
    """Built once, in a thread: it takes a while and nobody should wait for it at start."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        self._made: dict[str, Any] | None = None
        self._bytes = b""
        self._making = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Description({'made' if self._made else 'not made yet'})"

    def document(self) -> dict[str, Any]:
        if self._made is None:
            self._made = _finished(self._api)
        return self._made

    def router(self) -> APIRouter:
        routes = APIRouter(include_in_schema=False)

        @routes.get("/openapi.json", openapi_extra=public("What the API is like is no secret."))
        async def openapi(request: Request) -> Response:
            async with self._making:
                if not self._bytes:
                    self._bytes = msgspec.json.encode(await asyncio.to_thread(self.document))
            return Response(self._bytes, media_type="application/json")

        return routes


def _finished(api: FastAPI) -> dict[str, Any]:
    document = api.openapi()
    _add_plain(api, document)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas["Problem"] = _PROBLEM
    document["components"]["securitySchemes"] = _SCHEMES
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in _METHODS:
                _finish(method, operation)
    return document


def _add_plain(api: FastAPI, document: dict[str, Any]) -> None:
    """Plain Starlette routes describe their operation themselves, in `openapi_extra`."""
    for context in iter_route_contexts(api.routes):
        route = context.original_route
        if isinstance(route, APIRoute) or not isinstance(route, Route) or not route.include_in_schema:
            continue
        extra = getattr(route, "openapi_extra", None) or getattr(route.endpoint, "openapi_extra", None) or {}
        if "responses" in extra:
            for method in sorted((context.methods or set()) - {"HEAD"}):
                document["paths"].setdefault(context.path_format, {})[method.lower()] = dict(extra)


def _finish(method: str, operation: dict[str, Any]) -> None:
    for name in _INNER:
        operation.pop(name, None)
    is_public = PUBLIC in operation
    operation["security"] = [] if is_public else [{name: []} for name in _SCHEMES]
    responses = operation.setdefault("responses", {})
    for status, sentence in _PROBLEMS.items():
        if status in {401, 403} and is_public and method == "get":
            continue
        if status == 412 and method not in _CHANGES:
            continue
        if status in _WITH_BODY_ONLY and method in {"get", "head"}:
            continue
        if status == 422 or str(status) not in responses:
            responses[str(status)] = {
                "description": sentence,
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
    if not is_public:
        operation["description"] = (
            operation.get("description", "").rstrip() + f"\n\nNeeds the permission `{operation[PERMISSION]}`."
        ).strip()
