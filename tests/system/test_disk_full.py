"""T10: the disk is full from the n-th write on, for every n; when there is room again everything goes on.

PERDURE_FULL_DISKS changes the number of positions (100).
"""

import asyncio
import os
import time

import apsw
import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded import journal as module
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from perdure.errors import Unavailable
from tests.conformance.engine.world import World, event, workflow
from tests.system.weak_disk import WeakDisk

POSITIONS = int(os.environ.get("PERDURE_FULL_DISKS", "100"))
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Where SQLite ignores a failed write (closing, folding in the log), APSW has nobody to give our exception to."""
TASKS = """
- a: {call: echo, with: {n: '${ .n + 1 }'}}
- b: {call: big, with: {count: 500}}
- c: {emit: {event: {with: {source: 'https://a.example/', type: go, data: 1}}}}
- d: {wait: {milliseconds: 1}}
- e: {call: charge, with: {n: 1}}
""" + "\n".join(f"- f{number}: {{call: echo, with: {{n: '${{ .n + 1 }}'}}}}" for number in range(20))


class FullDisk(WeakDisk):
    """Full from the n-th write on, until `room` is made."""

    def __init__(self, position: int, error: type[apsw.Error]) -> None:
        super().__init__()
        self.position, self.error = position, error
        self.refused = 0
        self.room = asyncio.Event()
        self.on_write = self._refuse

    def _refuse(self, path: str) -> None:
        if self.writes >= self.position and not self.room.is_set():
            self.refused += 1
            raise self.error("no space left")


@pytest.fixture(autouse=True)
def early_checkpoints(monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 10)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
async def test_nothing_is_lost_on_a_full_disk(tmp_path, error, took_part):
    took_part(f"SQLite on a disk that was full at {POSITIONS} positions ({error.__name__})")
    hit = 0
    for position in range(1, POSITIONS + 1):
        hit += await _run_on_a_full_disk(tmp_path / str(position), position * 2, error)
    assert hit > POSITIONS // 3


async def _run_on_a_full_disk(folder, position, error) -> bool:
    """Whether the disk was full while the run was under way."""
    world, disk = World(), FullDisk(position, error)
    world.gate.set()
    engine = EmbeddedEngine(folder, world, clock=SystemClock(), vfs=disk.name, tuning=Tuning(idle=0.0))
    document = workflow(world, TASKS)
    try:
        await asyncio.wait_for(engine.open(), 0.3)
    except (Unavailable, TimeoutError):
        disk.room.set()
        await engine.close()
        engine = EmbeddedEngine(folder, world, clock=SystemClock(), vfs=disk.name)
        await engine.open()
    try:
        starting = asyncio.create_task(engine.start("t", document, {"n": 0}, run="r"))
        hit = await _full_or_ended(engine, starting)
        if hit:
            before = sum(world.calls.values())
            with pytest.raises(Unavailable, match="cannot be written"):
                await engine.start("t", document, {})
            with pytest.raises(Unavailable, match="cannot be written"):
                await engine.deliver("t", event("x"))
            assert await engine.find("t") is not None
            assert sum(world.calls.values()) == before, "something was begun on the strength of an uncommitted fact"
        disk.room.set()
        began = time.monotonic()
        assert await asyncio.wait_for(starting, 5) == "r"
        run = await asyncio.wait_for(engine.wait("t", "r"), 5)
        assert time.monotonic() - began < 5
        assert (run.status, run.output) == ("completed", {"n": 21})
        assert world.calls == {"echo": 21, "big": 1, "charge": 1}
        assert set(world.keys.values()) == {1}
    finally:
        await engine.close()
    return hit


async def _full_or_ended(engine, starting) -> bool:
    while engine.stalled is None:
        if starting.done() and (await engine.describe("t", "r")).ended is not None:
            return False
        await asyncio.sleep(0)
    return True


async def test_a_folder_that_is_full_when_opened(tmp_path):
    disk = FullDisk(1, apsw.FullError)
    with pytest.raises(Unavailable, match="leave room on the disk"):
        await EmbeddedEngine(tmp_path, World(), clock=SystemClock(), vfs=disk.name).open()
    disk.room.set()
    async with EmbeddedEngine(tmp_path, World(), clock=SystemClock(), vfs=disk.name) as engine:
        assert engine.stalled is None


async def test_closing_on_a_full_disk_ends(tmp_path):
    world, disk = World(), FullDisk(10**9, apsw.FullError)
    engine = EmbeddedEngine(tmp_path, world, clock=SystemClock(), vfs=disk.name)
    await engine.open()
    disk.position = 0
    starting = asyncio.create_task(engine.start("t", workflow(world, TASKS), {"n": 0}))
    await _full_or_ended(engine, starting)
    await asyncio.wait_for(engine.close(), 5)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    assert world.calls == {}
