"""A disk that is full at any write (T10): the engine stays up, says so, acts on nothing that is not stored, goes on by
itself when there is room, and has lost nothing."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from perdure.errors import Unavailable
from tests.conformance.engine.world import World, workflow
from tests.system.full_disk import FullDisk

POSITIONS = int(os.environ.get("PERDURE_TEST_FULL_POSITIONS", "100"))
TENANT = "acme"
TASKS = """
- each:
    for: { each: item, in: "${ .items }" }
    do:
      - keep: { call: echo, with: { item: "${ $item }" } }
- together:
    fork:
      branches:
        - left: { call: echo, with: { item: left } }
        - right: { call: big, with: { count: 300 } }
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture
def disk() -> Iterator[FullDisk]:
    made = FullDisk("full-disk")
    yield made
    made.unregister()


async def fill_in_the_middle(folder: Path, disk: FullDisk, position: int, commit: str) -> None:
    """One run with the disk full from its write number `position` on, until it was refused twice."""
    world = World()
    engine = EmbeddedEngine(folder, world, clock=SystemClock(), vfs="full-disk", tuning=Tuning(commit=commit))
    async with engine:
        run = f"run-{position}"
        disk.refused = 0
        disk.fill_after(position)
        starting = asyncio.create_task(engine.start(TENANT, workflow(world, TASKS), {"items": [1, 2, 3]}, run=run))
        while disk.refused < 2 and not (starting.done() and (await engine.describe(TENANT, run)).ended):
            await asyncio.sleep(0.001)
        if disk.refused >= 2:
            assert "full" in str(engine.stalled).lower()
            with pytest.raises(Unavailable):
                await engine.start(TENANT, workflow(world, TASKS, name="other"), {"items": []})
        disk.make_room()
        await asyncio.wait_for(starting, 5)
        ended = await asyncio.wait_for(engine.wait(TENANT, run), 5)
        assert ended.status == "completed"
        assert engine.stalled is None
    assert world.calls == {"echo": 4, "big": 1}
    assert set(world.keys.values()) == {1}


async def read_back(folder: Path, runs: list[str]) -> None:
    async with EmbeddedEngine(folder, World(), clock=SystemClock()) as engine:
        for run in runs:
            found = await engine.describe(TENANT, run)
            assert found.status == "completed"
            assert [len(found.output), found.output[0]] == [2, {"item": "left"}]


@pytest.mark.parametrize("commit", ["adaptive", "thread"])
async def test_a_full_disk_holds_runs_and_loses_nothing(folder: Path, disk: FullDisk, commit: str) -> None:
    positions = range(POSITIONS // 2)
    for position in positions:
        await fill_in_the_middle(folder, disk, position, commit)
    await read_back(folder, [f"run-{position}" for position in positions])


async def test_a_start_that_cannot_be_stored_is_refused_and_leaves_nothing(folder: Path, disk: FullDisk) -> None:
    world = World()
    engine = EmbeddedEngine(folder, world, clock=SystemClock(), vfs="full-disk")
    async with engine:
        disk.fill_after(0)
        first = asyncio.create_task(engine.start(TENANT, workflow(world, TASKS), {"items": []}, run="first"))
        while engine.stalled is None:
            await asyncio.sleep(0.001)
        with pytest.raises(Unavailable, match="no space left"):
            await engine.start(TENANT, workflow(world, TASKS), {"items": []}, run="second")
        disk.make_room()
        await first
        assert [run.id for run in await engine.find(TENANT)] == ["first"]
