"""Big values as files of a directory, which several processes may share."""

import asyncio
import contextlib
import os
import re
import tempfile
import uuid
from pathlib import Path

from perdure.errors import Bug, Unavailable

_NAME = re.compile(r"[A-Za-z0-9_%~-][A-Za-z0-9._%~-]*(/[A-Za-z0-9_%~-][A-Za-z0-9._%~-]*)*")


class DirectoryBlobs:
    """Implements `ports/blobs.py`. A file appears whole or not at all, and is on the disk before `put` answers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __repr__(self) -> str:
        return f"DirectoryBlobs({str(self._directory)!r})"

    async def put(self, name: str, body: bytes, *, is_hash: bool = False) -> bool:
        return await asyncio.to_thread(self._put, self._path(name), body, is_hash)

    async def get(self, name: str) -> bytes | None:
        return await asyncio.to_thread(self._get, self._path(name))

    async def names(self, prefix: str) -> list[str]:
        path = self._path(prefix)
        return await asyncio.to_thread(lambda: sorted(one.name for one in path.iterdir()) if path.is_dir() else [])

    async def delete(self, name: str, *, before: int) -> bool:
        return await asyncio.to_thread(self._delete, self._path(name), before)

    def _path(self, name: str) -> Path:
        return self._directory / checked(name)

    def _get(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._away(error) from None

    def _put(self, path: Path, body: bytes, is_hash: bool) -> bool:
        try:
            if _is_there(path, refresh=is_hash):
                return False
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".new-", delete=False) as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            try:
                _link(file.name, path)
            except FileExistsError:
                return False
            finally:
                Path(file.name).unlink()
        except OSError as error:
            raise self._away(error) from None
        _sync(path.parent)
        return True

    def _delete(self, path: Path, before: int) -> bool:
        """Set aside first, then looked at: whoever puts it meanwhile finds nothing there, and puts it anew."""
        aside = self._directory / f".old-{uuid.uuid4()}"
        try:
            if path.stat().st_mtime_ns // 1_000_000 >= before:
                return False
            path.rename(aside)
            if aside.stat().st_mtime_ns // 1_000_000 >= before:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, path)
                aside.unlink()
                return False
            aside.unlink()
            with contextlib.suppress(OSError):  # others are in it
                path.parent.rmdir()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._away(error) from None
        return True

    def _away(self, error: OSError) -> Unavailable:
        return Unavailable(f"The directory {self._directory} for big values cannot be used: {error.strerror or error}.")


def checked(name: str) -> str:
    """The name, when it is one. Bug when it is not: names are never made of what others say without quoting."""
    if not _NAME.fullmatch(name):
        raise Bug(f"{name!r} is not a name of a blob.")
    return name


def _is_there(path: Path, *, refresh: bool) -> bool:
    if not path.exists():
        return False
    if refresh:
        try:
            os.utime(path)
        except FileNotFoundError:  # deleted at this moment: it is put anew
            return False
    return True


def _link(file: str, path: Path) -> None:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, path)
        except (
            FileNotFoundError
        ):  # the last file of this directory was deleted at this moment, and the directory with it
            continue
        return


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
