"""Which runs are in memory: how one comes in (newest snapshot, then the facts after it) and how it goes out again."""

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Any

from perdure.engines.embedded.heads import Heads, caught_up
from perdure.engines.embedded.journal import Journal
from perdure.engines.embedded.programs import Programs
from perdure.engines.embedded.records import RunRecord, RunRow, Tuning, child_id, is_debt
from perdure.engines.embedded.subscriptions import Subscriptions, types_of
from perdure.engines.embedded.timers import Row, Timers
from perdure.engines.embedded.values import Sent, encode, read_fact, read_saved
from perdure.engines.embedded.writer import Writer
from perdure.ports.clock import Clock


class Residents:
    """The runs in memory, the least recently used first."""

    def __init__(
        self, journal: Journal, programs: Programs, writer: Writer, timers: Timers, subscriptions: Subscriptions,
        clock: Clock, tuning: Tuning, boot: int, heads: Heads,
    ) -> None:  # fmt: skip
        self.records: dict[int, RunRecord] = {}
        self.keys: dict[tuple[str, str], int] = {}
        """(tenant, public id) -> key, of the runs in memory."""
        self._journal = journal
        self._programs = programs
        self._writer = writer
        self._timers = timers
        self._subscriptions = subscriptions
        self._clock = clock
        self._tuning = tuning
        self._boot = boot
        self._heads = heads
        self._used: OrderedDict[int, float] = OrderedDict()
        self.occupied = asyncio.Event()
        """Set while there is something to look at for `sweep`."""

    def __repr__(self) -> str:
        return f"Residents({len(self.records)})"

    @property
    def is_crowded(self) -> bool:
        """Whether more runs are in memory than should be."""
        return len(self.records) > self._tuning.resident

    def blob(self, hash: bytes) -> bytes | None:
        """A big value by its hash."""
        rows = self._journal.read("blob", (hash,))
        return rows[0][0] if rows else None

    def store(self, hash: bytes, body: bytes) -> None:
        """Keep a big value with the commit in the making."""
        self._writer.batch.add("add_blob", (hash, body))

    def add(self, record: RunRecord) -> None:
        """A new run, or one that comes back."""
        record.keep_time(self._clock.monotonic() * 1000, self._clock.now())
        self.records[record.key] = record
        self.keys[record.row.tenant, record.row.id] = record.key
        self._subscriptions.enter(record.key)
        self.touch(record)

    def get(self, key: int, *, ended: bool = False) -> RunRecord | None:
        """The run, brought into memory if it is not there. None when there is none, or it has ended and not `ended`."""
        record = self.records.get(key)
        if record is not None:
            return record
        rows = self._journal.read("run_by_key", (key,))
        if not rows or (rows[0][19] is not None and not ended):
            return None
        record = self._load(caught_up(self._journal, RunRow(*rows[0])))
        self.add(record)
        self._listen_again(record)
        return record

    def going(self, tenant: str, run: str) -> int | None:
        """The key of a run that is in memory and has not ended."""
        key = self.keys.get((tenant, run))
        return None if key is None or self.records[key].ended is not None else key

    def drop(self, record: RunRecord) -> None:
        """Forget a run that has ended or whose rows are written."""
        if self.records.get(record.key) is record:
            del self.records[record.key]
            del self.keys[record.row.tenant, record.row.id]
            self._used.pop(record.key, None)

    def touch(self, record: RunRecord) -> None:
        """The run did something just now."""
        self._used[record.key] = self._clock.monotonic()
        self._used.move_to_end(record.key)
        self.occupied.set()

    def snapshot(self, record: RunRecord) -> None:
        """Write the run's state with the commit in the making."""
        self._writer.batch.snapshots[record.key] = (record.head, record.saved(self.store))

    def rest(self, record: RunRecord) -> None:
        """Everything the run had to do is done for now."""
        if self._tuning.evict != "idle" and record.pins == 0:
            self.evict(record)

    def shrink(self) -> None:
        """Send the least recently used runs out while there are more than the limit."""
        surplus = len(self.records) - self._tuning.resident
        for key in list(self._used)[:surplus] if surplus > 0 else ():
            self.evict(self.records[key])

    def sweep(self) -> float | None:
        """Send out runs that had nothing to do for a while. Seconds until the next look, or None: nothing to look at."""
        now = self._clock.monotonic()
        while self._used:
            key, used = next(iter(self._used.items()))
            remaining = used + self._tuning.idle - now
            if remaining > 0:
                return remaining
            del self._used[key]
            if key in self.records:
                self.evict(self.records[key])
        self.occupied.clear()
        return None

    def evict(self, record: RunRecord) -> None:
        """Write what is needed to go on without the run in memory, and forget it once that is durable."""
        self._used.pop(record.key, None)
        if record.pins:
            return
        if self._tuning.evict == "replay":
            self.drop(record)
            return
        batch = self._writer.batch
        parked = record.can_park
        if record.facts_since or (parked and not record.has_snapshot):
            self.snapshot(record)
        rows = self._write_rows(record) if parked else []
        if parked:
            self._heads.write(record, parked=True)
        record.pins += 1
        batch.after.append(partial(self._left, record, record.head, rows, parked=parked))

    def _write_rows(self, record: RunRecord) -> list[Row]:
        batch, key = self._writer.batch, record.key
        if record.has_rows:
            batch.add("drop_timers", (key,))
            batch.add("drop_subscriptions", (key,))
        rows = [(self._timers.due(key, timer.id, timer.due), key, timer.id) for timer in record.timers()]
        for row in rows:
            batch.add("add_timer", (*row, self._boot))
        for command in record.subscriptions():
            filters = encode(command.filters)
            for type in types_of(command.filters):
                batch.add("add_subscription", (record.row.tenant, type, key, command.id, filters))
        record.has_rows = True
        return rows

    def _left(self, record: RunRecord, head: int, rows: list[Row], *, parked: bool) -> None:
        record.pins -= 1
        if record.head != head or record.pins:
            return
        self.drop(record)
        if parked:
            self._subscriptions.leave(record.key)
            self._timers.stored(rows)

    def _load(self, row: RunRow) -> RunRecord:
        record = RunRecord(row, self._programs.get(row.definition, row.program))
        record.shown = None if row.parked or row.ended is not None else row.status
        base = 0
        for seq, body in self._journal.read("snapshot", (row.key,)):
            saved = read_saved(body, self.blob)
            record.state, record.upto, record.entries = saved.state, saved.upto, saved.entries
            record.open = {command.id: command for command in saved.open}
            record.sent = dict.fromkeys(saved.sent)
            record.has_snapshot = record.has_rows = True
            record.snapshot_bytes = len(body)
            base = seq
        for _, mark, body in reversed(self._journal.read("journal_chain", {"head": row.head, "base": base})):
            fact = read_fact(body, self.blob)
            record.facts_since += 1
            record.bytes_since += len(body)
            if isinstance(fact, Sent):
                record.sent[fact.id] = None
            else:
                record.step(fact, mark)
        return record

    def _listen_again(self, record: RunRecord) -> None:
        dues: dict[str, Any] = (
            dict(self._journal.read("timers_of", (self._boot, self._timers.pending_move, record.key)))
            if record.has_rows
            else {}
        )
        for command in [command for command in record.open.values() if is_debt(command)]:
            if self._journal.read("key_of", (record.row.tenant, child_id(record.row.id, command.id))):
                record.close_command(command.id)
        for timer in record.timers():
            if timer.id in dues:
                self._timers.arm_at_wall_time(record.key, timer.id, dues[timer.id])
            else:
                self._timers.arm(record.key, timer.id, timer.due - record.offset)
        if record.row.parked:
            for subscription in record.subscriptions():
                self._subscriptions.add(record.row.tenant, record.key, subscription)
