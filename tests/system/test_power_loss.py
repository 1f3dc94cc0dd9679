"""T2: power lost at thousands of moments, with torn writes. No acknowledged commit may be missing, none half there.

The control runs the same with `synchronous=NORMAL` and must lose something: otherwise the disk of this test is blind.
PERDURE_POWER_LOSSES changes the figure (5,000).
"""

import multiprocessing
import os
import random
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded import journal
from perdure.engines.embedded.engine import EmbeddedEngine
from tests.conformance.engine.world import World, workflow
from tests.system.power_loss import PAGES, lose_power, lose_power_unsafely
from tests.system.weak_disk import WeakDisk

POINTS = int(os.environ.get("PERDURE_POWER_LOSSES", "5000"))
PROCESSES = 2


@pytest.fixture
def folder():
    """A folder in memory where there is one: the disk's own durability is not what is tested."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="perdure-", dir=place))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def processes():
    """Journals are the business of one process each, and there are two cores at least."""
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as made:
        yield made


@pytest.mark.timeout(300)
def test_no_acknowledged_commit_is_lost(folder, processes, took_part):
    took_part(f"SQLite on a disk that lost power {POINTS:,} times")
    share = POINTS // PROCESSES
    parts = [processes.submit(lose_power, folder / f"{seed}", share, seed) for seed in range(PROCESSES)]
    assert [part.result() for part in parts] == [0] * PROCESSES


def test_the_control_loses_commits(folder, processes):
    assert processes.submit(lose_power_unsafely, folder, 200, 7).result() > 20


async def test_an_engine_goes_on_after_power_loss(folder, monkeypatch):
    """A call whose answer was acted upon is never made again, and every run ends."""
    monkeypatch.setattr(journal, "CHECKPOINT_PAGES", PAGES)
    chance, world = random.Random(3), World()
    disk, pictures = WeakDisk(), []
    tasks = "\n".join(f"- t{number}: {{call: echo, with: {{n: '${{ .n + 1 }}'}}}}" for number in range(12))

    def picture() -> None:
        if chance.random() < 0.25:
            target = folder / f"picture-{len(pictures)}"
            disk.image(folder / "live", target, chance)
            pictures.append((target, world.calls["echo"]))

    async with EmbeddedEngine(folder / "live", world, clock=SystemClock(), vfs=disk.name) as engine:
        disk.after = picture
        await engine.start("t", workflow(world, tasks), {"n": 0}, run="r")
        await engine.wait("t", "r")
        disk.after = lambda: None
    assert len(pictures) > 10
    for target, calls in pictures:
        again = World()
        async with EmbeddedEngine(target, again, clock=SystemClock()) as engine:
            await engine.start("t", workflow(again, tasks), {"n": 0}, run="r")
            assert (await engine.wait("t", "r")).output == {"n": 12}
        assert calls + again.calls["echo"] <= 12 + 1, "a call whose answer had been acted upon was made again"
