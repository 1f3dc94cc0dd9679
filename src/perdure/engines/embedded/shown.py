"""Runs one by one, as this engine shows them again and again: from memory as far as that is durable, else from the rows.

What was shown is kept until a commit holds a fact of the run, and told to nobody before that commit is stored.
"""

from collections import OrderedDict

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.heads import Heads
from perdure.engines.embedded.journal import Rows
from perdure.engines.embedded.records import RunRow
from perdure.engines.embedded.residents import Residents
from perdure.engines.embedded.values import encode
from perdure.engines.embedded.views import Views
from perdure.ports.engine import Run


class Shown:
    """What `describe` answers. NotFound for an unknown run."""

    def __init__(self, rows: Rows, views: Views, residents: Residents, heads: Heads) -> None:
        self._rows = rows
        self._views = views
        self._residents = residents
        self._heads = heads
        self._kept = Kept()

    def __repr__(self) -> str:
        return f"Shown({self._kept!r})"

    def describe(self, tenant: str, run: str) -> Run:
        """One run, whole."""
        known = self._kept.get(tenant, run)
        if known is None:
            key, known = self._resident(tenant, run) or self._stored(tenant, run)
            self._kept.keep(key, known)
        return known

    def saved(self, batch: Batch) -> None:
        """A commit is durable: what was shown of its runs no longer holds."""
        if self._kept:
            for fact in batch.rows.get("add_journal", ()):
                self._kept.drop(fact[1])

    def _resident(self, tenant: str, run: str) -> tuple[int, Run] | None:
        """A run in memory. One with a fact that is not durable yet is pinned (`Worker._saved`): the rows know better."""
        key = self._residents.keys.get((tenant, run))
        if key is None or (record := self._residents.records[key]).pins:
            return None
        if record.is_whole:
            return key, self._views.run(record.as_row(), input=record.given)
        return key, self._views.run(record.as_row())

    def _stored(self, tenant: str, run: str) -> tuple[int, Run]:
        """By one read where the row of `heads` is exact: where the run is not in memory and does not lag (`heads.py`)."""
        if (tenant, run) not in self._residents.keys:
            for *places, first in self._rows.read("run_with_input", (tenant, run)):
                row = RunRow(*places)
                if not self._heads.lags(row.key):
                    return row.key, self._views.run(row, input=self._views.input_of(first))
        row = self._views.row(tenant, run)
        return row.key, self._views.run(row)


class Kept:
    """Runs by the names they were asked for, the latest within some bytes; each is dropped by its key."""

    def __init__(self, bytes: int = 16_000_000) -> None:
        self._most = bytes
        self._bytes = 0
        self._runs: OrderedDict[tuple[str, str], tuple[Run, int, int]] = OrderedDict()
        """With its key and its size."""
        self._names: dict[int, tuple[str, str]] = {}

    def __repr__(self) -> str:
        return f"Kept(runs={len(self._runs)}, bytes={self._bytes})"

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, tenant: str, run: str) -> Run | None:
        found = self._runs.get((tenant, run))
        return None if found is None else found[0]

    def keep(self, key: int, run: Run) -> None:
        """One that would drive out many others is not kept."""
        size = 1_000 + len(encode([run.input, run.output, run.error]))
        if size > self._most // 16 or key in self._names:
            return
        name = self._names[key] = (run.tenant, run.id)
        self._runs[name] = (run, key, size)
        self._bytes += size
        while self._bytes > self._most:
            _, (_, oldest, freed) = self._runs.popitem(last=False)
            del self._names[oldest]
            self._bytes -= freed

    def drop(self, key: int) -> None:
        name = self._names.pop(key, None)
        if name is not None:
            self._bytes -= self._runs.pop(name)[2]
