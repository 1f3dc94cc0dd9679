"""T2: power lost at thousands of moments, with torn writes. No acknowledged commit may be missing, none half there.

The control runs the same with `synchronous=NORMAL` and must lose something: otherwise the disk of this test is blind.
PERDURE_POWER_LOSSES changes the figure (5,000).
"""

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded import journal as module
from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.journal import Journal
from tests.conformance.engine.world import World, workflow
from tests.system.weak_disk import WeakDisk

POINTS = int(os.environ.get("PERDURE_POWER_LOSSES", "5000"))
A_LIFE = 40
"""Commits of one journal before the next one begins."""


@pytest.fixture
def folder():
    """A folder in memory where there is one: the disk's own durability is not what is tested."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="perdure-", dir=place))
    yield made
    shutil.rmtree(made)


@pytest.fixture(autouse=True)
def early_checkpoints(monkeypatch):
    """The log is folded into the file every few commits, so that power is lost during that too."""
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 30)


class Life:
    """One journal on a weak disk, and what its commits acknowledged."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.disk = WeakDisk()
        self.acknowledged = 0
        self.pictures: list[tuple[Path, int]] = []

    def live(self, often: float) -> None:
        """Commit on and on; now and then keep the picture that a power loss would leave."""
        journal = Journal(self.folder / "live", vfs=self.disk.name)
        self.disk.after = lambda: self.chance.random() < often and self._picture()
        for number in range(1, A_LIFE + 1):
            journal.commit(_batch(number, self.chance))
            self.acknowledged = number
        self.disk.after = lambda: None
        journal.close()

    def _picture(self) -> None:
        target = self.folder / f"picture-{len(self.pictures)}"
        self.disk.image(self.folder / "live", target, self.chance)
        self.pictures.append((target, self.acknowledged))


def _batch(number: int, chance: random.Random) -> Batch:
    """Commit `number`: a run row, three facts and a big value that belong together."""
    batch = Batch()
    batch.add("add_blob", (number.to_bytes(4, "big"), bytes(chance.randrange(200, 20_000))))
    batch.add("add_run", (number, str(number), "t", "n", "w", "1", "p", "d", 0, 0, 0, None, None, None, 0))
    for part in range(3):
        batch.add("add_journal", (number * 3 + part, number, 0, None, b"x" * chance.randrange(2000)))
    batch.heads[number] = (number, number * 3 + 2, "running", 0, 0, None, None)
    return batch


def _found(folder: Path) -> set[int]:
    """The commits that are there; each must be whole."""
    with Journal(folder) as journal:
        assert journal._writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = journal._writer.execute(
            "SELECT run, count(*), (SELECT count(*) FROM runs WHERE id = run),"
            " (SELECT count(*) FROM heads WHERE heads.run = journal.run) FROM journal GROUP BY run"
        )
        found = set()
        for run, facts, runs, heads in rows:
            assert (facts, runs, heads) == (3, 1, 1), "half a commit"
            found.add(run)
        blobs = journal._writer.execute("SELECT count(*) FROM blobs").fetchone()
        assert blobs == (len(found),)
        return found


def _lose_power(folder: Path, points: int) -> int:
    """How many of so many power losses lost an acknowledged commit."""
    chance, done, lost, lives = random.Random(7), 0, 0, 0
    while done < points:
        life = Life(folder / str(lives), chance)
        life.live(0.2)
        for picture, acknowledged in life.pictures[: points - done]:
            found = _found(picture)
            lost += not found >= set(range(1, acknowledged + 1))
            assert max(found, default=0) <= acknowledged + 1
            done += 1
        lives += 1
        shutil.rmtree(life.folder)
    return lost


@pytest.mark.timeout(300)
def test_no_acknowledged_commit_is_lost(folder, took_part):
    took_part(f"SQLite on a disk that lost power {POINTS:,} times")
    assert _lose_power(folder, POINTS) == 0


def test_the_control_loses_commits(folder, monkeypatch):
    monkeypatch.setattr(module, "SYNCHRONOUS", ("NORMAL", 1))
    assert _lose_power(folder, 200) > 20


async def test_an_engine_goes_on_after_power_loss(folder):
    """A call whose answer was acted upon is never made again, and every run ends."""
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
