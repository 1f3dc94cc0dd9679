"""A small service of notes behind the real gateway, two tenants, and a client that speaks ASGI to it in process."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_cache import MemoryCache
from perdure.adapters.metrics import PrometheusMeters
from perdure.adapters.telemetry import NoSpans
from perdure.errors import Bug, Conflict, Exhausted, Invalid, NotFound, Unavailable
from perdure.gateway.app import Edge, Parts, build
from perdure.gateway.rules import Rules
from perdure.ports.edge import LIMIT, Caller, Sent, caller, permission, public, stream

By = Annotated[Caller, Depends(caller)]
EDITOR = frozenset({"notes:read", "notes:write"})
CALLERS = {
    "key-a": Caller(tenant="a", subject="key:1", permissions=EDITOR, key="1", by="key"),
    "key-a2": Caller(tenant="a", subject="key:2", permissions=EDITOR, key="2", by="key"),
    "key-b": Caller(tenant="b", subject="key:3", permissions=EDITOR, key="3", by="key"),
    "key-viewer": Caller(tenant="a", subject="key:4", permissions=frozenset({"notes:read"}), key="4", by="key"),
    "key-system": Caller(tenant="a", subject="key:5", permissions=frozenset({"system:read"}), key="5", by="key"),
    "a.b.c": Caller(tenant="a", subject="usr_1", permissions=EDITOR, by="token"),
    "session-a": Caller(tenant="a", subject="usr_2", permissions=EDITOR, by="session"),
}


class Known:
    """An identity with a list; it counts how often it is asked."""

    def __init__(self) -> None:
        self.callers = dict(CALLERS)
        self.asked = 0

    async def _by(self, shown: str, by: str) -> Caller | None:
        self.asked += 1
        found = self.callers.get(shown)
        return found if found is not None and found.by == by else None

    async def by_key(self, key: str) -> Caller | None:
        return await self._by(key, "key")

    async def by_token(self, token: str) -> Caller | None:
        return await self._by(token, "token")

    async def by_session(self, session: str) -> Caller | None:
        return await self._by(session, "session")


class Lines:
    """A log that is kept."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def __call__(self, level: str, event: str, **fields: Any) -> None:
        self.lines.append({"level": level, "event": event, **fields})


class Note(BaseModel):
    text: Annotated[str, Field(max_length=100)]
    tags: list[str] = []


FAILURES: dict[str, Exception] = {
    "invalid": Invalid("That does not fit.", hint="Try less.", field="x"),
    "not-found": NotFound("There is no such note."),
    "conflict": Conflict("Not now."),
    "precondition": Conflict("It has changed.", precondition=True),
    "exhausted": Exhausted("All used up."),
    "unavailable": Unavailable("The database is away."),
    "bug": Bug("internal: table notes has no column secret_path"),
    "crash": RuntimeError("internal: /srv/secret_path"),
}


class Notes:
    """The service: notes by tenant, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.created = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.events: asyncio.Queue[Sent | None] = asyncio.Queue()
        self.followed: list[str] = []

    def router(self) -> APIRouter:
        routes = APIRouter(prefix="/notes", tags=["notes"])

        @routes.get("/fast", openapi_extra=permission("notes:read"))
        async def fast(request: Request) -> Response:
            return Response(msgspec.json.encode({"fast": True}), media_type="application/json")

        @routes.get("", openapi_extra=permission("notes:read"))
        async def find(by: By, limit: int = 10) -> dict[str, Any]:
            items = [note for (tenant, _), note in self.kept.items() if tenant == by.tenant]
            return {"items": items[:limit], "next": None}

        @routes.post("", status_code=201, openapi_extra=permission("notes:write"))
        async def create(given: Note, by: By) -> dict[str, Any]:
            await self.gate.wait()
            self.created += 1
            note = {"id": f"note_{self.created}", **given.model_dump()}
            self.kept[by.tenant, note["id"]] = note
            return note

        @routes.post("/secret", openapi_extra=permission("notes:write"))
        async def secret(request: Request) -> Response:
            self.created += 1
            return JSONResponse({"secret": "shown once"}, headers={"Cache-Control": "no-store"})

        @routes.post("/fail", openapi_extra=permission("notes:write"))
        async def fail(kind: str) -> None:
            self.created += 1
            raise FAILURES[kind]

        @routes.get("/stream", openapi_extra={**permission("notes:read"), LIMIT: "stream"})
        async def follow(request: Request) -> Response:
            return stream(request, self.follow)

        @routes.get("/{id}", openapi_extra=permission("notes:read"))
        async def get(id: str, by: By) -> dict[str, Any]:
            found = self.kept.get((by.tenant, id))
            if found is None:
                raise NotFound("There is no such note.")
            return found

        @routes.patch("/{id}", openapi_extra=permission("notes:write"))
        async def change(id: str, given: Note, by: By) -> dict[str, Any]:
            self.kept[by.tenant, id] |= given.model_dump()
            return self.kept[by.tenant, id]

        @routes.get("/public/word", openapi_extra=public("It is a word."))
        async def word() -> dict[str, str]:
            return {"word": "hello"}

        @routes.post("/public/word", openapi_extra=public("It is a word."))
        async def put_word(given: Note) -> dict[str, str]:
            return {"word": given.text}

        return routes

    async def follow(self, last: str):
        self.followed.append(last)
        while (event := await self.events.get()) is not None:
            yield event


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    parts: list[bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class World:
    """Everything of one test."""

    def __init__(self, rules: Rules | None = None, routers: list[APIRouter] | None = None, **parts: Any) -> None:
        self.clock = TestClock()
        self.identity = Known()
        self.notes = Notes()
        self.log = Lines()
        self.meters = PrometheusMeters("0.test")
        self.cache = parts.pop("cache", None) or MemoryCache(self.clock)
        self.edge: Edge = build(
            Parts(
                identity=self.identity, cache=self.cache, clock=self.clock, log=self.log, meters=self.meters,
                spans=parts.pop("spans", NoSpans()), routers=[self.notes.router(), *(routers or [])], rules=rules or Rules(),
                version="0.test", **parts,
            )
        )  # fmt: skip

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "key-a",
        headers: dict[str, str] | None = None,
        json: Any = None,
        body: bytes | list[bytes] | None = None,
        client: tuple[str, int] | None = ("192.0.2.1", 1),
        more: list[tuple[bytes, bytes]] | None = None,
    ) -> Answer:
        """One request. A list as body comes in pieces, without a declared length."""
        given = {"host": "perdure.test", **({"x-api-key": key} if key else {})}
        if json is not None:
            body = msgspec.json.encode(json)
            given["content-type"] = "application/json"
        if isinstance(body, bytes):
            given["content-length"] = str(len(body))
        elif body is not None:
            given["transfer-encoding"] = "chunked"
        given |= {name.lower(): value for name, value in (headers or {}).items()}
        return await exchange(self.edge, scope_of(method, path, given, client, more), body)


def scope_of(method: str, path: str, headers: dict[str, str], client: Any, more: Any = None) -> dict[str, Any]:
    plain, _, query = path.partition("?")
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": plain, "raw_path": plain.encode(), "query_string": query.encode(), "root_path": "",
        "headers": raw + (more or []), "client": client, "server": ("perdure.test", 80),
    }  # fmt: skip


async def exchange(app: Any, scope: dict[str, Any], body: bytes | list[bytes] | None) -> Answer:
    pieces = body if isinstance(body, list) else [body or b""]
    waiting = [
        {"type": "http.request", "body": piece, "more_body": at < len(pieces) - 1} for at, piece in enumerate(pieces)
    ]
    answer = Answer(0, {}, b"")
    over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert not answer.status, "an answer began twice"
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            answer.parts.append(message.get("body", b""))

    try:
        await app(scope, receive, send)
    finally:
        over.set()
    return answer
