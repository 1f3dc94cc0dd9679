"""The locks that the suite runs on, each with a way to let time pass."""

import asyncio

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_locks import MemoryLocks
from perdure.adapters.redis_locks import RedisLocks
from tests.conformance.cache.conftest import Apart


@pytest.fixture(params=["memory", "valkey"])
async def place(request, took_part):
    if request.param == "memory":
        clock = TestClock()

        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        yield Apart(MemoryLocks(clock), advance)
        return
    server = request.getfixturevalue("valkey_server")
    took_part(f"Valkey {server.version}")
    locks = RedisLocks(server.url)
    yield Apart(locks, asyncio.sleep)  # the server's own clock
    await locks.close()
