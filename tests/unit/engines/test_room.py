"""Room in the log: made ahead, never more than the log will use, and nobody minds when there is none."""

import apsw

from perdure.engines.embedded import journal as module
from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import Journal
from perdure.engines.embedded.room import Room
from tests.system.weak_disk import WeakDisk

FRAME = 4096 + 24


def _commit(journal, first, last):
    for number in range(first, last + 1):
        batch = Batch()
        batch.add("add_journal", (number, 1, number - 1, None, b"{}"))
        journal.commit(batch)


def test_the_log_grows_ahead_of_the_commits(tmp_path):
    log = tmp_path / "journal.db-wal"
    with Journal(tmp_path) as journal:
        _commit(journal, 1, 20)
        assert log.stat().st_size < 100 * FRAME
        _commit(journal, 21, 30)
        size = log.stat().st_size
        assert size == 32 + 256 * FRAME
        _commit(journal, 31, 140)
        assert log.stat().st_size == size
        assert journal._writer.execute("SELECT count(*) FROM journal").fetchone() == (140,)
        assert "pages=256" in repr(journal._room)


def test_it_never_exceeds_what_the_log_comes_to(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_PAGES", 40)
    with Journal(tmp_path) as journal:
        _commit(journal, 1, 400)
        assert (tmp_path / "journal.db-wal").stat().st_size <= 32 + 45 * FRAME


def test_zeros_behind_the_log_are_no_facts(tmp_path):
    """What a killed process leaves: a log with room behind it."""
    with Journal(tmp_path / "one") as journal:
        _commit(journal, 1, 60)
        (tmp_path / "two").mkdir()
        for path in (tmp_path / "one").glob("journal.db*"):
            if not path.name.endswith("-shm"):
                (tmp_path / "two" / path.name).write_bytes(path.read_bytes())
    with Journal(tmp_path / "two") as journal:
        assert journal._writer.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert journal._writer.execute("SELECT count(*), max(seq) FROM journal").fetchone() == (60, 60)
        _commit(journal, 61, 120)
        assert journal._writer.execute("SELECT count(*) FROM journal").fetchone() == (120,)


def test_a_disk_without_room_to_spare_is_left_alone(tmp_path):
    disk = WeakDisk()
    with Journal(tmp_path, vfs=disk.name) as journal:
        _commit(journal, 1, 23)
        limit = (tmp_path / "journal.db-wal").stat().st_size + 40_000

        def refuse(path):
            if path.endswith("-wal") and (tmp_path / "journal.db-wal").stat().st_size > limit:
                raise apsw.FullError("no room")

        disk.on_write = refuse
        _commit(journal, 24, 24)
        disk.on_write = lambda path: None
        _commit(journal, 25, 60)
        assert journal._writer.execute("SELECT count(*) FROM journal").fetchone() == (60,)


def test_a_log_that_is_not_there(tmp_path):
    room = Room(tmp_path / "none" / "journal.db-wal", None, 1000)
    for _ in range(30):
        room.used()
    assert not (tmp_path / "none").exists()
