"""What `ports/cache.py` promises, on every cache."""

import asyncio

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_cache import MemoryCache
from perdure.adapters.redis_cache import RedisCache
from perdure.errors import Invalid, Unavailable


async def test_what_was_put_is_found_until_it_is_deleted(place):
    key = place.key("a")
    assert await place.cache.get(key) is None
    await place.cache.put(key, b"\x00one", 60)
    assert await place.cache.get(key) == b"\x00one"
    await place.cache.put(key, b"two", 60)
    assert await place.cache.get(key) == b"two"
    await place.cache.delete(key)
    assert await place.cache.get(key) is None


async def test_what_is_there_is_not_put_anew(place):
    key = place.key("a")
    assert await place.cache.put_new(key, b"one", 60)
    assert not await place.cache.put_new(key, b"two", 60)
    assert await place.cache.get(key) == b"one"


async def test_only_one_of_many_puts_anew(place):
    made = await asyncio.gather(*(place.cache.put_new(place.key("race"), b"x", 60) for _ in range(50)))
    assert sum(made) == 1


async def test_values_end(place):
    await place.cache.put(place.key("a"), b"one", 0.05)
    await place.cache.add(place.key("n"), 5, 0.05)
    await place.pass_time(0.08)
    assert await place.cache.get(place.key("a")) is None
    assert await place.cache.put_new(place.key("a"), b"two", 60)
    assert await place.cache.add(place.key("n"), 1, 60) == 1


async def test_a_count_is_exact_among_many(place):
    totals = await asyncio.gather(*(place.cache.add(place.key("n"), 2, 60) for _ in range(100)))
    assert sorted(totals) == list(range(2, 201, 2))
    assert await place.cache.get(place.key("n")) == b"200"
    assert await place.cache.add(place.key("n"), -50, 60) == 150


async def test_the_time_of_a_count_begins_with_its_first_amount(place):
    await place.cache.add(place.key("n"), 1, 0.15)
    await place.pass_time(0.1)
    assert await place.cache.add(place.key("n"), 1, 60) == 2
    await place.pass_time(0.08)
    assert await place.cache.add(place.key("n"), 1, 60) == 1


async def test_memory_is_bounded():
    clock = TestClock()
    cache = MemoryCache(clock, entries=100)
    for number in range(50):
        await cache.put(f"short-{number}", b"", 1)
    for number in range(40):
        await cache.put(f"long-{number}", b"", 100)
    clock.advance(2)
    for number in range(300):
        await cache.put(f"new-{number}", b"", 100)
    assert len(cache._values) <= 100
    assert await cache.get("new-299") == b""


async def test_a_server_that_is_away_is_unavailable():
    cache = RedisCache("redis://127.0.0.1:1/0")
    for verb in (
        cache.get("a"),
        cache.put("a", b"", 1),
        cache.put_new("a", b"", 1),
        cache.add("a", 1, 1),
        cache.delete("a"),
    ):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await verb
    await cache.close()


def test_an_address_of_another_kind_is_refused():
    with pytest.raises(Invalid, match="cannot be read"):
        RedisCache("http://localhost")
