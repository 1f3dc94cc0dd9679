"""The whole stack, in process: order of the layers, and what every answer has in common."""

import pytest
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from perdure.errors import Bug
from perdure.ports.edge import permission
from tests.unit.gateway.world import World

STRANGER = {"key": None}


async def test_a_signed_in_caller_reaches_the_service():
    world = World()
    made = await world.ask("POST", "/api/v1/notes", json={"text": "hello"})
    assert made.status == 201 and made.json["text"] == "hello"
    read = await world.ask("GET", f"/api/v1/notes/{made.json['id']}")
    assert read.status == 200 and read.json == made.json


async def test_a_stranger_hears_the_same_whatever_the_body():
    world = World()
    for body in (b"", b"{", b"\xff", b'{"text": 1}', b"x" * 100):
        answer = await world.ask("POST", "/api/v1/notes", body=body, **STRANGER, headers={"content-type": "text/odd"})
        assert answer.status == 401, body
        assert answer.json["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert world.notes.created == 0


async def test_what_is_not_there_is_not_there_for_anybody():
    world = World()
    assert (await world.ask("GET", "/api/v1/nothing", **STRANGER)).status == 404
    refused = await world.ask("DELETE", "/api/v1/notes", **STRANGER)
    assert refused.status == 405 and refused.headers["allow"] == "GET, POST"


async def test_a_service_with_its_own_prefix():
    other = APIRouter()

    @other.get("/models", openapi_extra=permission("notes:read"))
    async def models(request: Request) -> Response:
        return Response(b"[]", media_type="application/json")

    world = World(others=[("/v1", other)])
    assert (await world.ask("GET", "/v1/models")).body == b"[]"
    assert (await world.ask("GET", "/v1/models", **STRANGER)).status == 401


async def test_a_route_that_says_nothing_fails_start_up():
    silent = APIRouter()

    @silent.get("/silent")
    async def handler() -> None: ...

    with pytest.raises(Bug, match="/api/v1/silent states neither"):
        World(routers=[silent])


async def test_one_head_request_is_a_get():
    world = World()
    assert (await world.ask("HEAD", "/api/v1/notes/fast")).status == 200


async def test_websockets_are_refused():
    sent = []

    async def send(message):
        sent.append(message)

    await World().edge({"type": "websocket"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_server_may_tell_of_its_lifespan():
    sent = []
    told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive():
        return next(told)

    async def send(message):
        sent.append(message["type"])

    await World().edge({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_reprs_say_how_things_stand():
    assert repr(World().edge) == "Edge(Table(16 routes), Streams(open=0), Standing(open, listeners=0))"
