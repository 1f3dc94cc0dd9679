"""Sweeping: once a day, in one of all workers, over all tenants."""

import asyncio

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_locks import MemoryLocks
from perdure.platform.working import sweep
from perdure.services.identity.models import Tenant


class Engine:
    """Notes what it is asked to forget."""

    def __init__(self):
        self.asked = []

    async def sweep(self, tenant, before):
        self.asked.append((tenant, before))
        return 0


class Tenants:
    """More of them than fit on a page."""

    async def find(self, by, *, after="", limit=100):
        names = [f"t{number:03}" for number in range(150)]
        return [Tenant(id=name, name=name, created=0) for name in names if name > after][:limit]


async def test_once_a_day_in_one_of_all():
    clock, engines = TestClock(), [Engine(), Engine()]
    locks = MemoryLocks(clock)
    workers = [asyncio.create_task(sweep(engine, Tenants(), locks, clock, "home")) for engine in engines]

    async def hours(count):
        for _ in range(count):
            for _ in range(200):
                await asyncio.sleep(0)
            clock.advance(3600)
        for _ in range(400):
            await asyncio.sleep(0)

    await hours(3)
    swept = [asked for engine in engines for asked in engine.asked]
    assert len(swept) == len(set(swept)) == 150
    await hours(24)
    assert sum(len(engine.asked) for engine in engines) == 300
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
