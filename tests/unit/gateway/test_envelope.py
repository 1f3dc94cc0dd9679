"""What every answer has, whatever it is."""

import re

import pytest

from perdure.gateway.envelope import SECURITY
from perdure.ports.log import REQUEST
from tests.unit.gateway.world import World

EVERY = [
    ("GET", "/api/v1/notes", {}, 200),
    ("POST", "/api/v1/notes", {"json": {"text": "x"}}, 201),
    ("GET", "/api/v1/notes", {"key": None}, 401),
    ("POST", "/api/v1/notes", {"key": "key-viewer"}, 403),
    ("GET", "/nothing", {}, 404),
    ("DELETE", "/api/v1/notes", {}, 405),
    ("POST", "/api/v1/notes", {"body": b"x", "headers": {"content-type": "text/plain"}}, 415),
    ("POST", "/api/v1/notes", {"json": {}}, 422),
    ("POST", "/api/v1/notes/fail?kind=crash", {}, 500),
    ("POST", "/api/v1/notes/fail?kind=unavailable", {}, 503),
    ("GET", "/health/live", {"key": None}, 200),
    ("GET", "/api/v1/openapi.json", {"key": None}, 200),
]


@pytest.mark.parametrize(("method", "path", "more", "status"), EVERY)
async def test_the_fixed_headers(method, path, more, status):
    answer = await World().ask(method, path, **more)
    assert answer.status == status
    for name, value in SECURITY:
        assert answer.headers[name.decode()] == value.decode()
    assert answer.headers["cache-control"] in {"no-store", "private, no-cache"}
    assert re.fullmatch(r"[0-9a-f]{24}", answer.headers["x-request-id"])
    assert not answer.headers.keys() & {"server", "x-powered-by"}
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["request"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abcdefgh", True), ("a" * 64, True), ("trace:1.2-3_4", True), ("short", False), ("a" * 65, False),
     ("with space", False), ("new\nline1", False), ("ümlaut-here", False)],
)  # fmt: skip
async def test_a_request_id_is_taken_when_it_is_well_formed(given, kept):
    answer = await World().ask("GET", "/api/v1/notes", headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) is kept


async def test_the_id_is_there_while_the_request_is_answered_and_gone_after():
    world = World()
    await world.ask("POST", "/api/v1/notes/fail?kind=crash", headers={"x-request-id": "abcdefgh"})
    assert REQUEST.get() == ""


async def test_strict_transport_over_tls_only():
    world = World()
    assert "strict-transport-security" not in (await world.ask("GET", "/api/v1/notes")).headers


async def test_who_drains_says_goodbye():
    world = World()
    world.edge.standing.drain()
    assert (await world.ask("GET", "/api/v1/notes")).headers["connection"] == "close"
