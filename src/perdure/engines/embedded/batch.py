"""One commit in the making: every row of the facts that became known together, and what may start once they are stored."""

from collections.abc import Callable, Iterator
from typing import Any

Row = tuple[Any, ...]


class Batch:
    """Rows by statement, in the order in which they must be written; `after` runs when they are durable."""

    __slots__ = ("after", "heads", "rows", "size", "snapshots", "watches")

    _ORDER = (
        "add_blob", "add_definition", "add_published", "add_run", "add_journal", "add_event", "move_timers", "drop_timers", "drop_timer",
        "add_timer", "drop_subscriptions", "add_subscription", "unpark", "forget_events", "move_head", "add_opening",
    )  # fmt: skip

    _WITNESSES = (
        ("add_journal", "journal_row"), ("add_event", "event_row"), ("add_opening", "opening_row"),
        ("add_published", "published"),
    )  # fmt: skip

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.heads: dict[int, Row] = {}
        self.snapshots: dict[int, Row | None] = {}
        """Run -> (seq, body), or None to drop it: only the newest of a commit counts."""
        self.watches: dict[int, list[Row]] = {}
        """Run -> the rows of `watches` that it has from now on."""
        self.after: list[Callable[[], None]] = []
        self.size = 0

    def __repr__(self) -> str:
        return f"Batch({', '.join(f'{name}={len(rows)}' for name, rows in self.rows.items())}, after={len(self.after)})"

    def __bool__(self) -> bool:
        return self.size > 0 or bool(self.after)

    def add(self, statement: str, row: Row) -> None:
        """One more row; a refused statement name is a KeyError at commit, so it is checked here."""
        self.rows.setdefault(statement, []).append(row)
        self.size += 1

    def move_timers(self, by: int, boot: int) -> None:
        """The wall clock was set: move the timers of this opening, stored ones and those about to be."""
        if "add_timer" in self.rows:
            self.rows["add_timer"] = [(due + by, *rest) for due, *rest in self.rows["add_timer"]]
        self.add("move_timers", (by, boot))

    def witness(self) -> tuple[str, Row] | None:
        """A query that finds a row exactly when this commit is stored, or None when storing it twice does no harm."""
        for statement, query in self._WITNESSES:
            rows = self.rows.get(statement)
            if rows:
                return query, rows[0][:4] if statement == "add_published" else rows[0][:1]
        return None

    def single(self) -> Row | None:
        """The one fact, when that is all there is to store."""
        rows = self.rows.get("add_journal")
        if rows is None or len(rows) != 1 or len(self.rows) != 1 or self.heads or self.watches or self.snapshots:
            return None
        return rows[0]

    def statements(self) -> Iterator[tuple[str, list[Row]]]:
        """What to execute, in order."""
        rows = self.rows
        if len(rows) == 1 and "add_journal" in rows:
            yield "add_journal", rows["add_journal"]
        else:
            for name in self._ORDER:
                if name in rows:
                    yield name, rows[name]
        if self.heads:
            yield "put_head", list(self.heads.values())
        if self.watches:
            yield "drop_watches", [(run,) for run in self.watches]
            watches = [row for rows in self.watches.values() for row in rows]
            if watches:
                yield "add_watch", watches
        if self.snapshots:
            kept = [(run, *row) for run, row in self.snapshots.items() if row is not None]
            gone = [(run,) for run, row in self.snapshots.items() if row is None]
            if kept:
                yield "put_snapshot", kept
            if gone:
                yield "drop_snapshot", gone
