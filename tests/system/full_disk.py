"""A disk that fills up and is emptied again: every write from the n-th on is refused until there is room."""

from typing import Any

import apsw


class FullDisk(apsw.VFS):  # type: ignore[misc]
    """A VFS over the real files. Writes are counted; from write number `full_at` on they fail until `make_room`."""

    def __init__(self, name: str) -> None:
        self.writes = 0
        self.refused = 0
        self.full_at: int | None = None
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "FullDiskFile":
        return FullDiskFile(self, name, flags)

    def fill_after(self, writes: int) -> None:
        """Let so many more writes succeed."""
        self.full_at = self.writes + writes

    def make_room(self) -> None:
        self.full_at = None

    def take(self) -> None:
        if self.full_at is not None and self.writes >= self.full_at:
            self.refused += 1
            raise apsw.FullError("no space left on device")
        self.writes += 1


class FullDiskFile(apsw.VFSFile):  # type: ignore[misc]
    """One open file of the full disk."""

    def __init__(self, disk: FullDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.take()
        super().xWrite(data, offset)
