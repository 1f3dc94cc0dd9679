"""The journal's doors: durable or refused, one process at a time, foreign and damaged files left alone."""

import os
import re
import subprocess
import sys

import apsw
import pytest

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import APPLICATION, QUERIES, SCHEMA, CannotCommit, Journal, ReadOnly
from perdure.errors import Conflict, Invalid, NotFound, Unavailable


def test_both_connections_are_durable(tmp_path):
    with Journal(tmp_path) as journal:
        for connection in (journal._reader, journal._writer):
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert journal._writer.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert journal._writer.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_a_place_that_cannot_be_durable_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("perdure.engines.embedded.journal.SYNCHRONOUS", ("OFF", 2))
    with pytest.raises(Unavailable, match="could be lost"):
        Journal(tmp_path)


def test_every_statement_compiles(tmp_path):
    with Journal(tmp_path) as journal:
        for name, text in QUERIES.items():
            assert list(journal._writer.execute(f"EXPLAIN {text}", _nothing(text))), name


def _nothing(text):
    if ":" in text:
        return dict.fromkeys(re.findall(r":([a-z]+)", text))
    return (None,) * text.count("?")


def test_a_second_opening_names_the_holder(tmp_path):
    with Journal(tmp_path), pytest.raises(Conflict, match=f"pid {os.getpid()}"):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_a_killed_process_leaves_no_lock(tmp_path):
    code = "import sys,pathlib;from perdure.engines.embedded.journal import Journal;j=Journal(pathlib.Path(sys.argv[1]));print('open',flush=True);sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "open\n"
    with pytest.raises(Conflict, match=f"pid {child.pid}"):
        Journal(tmp_path)
    child.kill()
    child.communicate()
    Journal(tmp_path).close()


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to look like a file" * 50, b"SQLite format 3\x00" + b"\xff" * 4096],
)
def test_a_damaged_file_is_left_alone(tmp_path, content):
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(Invalid, match="damaged.*Nothing was changed.*backup"):
        Journal(tmp_path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "journal.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE t (x)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(Invalid, match="another program"):
        Journal(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(("version", "words"), [(SCHEMA + 1, "newer Perdure"), (-1, "too old")])
def test_other_schema_versions_are_refused(tmp_path, version, words):
    Journal(tmp_path).close()
    path = tmp_path / "journal.db"
    file = apsw.Connection(str(path))
    file.execute(f"PRAGMA user_version = {version}")
    file.close()
    with pytest.raises(Invalid, match=words):
        Journal(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises((Unavailable, Invalid)):
        Journal(tmp_path / "file" / "below")


def test_a_refused_commit_stores_nothing(tmp_path):
    with Journal(tmp_path) as journal:
        batch = Batch()
        batch.add("add_journal", (1, 1, 0, None, b"{}"))
        batch.add("add_run", (1,) * 3)
        with pytest.raises(CannotCommit):
            journal.commit(batch)
        assert journal.read("journal_row", (1,)) == []
        good = Batch()
        good.add("add_journal", (1, 1, 0, None, b"{}"))
        journal.commit(good)
        assert journal.read("journal_row", (1,)) == [(b"{}",)]


def test_a_look_beside_the_holder_sees_one_moment(tmp_path):
    with Journal(tmp_path) as journal:
        look = ReadOnly(tmp_path)
        assert look.read("opening_row", (1,)) == []
        batch = Batch()
        batch.add("add_opening", (1, 0))
        journal.commit(batch)
        assert look.read("opening_row", (1,)) == []
        look.close()
        look = ReadOnly(tmp_path)
        assert look.read("opening_row", (1,)) == [(1,)]
        with pytest.raises(apsw.ReadOnlyError):
            look._connection.execute("DELETE FROM openings")
        look.close()


def test_a_look_refuses_what_an_opening_refuses(tmp_path, monkeypatch):
    with pytest.raises(NotFound, match="no journal"):
        ReadOnly(tmp_path)
    Journal(tmp_path).close()
    monkeypatch.setattr("perdure.engines.embedded.journal.SCHEMA", SCHEMA - 1)
    with pytest.raises(Invalid, match="newer Perdure"):
        ReadOnly(tmp_path)
    monkeypatch.setattr("perdure.engines.embedded.journal.SCHEMA", SCHEMA + 1)
    monkeypatch.setattr("perdure.engines.embedded.journal.MIGRATIONS", {SCHEMA: ""})
    with pytest.raises(Invalid, match="brings it up to date"):
        ReadOnly(tmp_path)


def test_a_new_directory_is_for_its_owner_only(tmp_path):
    with Journal(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
