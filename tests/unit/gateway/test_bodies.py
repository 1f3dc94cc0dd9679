"""Sizes, declared types, and JSON that is none."""

import pytest
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from perdure.gateway.rules import Rules
from perdure.ports.edge import BODY, permission
from tests.unit.gateway.world import Note, World, scope_of

PATH = "/api/v1/notes"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
async def test_the_declared_type_counts(media):
    answer = await World().ask("POST", PATH, body=b'{"text": "x"}', headers={"content-type": media})
    assert answer.status == 201


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
              "application/jsonx", "json", "text/json"],
)  # fmt: skip
async def test_another_type_is_415(media):
    world = World()
    answer = await world.ask("POST", PATH, body=b'{"text": "x"}', headers={"content-type": media} if media else {})
    assert answer.status == 415
    assert "application/json" in answer.json["detail"]
    assert world.notes.created == 0


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b'{"text": NaN}', b'{"text": "\\ud800"}', b"\xff", b"[" * 100_000, b'{"a": 1e999}', b"{'text': 'x'}"],
)
async def test_what_is_no_json_is_400_or_422_and_never_worse(body):
    answer = await World().ask("POST", PATH, body=body, headers=JSON)
    assert answer.status == (400 if body else 422), answer.json


async def test_errors_point_at_their_place_and_show_no_value():
    answer = await World().ask("POST", PATH, json={"text": "s3cret" * 40, "tags": ["a", {"s3cret": 1}]})
    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["#/text", "#/tags/1"]
    assert b"s3cret" not in answer.body


async def test_a_parameter_that_does_not_fit():
    answer = await World().ask("GET", f"{PATH}?limit=many")
    assert answer.json["errors"][0]["parameter"] == "limit"


@pytest.mark.parametrize("body", [b"x" * 101, [b"x" * 60, b"x" * 60], [b"x" * 101]])
async def test_too_much_is_413(body):
    answer = await World(Rules(body=100)).ask("POST", PATH, body=body, headers=JSON)
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


async def test_pieces_without_a_length_are_put_together():
    answer = await World().ask("POST", PATH, body=[b'{"te', b'xt": ', b'"x"}'], headers=JSON)
    assert answer.status == 201


async def test_what_comes_in_pieces_is_read_as_strictly():
    world = World(Rules(body=100_000_000))
    answer = await world.ask("POST", PATH, body=[b'{"text": "x", "tags"', b": [NaN]}"], headers=JSON)
    assert (answer.status, answer.json["code"], world.notes.created) == (400, "malformed", 0)


@pytest.mark.parametrize("pieces", [[], [b'{"text": ']])
async def test_a_body_that_never_comes_is_not_an_empty_one(pieces):
    """Its sender died between the head and the end of the body: nothing is done."""
    routes, done = APIRouter(), []

    @routes.post("/end", openapi_extra=permission("notes:write"))
    async def end(given: Note | None = None) -> None:
        done.append(given)

    world = World(routers=[routes])
    headers = {"host": "perdure.test", "x-api-key": "key-a", "content-type": "application/json", "content-length": "20"}
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await world.edge(scope_of("POST", "/api/v1/end", headers, ("192.0.2.1", 1)), receive, send)
    assert (sent[0]["status"], done) == (400, [])


async def test_a_route_with_its_own_limit():
    routes = APIRouter()

    @routes.post("/small", openapi_extra={**permission("notes:write"), BODY: 10})
    async def small(request: Request) -> Response:
        return Response(str(len(await request.body())))

    @routes.post("/large", openapi_extra={**permission("notes:write"), BODY: 20_000_000})
    async def large(request: Request) -> Response:
        return Response(str(sum([len(part) async for part in request.stream()])))

    world = World(Rules(body=100), routers=[routes])
    assert (await world.ask("POST", "/api/v1/small", body=b"[1,2,3,4,5]", headers=JSON)).status == 413
    assert (await world.ask("POST", "/api/v1/large", body=[b"x" * 1000] * 50, headers=JSON)).body == b"50000"
    assert (await world.ask("POST", "/api/v1/large", body=[b"x" * 1_000_000] * 21, headers=JSON)).status == 413


async def test_a_body_where_none_belongs():
    assert (await World().ask("GET", PATH, body=b"{}")).status == 400


async def test_a_length_that_is_none():
    assert (await World().ask("POST", PATH, headers={"content-length": "-1"})).status == 400


async def test_compressed_bodies_are_not_taken():
    answer = await World().ask("POST", PATH, body=b"{}", headers=JSON | {"content-encoding": "gzip"})
    assert answer.status == 415


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=1&x=2&%6cimit=1"])
async def test_of_two_values_for_one_none_is_left_out(query):
    answer = await World().ask("GET", f"{PATH}?{query}")
    assert (answer.status, answer.json["detail"]) == (422, "The parameter 'limit' is given more than once.")
    assert (await World().ask("GET", f"{PATH}?limit=1&x=2&x=3")).status == 200


@pytest.mark.parametrize("path", [f"{PATH}/a%00", f"{PATH}?limit=%00"])
async def test_characters_that_have_no_place_in_an_address(path):
    from urllib.parse import unquote

    where, _, query = path.partition("?")
    answer = await World().ask("GET", f"{unquote(where)}?{query}")
    assert answer.status in {404, 422}
