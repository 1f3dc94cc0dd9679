"""A disk that can lose power and fill up: a SQLite VFS over real files that knows what was not synchronised yet.

What is written and not synchronised is kept a sector at a time. `image` copies the files as a power loss would leave
them: every unsynchronised sector is there or not, by chance, each on its own (torn writes), and so is a change of size.
Not modelled: the loss of a directory entry.
"""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
_count = itertools.count()


class Pending:
    """One file's unsynchronised writes: what each changed sector held when it was last synchronised."""

    def __init__(self) -> None:
        self.sectors: dict[int, bytes] = {}
        self.size: int | None = None
        """Size when last synchronised, if it changed since."""


class WeakDisk(apsw.VFS):
    """Give `name` to a Journal. `on_write(path)` is called before each write and may raise, `after` after each."""

    def __init__(self) -> None:
        self.name = f"weak-{next(_count)}"
        self.pending: dict[str, Pending] = {}
        self.writes = 0
        self.on_write: Callable[[str], None] = lambda path: None
        self.after: Callable[[], None] = lambda: None
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "WeakFile":
        return WeakFile(self, name, flags)

    def image(self, source: Path, target: Path, chance: random.Random) -> None:
        """What a power loss now would leave of the folder."""
        target.mkdir(parents=True, exist_ok=True)
        for path in source.glob("journal.db*"):
            if path.name.endswith("-shm"):
                continue
            content = bytearray(path.read_bytes())
            pending = self.pending.get(str(path))
            if pending is not None:
                content = _survivors(content, pending, chance)
            (target / path.name).write_bytes(content)


def _survivors(content: bytearray, pending: Pending, chance: random.Random) -> bytearray:
    kept = pending.size is None or chance.random() < 0.5
    reach = len(content) if pending.size is None else pending.size
    likely = chance.choice((0.1, 0.5, 0.9))
    for sector, old in pending.sectors.items():
        start = sector * SECTOR
        if chance.random() < likely:
            reach = max(reach, min(start + SECTOR, len(content)))
        else:
            content[start : start + SECTOR] = old.ljust(min(SECTOR, max(0, len(content) - start)), b"\0")
    return content if kept else content[:reach]


class WeakFile(apsw.VFSFile):
    """One open file of a WeakDisk."""

    def __init__(self, disk: WeakDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._pending = disk.pending.setdefault(self._path, Pending())
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.writes += 1
        self._disk.on_write(self._path)
        self._remember(offset, len(data))
        super().xWrite(data, offset)
        self._disk.after()

    def xTruncate(self, size: int) -> None:
        before = super().xFileSize()
        if size < before:
            self._remember(size, before - size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.on_write(self._path)
        self._disk.after()
        self._pending.sectors.clear()
        self._pending.size = None
        self._disk.after()

    def _remember(self, offset: int, length: int) -> None:
        size = super().xFileSize()
        if self._pending.size is None:
            self._pending.size = size
        for sector in range(offset // SECTOR, (offset + length - 1) // SECTOR + 1):
            if sector not in self._pending.sectors:
                start = sector * SECTOR
                old = super().xRead(min(SECTOR, size - start), start) if start < size else b""
                self._pending.sectors[sector] = old
