"""Who looks on: live entries for `watch`, and futures for `wait`."""

import asyncio
from typing import Any, TypeAlias

from perdure.engines.embedded.records import RunRecord
from perdure.engines.embedded.values import restored
from perdure.errors import Unavailable
from perdure.interpreter.commands import Command, Lifecycle, ScheduleCall
from perdure.ports.clock import Clock
from perdure.ports.engine import Entry

Line: TypeAlias = "asyncio.Queue[Entry | None]"
"""Entries of a run as they happen; None when it has ended."""


class Watchers:
    """Lookers-on by run key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[int, list[Line]] = {}
        self._waiting: dict[int, list[asyncio.Future[RunRecord]]] = {}

    def __repr__(self) -> str:
        return f"Watchers(watching={len(self._lines)}, waiting={len(self._waiting)})"

    def open(self, key: int) -> Line:
        """A line that gets every entry from now on."""
        line: Line = asyncio.Queue()
        self._lines.setdefault(key, []).append(line)
        return line

    def close(self, key: int, line: Line) -> None:
        """The looker-on leaves."""
        lines = self._lines.get(key, [])
        if line in lines:
            lines.remove(line)
        if not lines:
            self._lines.pop(key, None)

    def ended(self, key: int) -> "asyncio.Future[RunRecord]":
        """Done when the run has ended, with its last state."""
        future: asyncio.Future[RunRecord] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        return future

    def tell(self, record: RunRecord, commands: list[Command], first: int) -> None:
        """Pass on the entries among these commands; `first` is the number of the last entry before them."""
        lines = self._lines.get(record.key)
        if lines:
            for entry in entries_of(commands, first):
                for line in lines:
                    line.put_nowait(entry)

    def progress(self, key: int, command: ScheduleCall, data: dict[str, Any]) -> None:
        """Pass on what a call reports while it is under way."""
        for line in self._lines.get(key, ()):
            line.put_nowait(
                Entry(number=0, at=self._clock.now(), type="progress", path=command.path, ref=command.ref, data=data)
            )

    def end(self, record: RunRecord) -> None:
        """The run has ended."""
        for line in self._lines.get(record.key, ()):
            line.put_nowait(None)
        for future in self._waiting.pop(record.key, ()):
            if not future.done():
                future.set_result(record)

    def shut(self) -> None:
        """The engine closes: nobody is told anything any more."""
        for lines in self._lines.values():
            for line in lines:
                line.put_nowait(None)
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(Unavailable("The engine was closed; the run goes on at the next start."))
        self._waiting.clear()


def entries_of(commands: list[Command], first: int) -> list[Entry]:
    """The history entries among commands, numbered on from `first`."""
    entries = []
    for command in commands:
        if isinstance(command, Lifecycle):
            first += 1
            entries.append(
                Entry(
                    number=first,
                    at=command.now,
                    type=command.type,
                    path=command.path,
                    ref=command.ref,
                    data=restored(command.data),
                )
            )
    return entries
