"""Power loss at any moment (T2): no acknowledged commit of the journal is lost, none is seen in part.

The control runs the same with `synchronous=NORMAL` and must lose something, or the harness would be blind.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from perdure.engines.embedded import journal as journal_module
from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import Journal
from tests.system.power_loss import Disk, Operation, Recorder, lay_out

POINTS = int(os.environ.get("PERDURE_TEST_POWER_POINTS", "5000"))
COMMITS = 60
ROWS = 4


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: thousands of small databases are laid out in it."""
    root = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="power-loss-", dir=root))
    yield folder
    shutil.rmtree(folder)


def record(folder: Path, seed: int) -> list[Operation]:
    """Commit batches of several rows and a blob each, with checkpoints between; returns all that was done to the disk."""
    chance = Random(seed)
    recorder = Recorder(f"recorder-{seed}")
    with Journal(folder, vfs=f"recorder-{seed}") as opened:
        for number in range(COMMITS):
            batch = Batch()
            for row in range(ROWS):
                size = chance.choice((20, 300, 5000))
                batch.add("add_journal", (1 + number * ROWS + row, number, 0, None, bytes([number]) * size))
            batch.add("add_blob", (number.to_bytes(32, "big"), bytes([number]) * 9000))
            opened.commit(batch)
            recorder.log.append(Operation("ack", offset=number))
        log = list(recorder.log)
    recorder.unregister()
    return log


def found_commits(folder: Path) -> list[int]:
    """The commits that are there, after checking that the file is sound and each commit is there as a whole."""
    with Journal(folder) as opened:
        connection = apsw.Connection(str(opened.path), flags=apsw.SQLITE_OPEN_READONLY)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = list(connection.execute("SELECT run, count(*) FROM journal GROUP BY run ORDER BY run"))
        blobs = connection.execute("SELECT count(*) FROM blobs").fetchone()[0]
        connection.close()
    assert all(count == ROWS for _number, count in rows)
    assert blobs == len(rows)
    return [number for number, _count in rows]


def points(log: list[Operation], share: int, chance: Random) -> Iterator[tuple[int, dict[str, bytes]]]:
    """`share` moments of the log after the journal was made, each as (last acknowledged commit, files found)."""
    born = next(index for index, operation in enumerate(log) if operation.kind == "ack")
    moments = sorted(chance.choices(range(born, len(log)), k=share))
    disk, position = Disk(), 0
    for moment in moments:
        while position <= moment:
            disk.apply(log[position])
            position += 1
        yield disk.acknowledged, disk.after_power_loss(chance)


def losses(memory: Path, total: int, seed: int) -> tuple[int, int]:
    """(points tried, points at which an acknowledged commit was gone)."""
    tried = lost = 0
    workloads = 5
    for workload in range(workloads):
        chance = Random(seed * 1000 + workload)
        source = memory / f"source-{workload}"
        source.mkdir()
        for acknowledged, files in points(record(source, seed * 1000 + workload), total // workloads, chance):
            lay_out(files, memory / "found")
            commits = found_commits(memory / "found")
            assert commits == list(range(len(commits))), "a commit is there without one before it"
            tried += 1
            lost += len(commits) <= acknowledged
    return tried, lost


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_acknowledged_commit_is_lost(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_PAGES", 60)
    assert losses(memory, POINTS, seed=1) == (POINTS // 5 * 5, 0)


@pytest.mark.timeout(120)
def test_the_control_without_full_synchronisation_loses_commits(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHECKPOINT_PAGES", 60)
    monkeypatch.setattr(journal_module, "SYNCHRONOUS", ("NORMAL", 1))
    tried, lost = losses(memory, 250, seed=2)
    assert lost > tried // 10


def test_a_file_system_that_refuses_full_synchronisation_is_refused(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SYNCHRONOUS", ("FULL", 3))
    with pytest.raises(Exception, match="full synchronisation"):
        Journal(memory)
