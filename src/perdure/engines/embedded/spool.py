"""Events on their way into a journal: files in the data directory, so that any process can hand one in.

Whoever sends writes a file and renames it into place; the process that works in the directory takes it, and removes it
after the commit. A crash between the two delivers it again, and the journal knows it by its source and id.
"""

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from perdure.errors import Invalid, Unavailable
from perdure.language.values import TooMany, check_count

_LONGEST = 64 * 1024 * 1024
_log = logging.getLogger("perdure.engine")


class _Letter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tenant: str
    event: dict[str, Any]


class Spool:
    """The folder `events` of a data directory."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "events"

    def __repr__(self) -> str:
        return f"Spool({str(self._folder)!r})"

    def put(self, tenant: str, event: dict[str, Any]) -> None:
        """Hand in an event; durable when it returns. OSError when the disk does not take it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{time.time_ns():020}-{uuid.uuid4()}"
        made = self._folder / f"{name}.part"
        try:
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(_Letter(tenant, event)))
                file.flush()
                os.fsync(file.fileno())
            made.rename(self._folder / f"{name}.json")
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        for folder in (self._folder, self._folder.parent):
            _sync(folder)

    async def take(self, deliver: Callable[[str, dict[str, Any]], Awaitable[bool]]) -> int:
        """Deliver what is there, the oldest first; how many. What is no event is put aside and told."""
        taken = 0
        for file in self._files():
            try:
                letter = msgspec.json.decode(_read(file), type=_Letter)
                await deliver(letter.tenant, letter.event)
            except (msgspec.DecodeError, Invalid, UnicodeDecodeError, RecursionError) as error:
                _log.warning("%s holds no event (%s) and is put aside as %s.refused.", file, error, file.name)
                file.rename(f"{file}.refused")
                continue
            except (Unavailable, OSError) as error:
                _log.debug("%s is left for later: %s", file, error)
                break
            file.unlink(missing_ok=True)
            taken += 1
        return taken

    def _files(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(Path(entry.path) for entry in os.scandir(self._folder) if entry.name.endswith(".json"))
        return []


def _read(file: Path) -> bytes:
    if file.stat().st_size > _LONGEST:
        raise Invalid("it is too large")
    content = file.read_bytes()
    try:
        check_count(content)
    except TooMany as error:
        raise Invalid(str(error)) from None
    return content


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
