"""Many runs that wait: they leave memory, and come back when something happens. PERDURE_WAITING changes the figure."""

import asyncio
import os
import resource
import time
from pathlib import Path

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from tests.conformance.engine.world import World, event, workflow

WAITING = int(os.environ.get("PERDURE_WAITING", "5000"))
LISTEN = "- l: {listen: {to: {one: {with: {type: go}, correlate: {n: {from: '${ .data.n }', expect: '${ .n }'}}}}}}"


def resident_bytes() -> int:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.timeout(300)
async def test_waiting_runs_leave_memory(tmp_path):
    world = World()
    timer, listener = workflow(world, "- w: {wait: {days: 30}}"), workflow(world, LISTEN)
    tuning = Tuning(idle=0.05, resident=500, timers=500)
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock(), tuning=tuning) as engine:
        await engine.start("t", listener, {"n": -1})
        before = resident_bytes()
        for first in range(0, WAITING, 250):
            await asyncio.gather(
                *(
                    engine.start("t", listener if n % 2 else timer, {"n": n}, run=f"r{n}")
                    for n in range(first, first + 250)
                )
            )
        while engine._residents.records:
            await asyncio.sleep(0.01)
        assert resident_bytes() - before < 48_000_000
        assert len(engine._timers._targets) <= 501
        assert await engine.deliver("t", event("go", data={"n": 7}))
        assert (await asyncio.wait_for(engine.wait("t", "r7"), 10)).status == "completed"
    began = time.monotonic()
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock(), tuning=tuning) as engine:
        assert time.monotonic() - began < 2, "waiting runs are not loaded at the opening"
        assert not engine._residents.records
        assert await engine.deliver("t", event("go", "2", data={"n": 9}))
        assert (await asyncio.wait_for(engine.wait("t", "r9"), 10)).status == "completed"


@pytest.mark.timeout(300)
async def test_interrupted_runs_go_on_within_seconds(tmp_path):
    world, count = World(), 1000
    document = workflow(world, "- a: {call: echo, with: {n: '${ .n }'}}\n- b: {call: held, with: {n: '${ .n }'}}")
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock()) as engine:
        await asyncio.gather(*(engine.start("t", document, {"n": n}, run=f"r{n}") for n in range(count)))
        while world.calls["echo"] < count:
            await asyncio.sleep(0.01)
    world.gate.set()
    began = time.monotonic()
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock()) as engine:
        assert time.monotonic() - began < 5
        for n in range(count):
            assert (await engine.wait("t", f"r{n}")).output == {"n": n}
    assert world.calls["echo"] == count
