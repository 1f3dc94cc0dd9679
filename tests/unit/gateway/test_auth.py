"""Who calls, whether they may, and what a browser must not do for others."""

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_cache import MemoryCache
from perdure.errors import Unavailable
from perdure.gateway.auth import COOKIE, csrf_token
from perdure.gateway.rules import Rate, Rules
from tests.unit.gateway.world import CALLERS, World

PATH = "/api/v1/notes"
SESSION = {"cookie": f"other=1; {COOKIE}=session-a"}
TOKEN = {"x-csrf-token": csrf_token("session-a")}


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "key-a"},
        {"authorization": "Bearer key-a"},
        {"authorization": "bearer key-a"},
        {"authorization": "Bearer a.b.c"},
        SESSION,
    ],
)
async def test_each_way_to_say_who_you_are(headers):
    assert (await World().ask("GET", PATH, key=None, headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "key"},
        {"x-api-key": "key-a "},
        {"x-api-key": "key-a\0"},
        {"x-api-key": "KEY-A"},
        {"x-api-key": "x" * 20_000},
        {"x-api-key": "a.b.c"},
        {"x-api-key": "\xff\xfe"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Basic a2V5LWE6"},
        {"authorization": "key-a"},
        {"authorization": "Bearer session-a"},
        {"authorization": "Bearer x.y.z"},
        {"cookie": f"{COOKIE}=nobody"},
        {"cookie": "perdure=session-a"},
        {"x-api-key": "wrong", **SESSION},
    ],
)
async def test_everything_else_is_nobody(headers):
    assert (await World().ask("GET", PATH, key=None, headers=headers)).status == 401


async def test_a_permission_that_is_missing():
    refused = await World().ask("POST", PATH, key="key-viewer", json={"text": "x"})
    assert refused.status == 403
    assert refused.json["hint"] == "It needs the permission notes:write."


async def test_a_permission_is_compared_whole():
    world = World()
    near = frozenset({"notes:writer", "notes", "notes:", "notes:write "})
    world.identity.callers["key-near"] = type(CALLERS["key-a"])(tenant="a", subject="key:9", by="key", permissions=near)
    assert (await world.ask("POST", PATH, key="key-near", json={"text": "x"})).status == 403


async def test_a_header_given_twice_is_refused():
    world = World()
    for name in ("x-api-key", "authorization", "host"):
        more = [(name.encode(), b"key-b"), (name.encode(), b"key-a")]
        answer = await world.ask("GET", PATH, more=more)
        assert answer.status == 400, name


async def test_a_verified_key_is_trusted_for_a_moment_and_no_longer():
    world = World(Rules(remember=3))
    for _ in range(3):
        assert (await world.ask("GET", PATH)).status == 200
    assert world.identity.asked == 1
    del world.identity.callers["key-a"]
    assert (await world.ask("GET", PATH)).status == 200
    world.clock.advance(3.1)
    assert (await world.ask("GET", PATH)).status == 401


async def test_who_is_refused_is_asked_about_each_time():
    world = World()
    for _ in range(3):
        assert (await world.ask("GET", PATH, key="later")).status == 401
    assert world.identity.asked == 3
    world.identity.callers["later"] = CALLERS["key-a"]
    assert (await world.ask("GET", PATH, key="later")).status == 200


async def test_a_key_is_not_remembered_as_a_token():
    world = World()
    assert (await world.ask("GET", PATH, key="key-a")).status == 200
    assert (await world.ask("GET", PATH, key=None, headers={"cookie": f"{COOKIE}=key-a"})).status == 401


async def test_many_wrong_credentials_from_one_address():
    world = World(Rules(rates={"refused": Rate(3, 60)}))
    statuses = [(await world.ask("GET", PATH, key=f"wrong-{i}")).status for i in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert (await world.ask("GET", PATH)).status == 200, "who has a valid key is not shut out by others"
    assert (await world.ask("GET", PATH, key="wrong", client=("192.0.2.9", 1))).status == 401
    world.clock.advance(61)
    assert (await world.ask("GET", PATH, key="wrong")).status == 401


async def test_a_change_with_the_cookie_needs_the_token():
    world = World()
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "guess"}, {"x-csrf-token": csrf_token("session-b")}):
        refused = await world.ask("POST", PATH, key=None, headers=SESSION | headers, json={"text": "x"})
        assert refused.status == 403 and refused.json["code"] == "csrf"
    assert world.notes.created == 0
    assert (await world.ask("POST", PATH, key=None, headers=SESSION | TOKEN, json={"text": "x"})).status == 201


async def test_a_read_with_the_cookie_tells_the_token():
    world = World()
    read = await world.ask("GET", PATH, key=None, headers=SESSION)
    assert read.headers["x-csrf-token"] == TOKEN["x-csrf-token"]
    assert "x-csrf-token" not in (await world.ask("GET", PATH)).headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://perdure.test"}, 201),
        ({"origin": "https://perdure.test"}, 201),  # TLS ended before us
        ({"origin": "http://perdure.test:8443"}, 403),
        ({"origin": "http://perdure.test:80"}, 201),
        ({"origin": "http://evil.test"}, 403),
        ({"origin": "http://perdure.test.evil.test"}, 403),
        ({"origin": "http://perdure.test@evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[broken"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"origin": "http://listed.test"}, 201),
    ],
)
async def test_changes_that_pages_ask_for(headers, status):
    world = World(Rules(origins=("http://listed.test",)))
    answer = await world.ask("POST", PATH, key=None, headers=SESSION | TOKEN | headers, json={"text": "x"})
    assert answer.status == status


async def test_pages_of_others_may_not_use_public_routes_for_changes():
    world = World()
    headers = {"origin": "http://evil.test"}
    refused = await world.ask("POST", f"{PATH}/public/word", key=None, headers=headers, json={"text": "x"})
    assert refused.status == 403
    assert (await world.ask("POST", f"{PATH}/public/word", key=None, json={"text": "x"})).status == 200


async def test_a_key_in_a_header_is_no_cookie():
    headers = {"origin": "http://evil.test", "cookie": SESSION["cookie"]}
    assert (await World().ask("POST", PATH, headers=headers, json={"text": "x"})).status == 201


async def test_the_memory_of_credentials_is_bounded(monkeypatch):
    monkeypatch.setattr("perdure.gateway.auth._REMEMBERED", 3)
    world = World()
    for key in CALLERS:
        if key.startswith("key-"):
            await world.ask("GET", PATH, key=key)
    assert (await world.ask("GET", PATH)).status == 200


async def test_what_is_not_valid_stays_so_when_the_counters_are_away():
    class Away(MemoryCache):
        async def add(self, key: str, amount: int, ttl: float) -> int:
            raise Unavailable("no cache")

    world = World(cache=Away(TestClock()))
    assert (await world.ask("GET", PATH, key="nobody")).status == 401
