"""Room in the write-ahead log: its file is kept longer than what stands in it.

To write over what a file has costs the disk about half of what growing it does, because a file that grows has its
size and place synchronised too. What is appended are zeros, which no reader of a log takes for a frame.
"""

from pathlib import Path

import apsw

_PAGES = 256
"""So many pages are added at a time."""
_FIRST = 24
"""Commits after which the first room is made: not for a command that makes a few and ends."""
_EVERY = 128
"""Commits between two times; most take one or two pages."""
_FRAME = 4096 + 24
_HEADER = 32
_AT_ONCE = 65_536
"""SQLite's own files refuse writes that are much longer."""
_FLAGS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE


class Room:
    """The file of one log. `most` is how many pages it comes to before it is folded in and begins anew."""

    def __init__(self, path: Path, vfs: str | None, most: int) -> None:
        self._path = str(path)
        self._vfs = vfs or ""
        self._most = most
        self._pages = 0
        self._commits = 0
        self._next = _FIRST

    def __repr__(self) -> str:
        return f"Room({self._path!r}, pages={self._pages})"

    def used(self) -> None:
        """One more commit stands in the log."""
        self._commits += 1
        if self._commits == self._next and self._pages < self._most:
            self._pages = min(self._pages + _PAGES, self._most)
            self._next += _EVERY
            try:
                self._extend(_HEADER + self._pages * _FRAME)
            except (apsw.Error, OSError):
                self._pages = self._most  # a disk without room to spare: the log grows by itself, as long as it can

    def _extend(self, size: int) -> None:
        file = apsw.VFSFile(self._vfs, self._path, [_FLAGS, 0])
        try:
            present = file.xFileSize()
            for start in range(present, size, _AT_ONCE):  # the next commit synchronises it
                file.xWrite(bytes(min(_AT_ONCE, size - start)), start)
        finally:
            file.xClose()
