"""Forgetting runs that have ended: their rows, and the big values and documents that nothing refers to any more.

It works on the journal alone and needs it for itself, so no run goes on meanwhile. Each step is one transaction; what
a crash leaves over is found by the next one.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from perdure.engines.embedded.journal import Execute, Journal, Row
from perdure.engines.embedded.programs import Programs
from perdure.engines.embedded.values import BLOB
from perdure.engines.embedded.views import Views
from perdure.errors import Conflict

_AT_ONCE = 500
_reference = re.compile(rb'"' + re.escape(BLOB.encode()) + rb'":\s*"([0-9a-f]{64})"')
_OF_A_RUN = (
    "drop_snapshot",
    "drop_timers",
    "drop_subscriptions",
    "drop_watches",
    "forget_head",
    "forget_parent",
    "forget_run",
)
_HOLDERS = ("journal_with", "snapshots_with", "results_with")


def delete(directory: Path, tenant: str, run: str) -> None:
    """Forget one run. NotFound when it is not there, Conflict while it or a child of it has not ended."""
    with Journal(directory) as journal:
        row = Views(journal, Programs(None, lambda hash: None)).row(tenant, run)
        if row.ended is None:
            raise Conflict(f"The run {run} is {row.status}.", hint="End it first: `perdure runs cancel`.")
        if not journal.change(lambda execute: _forget(execute, _ended(execute, tenant, only=row.key))):
            raise Conflict(
                f"The run {run} has ended, but a workflow that it started has not.",
                hint="`perdure runs list` shows it; `perdure runs resume --all` goes on with everything.",
            )
        journal.change(_sweep)


def prune(directory: Path, tenant: str, before: int) -> int:
    """Forget all runs that ended before a moment (milliseconds since the epoch); how many."""
    with Journal(directory) as journal:
        count = 0
        while found := journal.change(lambda execute: _forget(execute, _ended(execute, tenant, before=before))):
            count += found
        journal.change(_sweep)
    return count


def compact(directory: Path) -> None:
    """Give what is free in the file back to the disk. It needs as much room again while it works."""
    with Journal(directory) as journal:
        journal.vacuum()


def _ended(execute: Execute, tenant: str, *, before: int | None = None, only: int | None = None) -> list[Row]:
    """(run, head) of runs that owe nothing and for which nobody works any more."""
    return list(execute("forgettable", {"tenant": tenant, "before": before, "only": only, "limit": _AT_ONCE}))


def _forget(execute: Execute, runs: list[Row]) -> int:
    for run, head in runs:
        execute("forget_journal", (head,))
        for statement in _OF_A_RUN:
            execute(statement, (run,))
    return len(runs)


def _sweep(execute: Execute) -> None:
    execute("forget_definitions", ())
    kept: set[bytes] = set()
    found: set[bytes] = set()
    for query in _HOLDERS:
        found.update(_references(execute(query, (BLOB.encode(),))))
    while found:
        kept |= found
        found = {hash for one in found for hash in _references(execute("blob", (one,)))} - kept
    for (hash,) in list(execute("blob_hashes", ())):
        if hash not in kept:
            execute("forget_blob", (hash,))


def _references(rows: Iterable[Row]) -> Iterator[bytes]:
    for (body,) in rows:
        for name in _reference.findall(body):
            yield bytes.fromhex(name.decode())
