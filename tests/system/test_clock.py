"""T11: the wall clock is set while runs wait. Timers fire once and never early by monotonic time, wherever they wait."""

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.adapters.clock import TestClock
from perdure.engines.embedded.records import Tuning
from tests.conformance.engine.conftest import TENANT, Place
from tests.conformance.engine.world import World

HOUR, DAY = 3600, 86_400
YEAR_2038 = 2_147_483_640 - 1_700_000_000
IN_MEMORY = Tuning(commit="inline", idle=1e9)
IN_ROWS = Tuning(commit="inline", idle=0.0, timers=1)


@pytest.mark.parametrize("tuning", [IN_MEMORY, IN_ROWS], ids=["in-memory", "in-rows"])
@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY, YEAR_2038, 0.4, -0.4])
async def test_a_wait_keeps_its_time_when_the_clock_is_set(tmp_path, tuning, jump):
    place = Place(tmp_path, World(), TestClock(), tuning)
    await place.engine.open()
    runs = [
        await place.begin(f"- w: {{wait: {{minutes: {minutes}}}}}\n- t: {{call: echo, with: {{m: {minutes}}}}}")
        for minutes in (1, 2, 3)
    ]
    for run in runs:
        await place.reaches(run, "waiting")
    await place.advance(1)
    place.clock.jump(jump)
    late = await place.begin("- w: {wait: {minutes: 1}}\n- t: {call: echo, with: {m: late}}")
    await place.reaches(late, "waiting")
    for minutes in (1, 2, 3):
        await place.advance(58.0)
        assert {"m": minutes} not in place.world.seen
        await place.advance(2.001 + abs(jump) * (abs(jump) < 1))
        assert place.world.seen.count({"m": minutes}) == 1
        place.clock.jump(-jump if minutes == 2 else jump)
    assert place.world.seen.count({"m": "late"}) == 1
    assert len(place.world.seen) == 4
    await place.engine.close()


async def test_a_clock_that_stands_still_holds_nothing_for_ever(tmp_path):
    """Frozen: the wall clock does not move at all, monotonic time does."""
    place = Place(tmp_path, World(), TestClock(), IN_ROWS)
    await place.engine.open()
    run = await place.begin("- w: {wait: {minutes: 1}}")
    await place.reaches(run, "waiting")
    for _ in range(61):
        await place.advance(1)
        place.clock.jump(-1)
    assert (await place.end(run)).status == "completed"
    await place.engine.close()


async def test_a_clock_set_back_while_closed_makes_no_wait_longer(tmp_path):
    place = Place(tmp_path, World(), TestClock(), IN_MEMORY)
    await place.engine.open()
    run = await place.begin("- a: {call: held, with: {}}\n- w: {wait: {minutes: 1}}")
    await place.world.arrived.wait()
    await place.engine.close()
    place.clock.jump(-DAY)
    place.world.gate.set()
    await place.reopen()
    await place.reaches(run, "waiting")
    await place.advance(61)
    assert (await place.engine.describe(TENANT, run)).status == "completed"
    await place.engine.close()


CODE = """
import asyncio, pathlib, sys, time
from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from tests.conformance.engine.world import World, workflow
async def main():
    world = World()
    async with EmbeddedEngine(pathlib.Path(sys.argv[1]), world, clock=SystemClock()) as engine:
        began = time.clock_gettime(time.CLOCK_MONOTONIC)
        run = await engine.start("t", workflow(world, "- w: {wait: {milliseconds: 1500}}"), {})
        print("waiting", flush=True)
        await engine.wait("t", run)
        print(time.clock_gettime(time.CLOCK_MONOTONIC) - began, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("offset", ["+1d", "-1d", "+1h", "-1h"])
async def test_a_real_process_whose_clock_is_set(tmp_path, offset, require, took_part):
    library = _libfaketime()
    require(library is not None, "libfaketime not found (package libfaketime): the clock of a real process is not set")
    took_part("process under libfaketime")
    setting = tmp_path / "offset"
    setting.write_text("+0d")
    environment = os.environ | {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(setting), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CODE, str(tmp_path / "data"), env=environment, stdout=subprocess.PIPE
    )
    assert await process.stdout.readline() == b"waiting\n"
    setting.write_text(offset)
    waited = float(await asyncio.wait_for(process.stdout.readline(), 20))
    assert 1.5 <= waited < 4
    await process.wait()
    process._transport.close()


def _libfaketime() -> Path | None:
    """The library inside the PyPI package of that name, which is never imported: it would change this very process."""
    package = importlib.util.find_spec("libfaketime")
    if package is None or not package.submodule_search_locations:
        return None
    library = Path(package.submodule_search_locations[0]) / "vendor/libfaketime/src/libfaketime.so.1"
    return library if library.exists() else None
