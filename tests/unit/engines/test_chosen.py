"""Openings that let only chosen runs go on: what happens to the others is recorded, and done when they are chosen."""

import asyncio

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from tests.conformance.engine.world import World, event, workflow

LISTEN = "- l: {listen: {to: {one: {with: {type: go}}}}}\n- a: {call: held, with: {n: 1}}"


@pytest.mark.parametrize("parked", [False, True])
async def test_an_event_that_comes_before_its_run_is_chosen(tmp_path, parked):
    world = World()
    tuning = Tuning(idle=0.01 if parked else 60)
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock(), tuning=tuning) as engine:
        await engine.start("t", workflow(world, LISTEN), {}, run="r")
        while (await engine.describe("t", "r")).status != "waiting":
            await asyncio.sleep(0.01)
        while parked and engine._residents.records:
            await asyncio.sleep(0.01)
    engine = EmbeddedEngine(tmp_path, world, clock=SystemClock())
    await engine.open(recover=False)
    try:
        assert await engine.deliver("t", event("go"))
        assert world.calls["held"] == 0
        await engine.resume("t", "r")
        waiting = asyncio.ensure_future(engine.wait("t", "r"))
        await asyncio.wait_for(world.arrived.wait(), 5)
        world.gate.set()
        assert (await asyncio.wait_for(waiting, 5)).status == "completed"
        assert world.calls["held"] == 1
    finally:
        await engine.close()
