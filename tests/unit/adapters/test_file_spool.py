"""Lines in files that outlive who wrote them."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from perdure.adapters.file_spool import FileSpool

WRITER = """
import os, signal, sys
from pathlib import Path
from perdure.adapters.file_spool import FileSpool
spool = FileSpool(Path(sys.argv[1]))
for number in range(3):
    spool.put(b"%d" % number)
spool.turn()
spool.put(b"3")
print("written", flush=True)
signal.pause()
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


def files(folder):
    return sorted(path for path in folder.iterdir())


def test_what_was_put_is_on_the_page_that_is_turned(folder):
    spool = FileSpool(folder)
    spool.put(b"one")
    spool.put(b"two")
    page = spool.turn()
    spool.put(b"three")
    assert page.lines() == [b"one", b"two"]
    page.drop()
    assert (page.lines(), spool.turn().lines()) == ([], [b"three"])
    spool.close()


def test_two_files_are_enough_and_none_stays_when_all_is_kept_elsewhere(folder):
    spool = FileSpool(folder)
    for _ in range(10):
        spool.put(b"line")
        page = spool.turn()
        assert page.lines() == [b"line"]
        page.drop()
    assert len(files(folder)) == 2
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files(folder))
    spool.close()
    assert files(folder) == []


def test_what_is_left_is_found_by_the_next_one_and_what_another_writes_is_not(folder):
    first, second = FileSpool(folder), FileSpool(folder)
    first.put(b"lost")
    second.put(b"mine")
    assert second.left() == []
    first.turn().leave()
    first.put(b"too late for the database")
    first.close()
    left = second.left()
    assert sorted(line for page in left for line in page.lines()) == [b"lost", b"too late for the database"]
    for page in left:
        page.drop()
    assert second.left() == []
    second.close()


def test_a_killed_process_leaves_every_line(folder):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    with writer:
        assert writer.stdout.readline() == "written\n"
        spool = FileSpool(folder)
        assert spool.left() == []
        writer.send_signal(signal.SIGKILL)
    assert sorted(line for page in spool.left() for line in page.lines()) == [b"0", b"1", b"2", b"3"]
    spool.close()


def test_no_room_is_said(folder, monkeypatch):
    spool = FileSpool(folder)
    monkeypatch.setattr(os, "write", lambda file, line: len(line) - 1)
    with pytest.raises(OSError, match="no room") as raised:
        spool.put(b"line")
    assert raised.value.errno == errno.ENOSPC
    spool.close()
