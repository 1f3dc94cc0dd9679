"""The table of all routes: what each asks of its caller, and which one a request means.

The walk sees every route, also those of included routers and plain Starlette routes and mounts; one that states neither
a permission nor why it is public fails start-up (security.md, rule 3). The same entry is authorised and then called, so
the two can never disagree.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin
from urllib.parse import unquote_plus

from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.errors import Bug, Denied
from perdure.gateway.exchange import exchange
from perdure.gateway.problems import Refused
from perdure.ports.edge import (
    BODY,
    IDEMPOTENCY,
    LIMIT,
    LOCAL,
    PERMISSION,
    PROBLEMS,
    PROJECT,
    PUBLIC,
    SELF,
    Caller,
    Idempotency,
)

_MOST_RECENT = 2048
_LONGEST_RECENT = 200
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One route: a path with its methods, and what the edge must know of it."""

    path: str
    """As written: `/api/v1/runs/{id}`. The name of the route in metrics and logs."""
    methods: frozenset[str]
    """Empty: any, as for mounts."""
    permission: str
    """Empty: public."""
    project: bool
    """Whether it keeps those who are bound to a project within it."""
    limit: str
    """The class of rate limits it counts in; empty: chosen by method."""
    body: int
    """Largest body in bytes; 0: the default."""
    needs_body: bool
    """Where FastAPI does not see to it: the route reads the body itself and says that it is required."""
    idempotency: Idempotency
    media: frozenset[str]
    """Content types that a body may have; empty: none is accepted."""
    local: bool
    """Callers on this machine need not sign in."""
    problems: str
    """The form of its errors; empty: problem+json."""
    context: RouteContext
    pattern: Any = None
    """The compiled path, for paths with parameters."""
    convertors: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[tuple[str, int], ...] = ()
    """Where each parameter stands among the segments, where all of them are whole segments."""
    single: frozenset[str] = frozenset()
    """Query parameters that have one value."""
    direct: Callable[[Request], Any] | None = None
    """The endpoint itself, where it asks for nothing but the request: FastAPI would only add time."""

    @property
    def is_public(self) -> bool:
        return not self.permission

    def check(self, caller: Caller) -> None:
        """Denied to who may not call it."""
        if self.permission not in ("", SELF) and self.permission not in caller.permissions:
            raise Denied("You may not do this.", hint=f"It needs the permission {self.permission}.")
        if caller.project and self.permission and not self.project:
            raise Denied(
                f"You are bound to the project {caller.project}, and this is about the whole tenant.",
                hint="Use a key that is bound to no project.",
            )

    def limit_class(self, method: str) -> str:
        if self.limit:
            return self.limit
        return "public" if self.is_public else "read" if method in _READS else "write"


class Table:
    """All entries, found by the segments of a path; literal segments go before parameters."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self.entries = tuple(_walk(routes))
        self._exact: dict[str, list[Entry]] = {}
        self._tree: dict[Any, Any] = {}
        self._tails: list[Entry] = []
        self._recent: dict[tuple[str, str], tuple[Entry, dict[str, Any]]] = {}
        for entry in self.entries:
            self._add(entry)

    def __repr__(self) -> str:
        return f"Table({len(self.entries)} routes)"

    def _add(self, entry: Entry) -> None:
        if entry.pattern is None:
            self._exact.setdefault(entry.path, []).append(entry)
        elif ":path}" in entry.path or isinstance(entry.context.original_route, Mount):
            self._tails.append(entry)
        else:
            node: dict[Any, Any] = self._tree
            for segment in entry.path.split("/"):
                node = node.setdefault("{}" if "{" in segment else segment, {})
            node.setdefault(_HERE, []).append(entry)

    def find(self, method: str, path: str) -> tuple[Entry | None, dict[str, Any], frozenset[str]]:
        """The entry and its path parameters; without one, the methods that the path would allow."""
        known = self._recent.get((method, path))
        if known is not None:
            return known[0], dict(known[1]), _NONE
        allowed: set[str] = set()
        segments = path.split("/")
        for entry in self._candidates(path, segments):
            parameters = _parameters(entry, path, segments)
            if parameters is None:
                continue
            if not entry.methods or method in entry.methods or (method == "HEAD" and "GET" in entry.methods):
                if len(self._recent) >= _MOST_RECENT:
                    self._recent.clear()
                if len(path) <= _LONGEST_RECENT:
                    self._recent[method, path] = entry, parameters
                return entry, dict(parameters), _NONE
            allowed |= entry.methods
        return None, {}, frozenset(allowed)

    def _candidates(self, path: str, segments: list[str]) -> list[Entry]:
        exact = self._exact.get(path)
        if exact is not None:
            return exact  # `bulk` is no id, whatever the method
        found: list[Entry] = []
        _descend(self._tree, segments, 0, found)
        return found + self._tails


_HERE = object()
_NONE: frozenset[str] = frozenset()


def _descend(node: Any, segments: list[str], at: int, found: list[Entry]) -> None:
    """Into `found`, those with more literal segments first."""
    while at < len(segments):
        literal, parameter = node.get(segments[at]), node.get("{}")
        at += 1
        if literal is not None and parameter is not None:
            _descend(literal, segments, at, found)
            literal = None
        node = parameter if literal is None else literal
        if node is None:
            return
    found.extend(node.get(_HERE, ()))


def _parameters(entry: Entry, path: str, segments: list[str]) -> dict[str, Any] | None:
    if entry.places:
        found = {name: segments[at] for name, at in entry.places}
        return found if all(found.values()) else None
    if entry.pattern is None:
        return {}
    matched = entry.pattern.match(path)
    if matched is None:
        return None
    try:
        return {name: entry.convertors[name].convert(value) for name, value in matched.groupdict().items()}
    except ValueError:
        return None


def _places(path: str, convertors: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    segments = path.split("/")
    if not all(f"{{{name}}}" in segments for name in convertors):
        return ()
    return tuple((name, segments.index(f"{{{name}}}")) for name in convertors)


def _walk(routes: Sequence[BaseRoute]) -> Iterator[Entry]:
    for context in iter_route_contexts(routes):
        if context.path is None or not isinstance(context.original_route, Route | Mount):
            raise Bug(
                f"The gateway cannot guard {context.original_route!r}: only HTTP routes and mounts have a place in it."
            )
        yield _entry(context)


def _entry(context: RouteContext) -> Entry:
    path = context.path or ""
    extra = _extra(context)
    permission, why = extra.get(PERMISSION, ""), extra.get(PUBLIC, "")
    if bool(permission) == bool(why):
        raise Bug(
            f"The route {sorted(context.methods or ())} {path} states neither a permission nor why it is public, or both."
        )
    is_mount = isinstance(context.original_route, Mount)
    pattern, _, convertors = compile_path(path.rstrip("/") + "/{path:path}" if is_mount else path)
    return Entry(
        path=path,
        methods=frozenset(context.methods or ()) - {"HEAD"},
        permission=permission,
        project=bool(extra.get(PROJECT)),
        limit=extra.get(LIMIT, ""),
        body=extra.get(BODY, 0),
        needs_body=bool(extra.get("requestBody", {}).get("required")),
        idempotency=extra.get(IDEMPOTENCY, "kept"),
        media=frozenset() if is_mount else _media(context, extra),
        local=bool(extra.get(LOCAL)),
        problems=extra.get(PROBLEMS, ""),
        context=context,
        pattern=pattern if convertors else None,
        convertors=convertors,
        places=_places(path, convertors),
        single=frozenset(_single(getattr(context, "dependant", None))),
        direct=_direct(context),
    )


def _extra(context: RouteContext) -> dict[str, Any]:
    """What a route says of itself: `openapi_extra` of the route, or of the endpoint of a plain Starlette route."""
    route = context.original_route
    found = getattr(route, "openapi_extra", None)
    return found or getattr(getattr(route, "endpoint", None), "openapi_extra", None) or {}


def _media(context: RouteContext, extra: dict[str, Any]) -> frozenset[str]:
    declared = frozenset(extra.get("requestBody", {}).get("content", ()))
    field_of_body = getattr(context, "body_field", None)
    if field_of_body is None:
        return declared
    return declared | {getattr(field_of_body.field_info, "media_type", "application/json")}


def _direct(context: RouteContext) -> Callable[[Request], Any] | None:
    """The endpoint of a route whose only parameter is the request. It must answer with a Response itself."""
    if not isinstance(context.original_route, APIRoute):
        return None
    dependant = context.dependant
    asks = dependant.dependencies or dependant.path_params or dependant.query_params or dependant.header_params
    asks = asks or dependant.cookie_params or dependant.body_params or dependant.response_param_name
    asks = asks or dependant.background_tasks_param_name or dependant.security_scopes_param_name
    if asks or dependant.request_param_name is None or not inspect.iscoroutinefunction(dependant.call):
        return None
    endpoint: Callable[[Request], Any] = dependant.call
    return endpoint


def _single(dependant: Any) -> Iterator[str]:
    """Names of query parameters that are no lists."""
    for one in dependant.query_params if dependant else ():
        kinds = (one.field_info.annotation, *get_args(one.field_info.annotation))
        if not any((get_origin(kind) or kind) is list for kind in kinds):
            yield one.alias
    for inner in dependant.dependencies if dependant else ():
        yield from _single(inner)


def _refuse_twice(query: bytes, single: frozenset[str]) -> None:
    """Of two values one would be left out, and nobody said which."""
    names = [unquote_plus(part.partition(b"=")[0].decode("latin-1")) for part in query.split(b"&")]
    twice = next((name for name in names if name in single and names.count(name) > 1), None)
    if twice is not None:
        raise Refused(422, "invalid", f"The parameter {twice!r} is given more than once.")


class Routed:
    """Finds the entry of each request; 404 and 405 are said here, to everybody alike."""

    def __init__(self, app: ASGIApp, table: Table) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not path.isprintable():
            raise Refused(404, "not-found", "The address holds characters that have no place in it.")
        if b"%00" in scope["query_string"]:
            raise Refused(422, "invalid", "The query holds a character that has no place in it.")
        found, parameters, allowed = self._table.find(scope["method"], path)
        if found is None:
            if not allowed:
                raise Refused(404, "not-found", "There is nothing at this address.")
            headers = {"Allow": ", ".join(sorted(allowed))}
            raise Refused(405, "method-not-allowed", "This method does nothing here.", headers=headers)
        if b"&" in scope["query_string"]:
            _refuse_twice(scope["query_string"], found.single)
        exchange(scope).entry = found
        scope["path_params"] = parameters
        await self._app(scope, receive, send)
