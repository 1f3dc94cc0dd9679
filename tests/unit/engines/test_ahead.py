"""Calls that read do not wait for the disk; whatever changes something waits for all that it depends on (ADR 0021)."""

import asyncio

import apsw
import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.worker import _AHEAD
from tests.conformance.engine.world import World, workflow
from tests.system.weak_disk import WeakDisk


def _line(name, length):
    return "\n".join(f"- {name}{n}: {{call: {name}, with: {{count: {n}}}}}" for n in range(length))


async def _commits(engine, world, tasks):
    before = engine._worker.writer.commits
    run = await engine.wait("t", await engine.start("t", workflow(world, tasks), {}))
    assert run.status == "completed"
    return engine._worker.writer.commits - before


async def test_reads_in_a_row_share_a_commit(tmp_path):
    world = World()
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock()) as engine:
        assert await _commits(engine, world, _line("big", 10)) <= 3
        assert await _commits(engine, world, _line("noop", 10)) >= 11
        assert await _commits(engine, world, _line("big", 3 * _AHEAD)) >= 3, "one run must not hold the commit up"
    assert world.calls == {"big": 10 + 3 * _AHEAD, "noop": 10}


class StuckDisk(WeakDisk):
    """Refuses every write until it is `mended`."""

    def __init__(self):
        super().__init__()
        self.mended = asyncio.Event()
        self.mended.set()
        self.on_write = self._refuse

    def _refuse(self, path):
        if not self.mended.is_set():
            raise apsw.FullError("no space left")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_what_changes_something_waits_for_what_was_read(tmp_path):
    world, disk = World(), StuckDisk()
    tasks = _line("big", 3) + "\n- tell: {call: echo, with: {n: 1}}\n" + _line("raw", 1)
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock(), vfs=disk.name) as engine:
        disk.mended.clear()
        starting = asyncio.create_task(engine.start("t", workflow(world, tasks), {}, run="r"))
        while world.calls["big"] < 3 or engine.stalled is None:
            await asyncio.sleep(0)
        assert world.calls == {"big": 3} and not starting.done()
        disk.mended.set()
        await starting
        assert (await engine.wait("t", "r")).status == "completed"
    assert world.calls == {"big": 3, "echo": 1, "raw": 1}


async def test_a_read_that_is_gone_is_told_by_its_run(tmp_path):
    world = World()
    async with EmbeddedEngine(tmp_path, world, clock=SystemClock()) as engine:
        tasks = "- wait: {call: held, with: {n: 1}}\n" + _line("big", 1)
        await engine.start("t", workflow(world, tasks), {}, run="r")
        await world.arrived.wait()
        del world.functions["big"]
        world.gate.set()
        run = await engine.wait("t", "r")
    assert run.error is not None and "big" in run.error["detail"]
