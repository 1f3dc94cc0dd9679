"""A spool in files of a directory: two of them in turn, locked by who writes them and found by who comes after.

A line is one `write`, which the system keeps when the process is killed. Nothing is synchronised with the disk.
"""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

_SUFFIX = ".spool"


class FilePage:
    """Implements `ports/spool.py: Page`: one file, locked."""

    def __init__(self, path: Path, file: int, *, is_own: bool) -> None:
        self.path = path
        self.is_free = False
        """Nothing in it is needed: it may be written again."""
        self._file = file
        self._is_own = is_own

    def __repr__(self) -> str:
        return f"FilePage({self.path.name}, is_free={self.is_free})"

    def put(self, line: bytes) -> None:
        written = os.write(self._file, line + b"\n")
        if written <= len(line):
            raise OSError(28, "there was no room for the whole line")

    def lines(self) -> list[bytes]:
        return [line for line in self.path.read_bytes().split(b"\n") if line]

    def drop(self) -> None:
        if self._is_own:
            os.ftruncate(self._file, 0)
            self.is_free = True
        else:
            self.remove()

    def leave(self) -> None:
        """Whoever begins next finds it unlocked."""
        os.close(self._file)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._file)


class FileSpool:
    """Implements `ports/spool.py: Spool`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spare: FilePage | None = None
        self._page = self._new()

    def __repr__(self) -> str:
        return f"FileSpool({self._page!r})"

    def put(self, line: bytes) -> None:
        self._page.put(line)

    def turn(self) -> FilePage:
        turned, spare = self._page, self._spare
        if spare is not None and spare.is_free:
            spare.is_free = False
            self._page = spare
        else:
            self._page = self._new()
        self._spare = turned
        return turned

    def left(self) -> list[FilePage]:
        mine = {page.path for page in (self._page, self._spare) if page is not None}
        found = []
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(OSError):  # gone, or somebody works with it
                if path not in mine:
                    found.append(FilePage(path, _locked(path), is_own=False))
        return found

    def close(self) -> None:
        """What is needed no more is removed."""
        self._page.leave() if self._page.lines() else self._page.remove()
        if self._spare is not None and self._spare.is_free:
            self._spare.remove()

    def _new(self) -> FilePage:
        path = self._directory / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        return FilePage(path, _locked(path, os.O_CREAT | os.O_EXCL), is_own=True)


def _locked(path: Path, more: int = 0) -> int:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | more, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file
