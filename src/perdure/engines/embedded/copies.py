"""Whole copies of SQLite files while others write to them, and whether a file is whole.

A copy is of one moment and holds up nobody. It is read back before it counts as one.
"""

import os
from pathlib import Path

import apsw

from perdure.errors import Unavailable


def copy(source: Path, target: Path) -> None:
    """Make `target`, which must not exist, a copy of `source` as it is now. Unavailable when it cannot be had whole."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        place = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
        copied = apsw.Connection(str(target))
        try:
            place.set_busy_timeout(10_000)
            with copied.backup("main", place, "main") as under_way:
                under_way.step(-1)  # in one go: step by step it would begin anew with each write of others
        finally:
            place.close(force=True)
            copied.close(force=True)
        check(target)
    except apsw.Error as error:
        raise Unavailable(f"{source} could not be copied: {error}.") from error


def check(path: Path) -> None:
    """Unavailable when the file is damaged. Afterwards it is one file, without a log beside it."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        finally:
            connection.close(force=True)
    except apsw.Error as error:
        raise Unavailable(f"{path} is damaged or no SQLite database: {error}.") from error
    if found != ["ok"] or broken is not None:
        raise Unavailable(f"{path} is damaged: {'; '.join(found) if found != ['ok'] else 'a reference leads nowhere'}.")


def tell_again(path: Path, since: int) -> int:
    """Mark what an outbox in this file sent since then as not sent; how many events. A file without one has none."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
            return 0
        connection.execute("UPDATE outbox SET sent = NULL, free = 0 WHERE sent >= ?", (since,))
        return connection.changes()
    finally:
        connection.close(force=True)
