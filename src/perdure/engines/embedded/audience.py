"""Who listens for lifecycle events: such events are made only where somebody under way could hear them.

A run counts from its beginning, before it subscribes, so that it finds what happened in between (T14).
"""

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import Rows
from perdure.engines.embedded.records import RunRecord


class Audience:
    """Runs that have not ended and whose programs name lifecycle types. Empty for most installations."""

    def __init__(self, rows: Rows) -> None:
        self._types: dict[int, list[tuple[str, str]]] = {}
        self._runs: dict[tuple[str, str], dict[int, None]] = {}
        for tenant, type, run in rows.read("watches"):
            self._add(tenant, type, run)

    def __repr__(self) -> str:
        return f"Audience(runs={len(self._types)})"

    def __bool__(self) -> bool:
        return bool(self._types)

    def update(self, record: RunRecord, batch: Batch) -> None:
        """A run whose program watches has taken a fact: it may have begun, ended, or been opened again."""
        run = record.key
        if record.ended is None and run not in self._types:
            for type in record.program.watches:
                self._add(record.row.tenant, type, run)
        elif record.ended is not None and run in self._types:
            for place in self._types.pop(run):
                del self._runs[place][run]
                if not self._runs[place]:
                    del self._runs[place]
        else:
            return
        batch.watches[run] = [(*place, run) for place in self._types.get(run, ())]

    def hears(self, tenant: str, type: str) -> bool:
        """Whether anybody may take a lifecycle event of this type."""
        return (tenant, type) in self._runs or (tenant, "") in self._runs

    def _add(self, tenant: str, type: str, run: int) -> None:
        self._types.setdefault(run, []).append((tenant, type))
        self._runs.setdefault((tenant, type), {})[run] = None
