"""A disk that loses power: everything SQLite does to its files is recorded, and any moment of it can be replayed with a
torn subset of the unsynced writes.

Model (`reliability.md` T2): a write reaches the disk for certain with the next sync of its file; before that each of
its 512-byte sectors may or may not be there. Truncations and deletions behave like writes. Loss of a directory entry
is not modelled.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw

SECTOR = 512


class Operation(NamedTuple):
    """One thing done to a file, or (`kind` "ack") the moment at which commit number `offset` was acknowledged."""

    kind: str
    name: str = ""
    offset: int = 0
    data: bytes = b""


class Recorder(apsw.VFS):  # type: ignore[misc]
    """A VFS over the real files that writes down what is done to them."""

    def __init__(self, name: str) -> None:
        self.log: list[Operation] = []
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "RecordedFile":
        return RecordedFile(self.log, name, flags)

    def xDelete(self, name: str, sync_directory: bool) -> None:
        self.log.append(Operation("truncate", Path(name).name, 0))
        self.log.append(Operation("sync", Path(name).name))
        super().xDelete(name, sync_directory)


class RecordedFile(apsw.VFSFile):  # type: ignore[misc]
    """One open file of the recorder."""

    def __init__(self, log: list[Operation], name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        full = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(full or "temporary").name
        self._log = log

    def xWrite(self, data: bytes, offset: int) -> None:
        self._log.append(Operation("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._log.append(Operation("truncate", self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._log.append(Operation("sync", self._name))


class Disk:
    """What certainly is on the disk, and what may be, while a log is replayed operation by operation."""

    def __init__(self) -> None:
        self.safe: dict[str, bytearray] = {}
        self.unsynced: dict[str, list[Operation]] = {}
        self.acknowledged = -1

    def apply(self, operation: Operation) -> None:
        if operation.kind == "ack":
            self.acknowledged = operation.offset
        elif operation.kind == "sync":
            content = self.safe.setdefault(operation.name, bytearray())
            for write in self.unsynced.pop(operation.name, []):
                _perform(content, write)
        else:
            self.unsynced.setdefault(operation.name, []).append(operation)

    def after_power_loss(self, chance: Random) -> dict[str, bytes]:
        """The files as they may be found: each unsynced sector survives or not."""
        survival = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        found = {}
        for name in {**self.safe, **self.unsynced}:
            content = bytearray(self.safe.get(name, b""))
            for operation in self.unsynced.get(name, []):
                for part in _sectors(operation):
                    if chance.random() < survival:
                        _perform(content, part)
            found[name] = bytes(content)
        return found


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Make the folder hold exactly these files."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        if content:
            (folder / name).write_bytes(content)


def _sectors(operation: Operation) -> Iterator[Operation]:
    if operation.kind != "write":
        yield operation
        return
    start, end = operation.offset, operation.offset + len(operation.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        piece = operation.data[start - operation.offset : stop - operation.offset]
        yield Operation("write", operation.name, start, piece)
        start = stop


def _perform(content: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del content[operation.offset :]
        return
    if len(content) < operation.offset:
        content.extend(bytes(operation.offset - len(content)))
    content[operation.offset : operation.offset + len(operation.data)] = operation.data
