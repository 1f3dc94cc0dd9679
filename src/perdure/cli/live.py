"""The live view of a run on a terminal. The only module that imports rich."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live as Screen
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from perdure.cli import progress
from perdure.ports.engine import Entry

_SHOWN = 12
_REST = 30
"""Columns of a row beside its label, when little more is known."""
_STYLES = {
    "completed": "green",
    "faulted": "red",
    "cancelled": "yellow",
    "waits": "cyan",
    "is tried again": "yellow",
    "suspended": "yellow",
}
_OVER = frozenset({"completed", "faulted", "cancelled", "skipped"})


class _Row:
    __slots__ = ("ended", "label", "last", "since", "word")

    def __init__(self, label: str, entry: Entry) -> None:
        self.label = label
        self.word = ""
        self.since = entry.at
        self.last = entry
        self.ended: int | None = None

    def more(self, now: float) -> str:
        """What is known about it; times count down."""
        return progress.told(self.last, int(now))[2]


class Live:
    """The last tasks with what they do, under a line that counts tasks, retries and tokens."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._rows: dict[str, _Row] = {}
        self._ended: dict[str, None] = {}
        """The rows of what is over, in the order of their ends."""
        self._counts = {"completed": 0, "faulted": 0, "is tried again": 0}
        self._tokens = 0
        self._already = 0
        self._word = "started"
        self._stopped = False
        self._spinner = Spinner("dots")
        self._screen = Screen(console=Console(stderr=True), get_renderable=lambda: self, refresh_per_second=8)

    def __repr__(self) -> str:
        return f"Live({self._run!r}, tasks={len(self._rows)})"

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        self._screen.stop()

    def past(self, entries: list[Entry]) -> None:
        """Take in what happened before: what is done is only counted."""
        for entry in entries:
            self.entry(entry)
        self._rows = {path: row for path, row in self._rows.items() if row.ended is None}
        self._ended.clear()
        self._already, self._tokens = self._counts["completed"], 0
        self._counts = dict.fromkeys(self._counts, 0)

    def entry(self, entry: Entry) -> None:
        """Take one more entry in; the screen is drawn by its own clock."""
        who, word, more = progress.told(entry)
        if not entry.path:
            self._word = f"{word} {more}".strip()
            return
        if progress.is_body(entry.path):
            return
        row = self._rows.pop(entry.path, None)
        if row is None or (row.ended is not None and entry.number):
            row = _Row(who, entry)
            self._ended.pop(entry.path, None)
        self._rows[entry.path] = row
        row.last = entry
        if not entry.number:
            return
        row.word = word
        if word == "is tried again":
            self._drop_attempt(entry.path)
        if word in self._counts:
            self._counts[word] += 1
        self._tokens += progress.tokens(entry.data.get("usage"))
        if word in _OVER:
            row.ended = entry.at
            self._ended[entry.path] = None
        self._forget()

    def _drop_attempt(self, path: str) -> None:
        """What the attempt before did is over and counted; its error stands at the task that tries again."""
        for each in [each for each in self._ended if each.startswith((f"{path}/", f"{path}~"))]:
            del self._rows[each], self._ended[each]

    def _forget(self) -> None:
        while self._ended and len(self._rows) > _SHOWN:
            path = next(iter(self._ended))
            del self._rows[path], self._ended[path]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table.grid(padding=(0, 1))
        for _ in range(4):
            table.add_column(no_wrap=True)
        table.add_column()  # what is known gives way first: only a column that may wrap does
        room = max(8, min(options.max_width // 2, options.max_width - _REST))
        now = time.time() * 1000
        for row in list(self._rows.values())[-_SHOWN:]:
            seconds = max(0.0, ((now if row.ended is None else row.ended) - row.since) / 1000)
            still = row.ended is None and not self._stopped
            mark = self._spinner if still else Text("•", _STYLES.get(row.word, ""))
            style = _STYLES.get(row.word, "dim")
            label, more = _line(_tail(row.label, room)), _line(row.more(now), "dim")
            table.add_row(mark, label, Text(row.word, style), f"{seconds:.1f} s", more)
        yield _line(f"run {self._run}  {self._word}", "bold")
        yield table
        yield _line("  ".join(self._sums()), "dim")

    def _sums(self) -> Iterator[str]:
        if self._already:
            yield progress.already(self._already)
        yield f"{self._counts['completed']} done"
        if retries := self._counts["is tried again"]:
            yield "1 retry" if retries == 1 else f"{retries} retries"
        if faulted := self._counts["faulted"]:
            yield f"{faulted} faulted"
        if (open_ := len(self._rows) - len(self._ended)) > _SHOWN:
            yield f"{open_} under way"
        if self._tokens:
            yield f"{self._tokens} tokens"


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _tail(label: str, width: int) -> str:
    """The end of a label says most about where the run is."""
    return label if len(label) <= width else f"…{label[1 - width :]}"
