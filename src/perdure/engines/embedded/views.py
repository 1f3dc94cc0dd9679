"""Runs as the outside sees them, from the rows of the journal alone.

The engine answers with it, and so does `Reader` from beside it: a look at a journal that another process works on.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

from perdure.engines.embedded import history
from perdure.engines.embedded.definitions import stored
from perdure.engines.embedded.heads import caught_up
from perdure.engines.embedded.journal import ReadOnly, Rows
from perdure.engines.embedded.programs import Programs
from perdure.engines.embedded.records import RunRow
from perdure.engines.embedded.values import encode, read_fact, read_value, restored
from perdure.errors import NotFound
from perdure.interpreter.events import Started
from perdure.language.values import Json
from perdure.ports.engine import ALL, Entry, Query, Run

_LAST = 2**62
_MOST = 2**31
_SPAN = 20_000
"""Runs looked at in one go, some 10 ms."""


class Views:
    """Reads of one journal. NotFound for an unknown run."""

    def __init__(self, rows: Rows, programs: Programs) -> None:
        self._rows = rows
        self._programs = programs

    def __repr__(self) -> str:
        return f"Views({self._rows!r})"

    def describe(self, tenant: str, run: str) -> Run:
        """One run, whole."""
        return self.run(self.row(tenant, run))

    def find(self, tenant: str, query: Query = ALL, *, limit: int = 100, before: str | None = None) -> list[Run]:
        """Runs, the newest first, without inputs and results."""
        last = _LAST if before is None else self.row(tenant, before).key
        return self.page(tenant, query, limit, (0, last))

    def spans(self, tenant: str, before: str | None) -> Iterator[tuple[int, int]]:
        """The keys of runs in pieces, the newest first: from the first, up to and without the second."""
        last = self._rows.read("last_positions")[0][1] + 1 if before is None else self.row(tenant, before).key
        while last > 0:
            first = max(0, last - _SPAN)
            yield first, last
            last = first

    def page(self, tenant: str, query: Query, limit: int, span: tuple[int, int]) -> list[Run]:
        """The first `limit` runs of a span of keys, the newest first."""
        namespace, _, name = (query.workflow or "").rpartition(".")
        rows = self._rows.read(
            "find_runs",
            {
                "tenant": tenant, "first": span[0], "before": span[1], "limit": min(limit, _MOST),
                "statuses": encode(query.statuses).decode() if query.statuses else None,
                "namespace": namespace or None, "name": name or None, "version": query.version,
                "since": query.since, "until": query.until,
            },
        )  # fmt: skip
        return [self.run(caught_up(self._rows, RunRow(*row)), whole=False) for row in rows]

    def history(self, tenant: str, run: str) -> list[Entry]:
        """The timeline so far, by replay."""
        return self.entries(self.row(tenant, run))

    def entries(self, row: RunRow) -> list[Entry]:
        """The timeline of a row's run, as far as the row knows it."""
        return history.entries(self._rows, row, self._programs.get(row.definition, row.program), self.blob)

    def run(self, row: RunRow, *, whole: bool = True, **known: Json) -> Run:
        """What a row says. `input` may be known."""
        given = known["input"] if "input" in known else self.input(row) if whole else None
        result = read_value(row.result, self.blob) if whole and row.result else {}
        return Run(
            id=row.id, tenant=row.tenant, namespace=row.namespace, name=row.name, version=row.version,
            program=row.program, status=row.status, started=row.started, updated=row.updated, ended=row.ended,  # type: ignore[arg-type]
            input=restored(given), output=restored(result.get("output")),
            error=restored(result.get("error")), origin=row.origin,
        )  # fmt: skip

    def input(self, row: RunRow) -> Json:
        """The run's input, as it is stored."""
        return self.input_of(self._rows.read("journal_row", (row.first,))[0][0])

    def input_of(self, first: bytes) -> Json:
        """The input that a run's first fact holds."""
        fact = read_fact(first, self.blob)
        return fact.input if isinstance(fact, Started) else None

    def row(self, tenant: str, run: str) -> RunRow:
        """The rows of a run by its public id."""
        rows = self._rows.read("run_by_public", (tenant, run))
        if not rows:
            raise NotFound(f"There is no run {run}.", hint="`perdure runs list` shows the runs there are.")
        return caught_up(self._rows, RunRow(*rows[0]))

    def row_by_key(self, key: int) -> RunRow:
        """The rows of a run that is known to be there."""
        return caught_up(self._rows, RunRow(*self._rows.read("run_by_key", (key,))[0]))

    def blob(self, hash: bytes) -> bytes | None:
        """A big value by its hash."""
        rows = self._rows.read("blob", (hash,))
        return rows[0][0] if rows else None


class Reader:
    """A look at the journal of a directory, at one moment, whoever works there. `functions` compile what is replayed."""

    def __init__(self, directory: Path, functions: Any = None) -> None:
        self._journal = ReadOnly(directory)
        self.views = Views(self._journal, Programs(functions, partial(stored, self._journal)))

    def __repr__(self) -> str:
        return f"Reader({self._journal!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    # As an engine is read (`ports/engine.py`)

    async def describe(self, tenant: str, run: str) -> Run:
        return self.views.describe(tenant, run)

    async def find(self, tenant: str, query: Query = ALL, *, limit: int = 100, before: str | None = None) -> list[Run]:
        return self.views.find(tenant, query, limit=limit, before=before)

    async def history(self, tenant: str, run: str) -> list[Entry]:
        return self.views.history(tenant, run)
