"""Journals on a disk that loses power again and again: which of the commits that were acknowledged are still there."""

import random
import shutil
from pathlib import Path

from perdure.engines.embedded import journal as module
from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import Journal
from tests.system.weak_disk import WeakDisk

A_LIFE = 40
"""Commits of one journal before the next one begins."""
PAGES = 30
"""The log is folded into the file every few commits, so that power is lost during that too."""


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


def lose_power(folder: Path, points: int, seed: int) -> int:
    """How many of so many power losses lost an acknowledged commit. Changes this process's constants of the journal."""
    module.CHECKPOINT_PAGES = PAGES
    chance, done, lost, lives = random.Random(seed), 0, 0, 0
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


def lose_power_unsafely(folder: Path, points: int, seed: int) -> int:
    """The same on a journal that does not wait for the disk."""
    module.SYNCHRONOUS = ("NORMAL", 1)
    return lose_power(folder, points, seed)
