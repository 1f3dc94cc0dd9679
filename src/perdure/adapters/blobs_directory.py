"""Big values as files of a directory, which several processes may share."""

import asyncio
import os
import re
import tempfile
from pathlib import Path

from perdure.errors import Bug, Unavailable

_NAME = re.compile(r"[A-Za-z0-9_%~-][A-Za-z0-9._%~-]*(/[A-Za-z0-9_%~-][A-Za-z0-9._%~-]*)*")


class DirectoryBlobs:
    """Implements `ports/blobs.py`. A file appears whole or not at all, and is on the disk before `put` answers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __repr__(self) -> str:
        return f"DirectoryBlobs({str(self._directory)!r})"

    async def put(self, name: str, body: bytes) -> bool:
        return await asyncio.to_thread(self._put, self._path(name), body)

    async def get(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self._get, self._path(name))

    async def names(self, prefix: str) -> list[str]:
        path = self._path(prefix)
        return await asyncio.to_thread(lambda: sorted(one.name for one in path.iterdir()) if path.is_dir() else [])

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Bug(f"{name!r} is not a name of a blob.")
        return self._directory / name

    def _get(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._away(error) from None

    def _put(self, path: Path, body: bytes) -> bool:
        if path.exists():
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".new-", delete=False) as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(file.name, path)
            except FileExistsError:
                return False
            finally:
                Path(file.name).unlink()
        except OSError as error:
            raise self._away(error) from None
        _sync(path.parent)
        return True

    def _away(self, error: OSError) -> Unavailable:
        return Unavailable(f"The directory {self._directory} for big values cannot be used: {error.strerror or error}.")


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
