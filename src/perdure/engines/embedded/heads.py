"""When the row of `heads` of a run is written: with every change that it is found by, and else seldom.

A step that changes nothing but the run's newest fact costs one row, the fact. Its row of `heads` may lag behind within
the newest window of the journal, or not be there yet, which means `running`: facts are numbered, a window ends at every
multiple of `WINDOW`, and whoever reads looks for newer facts of the run there (`queries.sql`). With the first fact of a
window all rows that lag are written.
"""

import msgspec

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import Rows
from perdure.engines.embedded.records import RunRecord, RunRow
from perdure.engines.embedded.writer import Writer

WINDOW = 256
"""The same figure stands in `queries.sql`."""


class _Moment(msgspec.Struct):
    """What is read of a fact whose content does not matter."""

    kind: str
    now: int


_moment = msgspec.json.Decoder(_Moment)


class Heads:
    """The rows of `heads` that the commit in the making writes, and those that lag behind."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._late: dict[int, RunRecord] = {}

    def __repr__(self) -> str:
        return f"Heads(late={len(self._late)})"

    def write(self, record: RunRecord, *, parked: bool = False) -> None:
        """Write the run's row with the commit in the making."""
        self._late.pop(record.key, None)
        self._writer.batch.heads[record.key] = record.head_row(parked=parked)
        record.shown = None if parked or record.ended is not None else record.status

    def moved(self, record: RunRecord) -> None:
        """The run has a new fact: write its row if that says more than the fact does."""
        if record.shown == record.status and record.ended is None:
            self._late[record.key] = record
        else:
            self.write(record)

    def lags(self, run: int) -> bool:
        """Whether the run may have newer facts than its stored row says: it is late, or about to be written."""
        making, storing = self._writer.batch, self._writer.committing
        return run in self._late or run in making.heads or (storing is not None and run in storing.heads)

    def catch_up(self) -> None:
        """The first fact of a window is about to be stored: no older row may lag."""
        for record in list(self._late.values()):
            self.write(record)


def caught_up(journal: Rows, row: RunRow) -> RunRow:
    """The row with the time of its newest fact, which the stored row may lag behind."""
    if row.ended is not None:
        return row
    newest: _Moment = _moment.decode(journal.read("journal_row", (row.head,))[0][0])
    return row if newest.kind == "sent" else row._replace(updated=newest.now)


def catch_up(journal: Rows, batch: Batch) -> None:
    """At an opening: write every row that lagged when the process before this one ended."""
    for run, head, body in journal.read("newest_facts"):
        batch.add("move_head", (run, head, _moment.decode(body).now))
