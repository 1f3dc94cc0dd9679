"""How much and how often."""

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_cache import MemoryCache
from perdure.errors import Unavailable
from perdure.gateway.limits import Windows
from perdure.gateway.rules import Rate, Rules
from tests.unit.gateway.world import World

PATH = "/api/v1/notes"


def rules(read: int, factor: int = 10) -> Rules:
    return Rules(rates={"read": Rate(read, 60), "public": Rate(2, 60)}, tenant_factor=factor)


async def test_every_answer_says_what_is_left():
    world = World(rules(3))
    answer = await world.ask("GET", PATH)
    assert answer.headers["ratelimit-policy"] == '"read";q=3;w=60'
    assert answer.headers["ratelimit"].startswith('"read";r=2;t=')


async def test_over_the_limit():
    world = World(rules(3))
    statuses = [(await world.ask("GET", PATH)).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = await world.ask("GET", PATH)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json["code"] == "exhausted" and refused.headers["ratelimit"].startswith('"read";r=0')
    assert (await world.ask("GET", PATH, key="key-a2")).status == 200, "another key has its own"
    assert (await world.ask("POST", PATH, json={"text": "x"})).status == 201, "another class has its own"


async def test_a_tenant_has_a_limit_of_its_own():
    world = World(rules(3, factor=1))
    for key in ("key-a", "key-a", "key-a2"):
        assert (await world.ask("GET", PATH, key=key)).status == 200
    assert (await world.ask("GET", PATH, key="key-a2")).status == 429
    assert (await world.ask("GET", PATH, key="key-b")).status == 200


async def test_public_routes_are_limited_by_address():
    world = World(rules(3))
    ask = f"{PATH}/public/word"
    statuses = [(await world.ask("GET", ask, key=None)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await world.ask("GET", ask, key=None, client=("192.0.2.7", 1))).status == 200


async def test_health_is_never_limited():
    world = World(rules(3))
    assert {(await world.ask("GET", "/health/live", key=None)).status for _ in range(10)} == {200}


async def test_a_window_slides():
    clock = TestClock(now=600_000)
    windows = Windows(MemoryCache(clock))
    for _ in range(10):
        left, _ = await windows.take("x", Rate(10, 60), clock.now())
    assert left == 0
    clock.advance(60)
    assert (await windows.take("x", Rate(10, 60), clock.now()))[0] == -1, "the window before counts in full at first"
    clock.advance(45)
    assert (await windows.take("x", Rate(10, 60), clock.now()))[0] == 6, "then by its share"
    clock.advance(200)
    assert (await windows.take("x", Rate(10, 60), clock.now()))[0] == 9


async def test_when_the_counters_are_away_requests_pass():
    class Away(MemoryCache):
        async def add(self, key: str, amount: int, ttl: float) -> int:
            raise Unavailable("no cache")

    world = World(rules(1), cache=Away(TestClock()))
    assert [(await world.ask("GET", PATH)).status for _ in range(3)] == [200] * 3
    assert b"perdure_limits_unavailable_total 3.0" in world.meters.text("")[0]
