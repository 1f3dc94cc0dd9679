"""The caches that the suite runs on, each with a way to let time pass."""

import asyncio
import uuid

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_cache import MemoryCache
from perdure.adapters.redis_cache import RedisCache


class Apart:
    """A cache seen under keys of this test only."""

    def __init__(self, cache, pass_time) -> None:
        self.cache = cache
        self.mark = uuid.uuid4().hex
        self.pass_time = pass_time

    def key(self, name: str) -> str:
        return f"{self.mark}:{name}"


@pytest.fixture(params=["memory", "valkey"])
async def place(request, took_part):
    if request.param == "memory":
        clock = TestClock()

        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        yield Apart(MemoryCache(clock), advance)
        return
    server = request.getfixturevalue("valkey_server")
    took_part(f"Valkey {server.version}")
    cache = RedisCache(server.url)
    yield Apart(cache, asyncio.sleep)  # the server's own clock
    await cache.close()
