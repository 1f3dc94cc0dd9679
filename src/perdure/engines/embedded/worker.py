"""The loop around the machine. One step of one run: take a fact, decide, commit, execute.

Facts are handed in for the next commit (`turns.py`). What one makes the machine ask for is executed in `_saved`, after
that commit (`execution.py`). Nothing else writes to the journal, and nothing changes the world earlier: only calls that
read are begun before it (`_ahead`).
"""

import asyncio
import logging
from collections import deque
from functools import partial
from typing import Any

import msgspec

from perdure.engines.calls import Calls
from perdure.engines.embedded import exchange, execution, history
from perdure.engines.embedded.audience import Audience
from perdure.engines.embedded.heads import WINDOW, Heads
from perdure.engines.embedded.journal import Journal
from perdure.engines.embedded.programs import Programs
from perdure.engines.embedded.records import RunRecord, RunRow, Tuning, child_id, is_debt
from perdure.engines.embedded.residents import Residents
from perdure.engines.embedded.subscriptions import Subscriptions
from perdure.engines.embedded.timers import Timers
from perdure.engines.embedded.turns import Turns
from perdure.engines.embedded.values import LIMIT, Asking, Sent, decode, encode, pack, restored
from perdure.engines.embedded.watchers import Watchers
from perdure.engines.embedded.writer import Writer
from perdure.engines.tally import Tally
from perdure.errors import Unavailable
from perdure.interpreter import handles
from perdure.interpreter.commands import Command, ScheduleCall, StartChild, StartTimer
from perdure.interpreter.events import ChildCompleted, ChildFailed, Event, Started, TimerFired
from perdure.interpreter.faults import problem
from perdure.ports.clock import Clock

_log = logging.getLogger("perdure.engine")
_AHEAD = 32
"""Rows of a commit in the making from which on reads wait for it too: it shares its cost among enough by then."""


class Worker:
    """Takes facts in, lets commands out."""

    def __init__(
        self, journal: Journal, writer: Writer, residents: Residents, heads: Heads, programs: Programs,
        timers: Timers, subscriptions: Subscriptions, watchers: Watchers, clock: Clock, tuning: Tuning,
    ) -> None:  # fmt: skip
        self.journal = journal
        self.writer = writer
        self.residents = residents
        self.heads = heads
        self.programs = programs
        self.timers = timers
        self.subscriptions = subscriptions
        self.watchers = watchers
        self.clock = clock
        self.tuning = tuning
        self.calls: Calls
        self.last_fact, self.last_run, self.last_event, last_boot = journal.read("last_positions")[0]
        self.boot: int = last_boot + 1
        self.turns = Turns(writer, residents, timers, clock, self.boot)
        self.unsaved_events: dict[int, tuple[str, dict[str, Any]]] = {}
        """Published and not durable yet: position -> (tenant, event)."""
        self.unsaved_identities: dict[tuple[str, str, str], None] = {}
        self.audience = Audience(journal)
        self.tally = Tally()
        self.untold: deque[tuple[str, dict[str, Any], int]] | None = None
        """Lifecycle events that are being told one after the other: (tenant, event, run that it tells of)."""
        self.emitted = asyncio.Event()
        """A run has emitted something since somebody looked."""
        self._unexecuted: dict[int, int] = {}
        """Pins of runs to which something happened while they were not driven here."""
        self.driven: set[int] | None = None
        """Runs that go on here; None: every run. What happens to any other is recorded, and done at a later opening."""

    def __repr__(self) -> str:
        return f"Worker({self.turns!r})"

    # What others hand in

    def answer(self, key: int, event: Event) -> None:
        """A fact for a run."""
        self.turns.later(self.take, key, event)

    # Take and decide

    def take(self, key: int, event: Event, mark: int | None = None) -> None:
        """Record a fact and let the machine decide. One that changes nothing is not recorded."""
        record = self.residents.records.get(key) or self.residents.get(key)
        if record is not None and record.expects(event, mark):
            self.apply(record, event, mark)
        elif isinstance(event, TimerFired):
            self.writer.batch.add("drop_timer", (key, event.id))

    def offer(self, key: int, event: Event, mark: int) -> None:
        """`take` for one of many: another run's trouble must not keep the event from the rest.

        A run that cannot be brought into memory is no longer found by its rows; the next opening offers it all anew.
        """
        try:
            self.take(key, event, mark)
        except Unavailable as error:
            self.turns.hold(error, self.take, key, event, mark)
        except Exception:  # noqa: BLE001 - one run's trouble must not keep the event from the others
            _log.exception("An event could not be given to a run; it is offered again at the next start")
            if key not in self.residents.records:
                self.writer.batch.add("unpark", (key,))

    def begin(self, row: RunRow, program: Any, started: Started) -> RunRecord:
        """A new run with its first fact."""
        self.drive(row.key)
        record = RunRecord(row, program)
        self.tally.began(record.status)
        record.shown = "running"  # as long as there is no row
        self.residents.add(record)
        self.writer.batch.add("add_run", tuple(row[:15]))
        self.apply(record, started)
        return record

    def begin_again(self, row: RunRow, program: Any, facts: list[tuple[Event, int | None]]) -> RunRecord:
        """A new run with facts of another one. Conflict when they do not fit its program; nothing is written then."""
        record = RunRecord(row, program)
        for number, (fact, mark) in enumerate(facts):
            if number:
                history.check_fit(record, fact)
            record.step(fact, mark)
        for command in [command for command in record.open.values() if is_debt(command)]:
            record.close_command(command.id)
        self.drive(row.key)
        self.tally.began(record.status)
        batch = self.writer.batch
        batch.add("add_run", tuple(row[:15]))
        for fact, mark in facts:
            self._write(record, pack(fact, self.residents.store), mark)
        self.residents.add(record)
        if record.ended is not None:
            self._end(record)
        else:
            self.residents.snapshot(record)
        self.heads.write(record)
        if program.watches:
            self.audience.update(record, batch)
        record.pins += 1
        batch.after.append(partial(self._saved, record, [], record.entries, list(record.open.values())))
        return record

    def apply(self, record: RunRecord, event: Event, mark: int | None = None) -> None:
        """Record a fact of a run that expects it, and decide."""
        due = event.now if isinstance(event, TimerFired) else 0
        event = msgspec.structs.replace(event, now=record.now(self.clock.monotonic() * 1000, due))
        event = self._record(record, event, mark)
        first, before = record.entries, record.status
        commands = record.step(event, mark)
        if record.status != before:
            self.tally.turned(before, record.status)
        for command in record.closed:
            self._close(record, command)
        if record.ended is not None:
            self._end(record)
        batch = self.writer.batch
        self.heads.moved(record)
        if record.facts_since >= self.tuning.snapshot_every and record.wants_snapshot and record.ended is None:
            self.residents.snapshot(record)
        record.pins += 1
        batch.after.append(partial(self._saved, record, commands, first, self._ahead(record)))
        if record.program.watches:
            self.audience.update(record, batch)
        if self.audience or record.status == "faulted":
            exchange.tell(self, record, commands, first)

    def _ahead(self, record: RunRecord) -> list[Asking]:
        """Begin the calls that read, without waiting for the disk, and give what is left to be executed.

        A crash forgets such a call together with the fact that asked for it and with everything that came of its answer:
        the journal is stored in its order. What changes anything waits for all of it to be stored (ADR 0021).
        """
        if self.turns.closed or (self.driven is not None and record.key not in self.driven):
            return record.asked
        return [command for command in record.asked if not self._is_begun(record, command)]

    def _is_begun(self, record: RunRecord, command: Asking) -> bool:
        if type(command) is not ScheduleCall or self.writer.batch.size >= _AHEAD:
            return False
        if not self.calls.reads(record.caller, command):
            return False
        execution.call(self, record, command)
        return True

    def mark_sent(self, key: int, id: str) -> asyncio.Future[None]:
        """Store that an unsafe call is being sent; done when that is durable, cancelled when nobody waits any more."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.turns.later(self._mark, key, id, future)
        return future

    def _mark(self, key: int, id: str, future: "asyncio.Future[None]") -> None:
        record = self.residents.get(key)
        if record is None or id not in record.open:
            future.cancel()
            return
        batch = self.writer.batch
        self._write(record, encode(Sent(id=id, now=self.clock.now())), None)
        record.sent[id] = None
        record.pins += 1
        self.heads.write(record)
        batch.after.append(partial(self._saved, record, [], record.entries, []))
        self.turns.resolve(future)

    def _record(self, record: RunRecord, event: Event, mark: int | None) -> Event:
        body = encode(event)
        if handles.MARK in body:
            event = msgspec.convert(handles.escape(decode(body)), type(event))
            body = encode(event)
        if len(body) > LIMIT:
            body = pack(event, self.residents.store)
        self._write(record, body, mark)
        return event

    def _write(self, record: RunRecord, body: bytes, mark: int | None) -> None:
        self.last_fact += 1
        if self.last_fact % WINDOW == 0:
            self.heads.catch_up()
        self.writer.batch.add("add_journal", (self.last_fact, record.key, record.head, mark, body))
        record.head = self.last_fact
        record.facts_since += 1
        record.bytes_since += len(body)

    def _close(self, record: RunRecord, command: Asking) -> None:
        batch = self.writer.batch
        if record.has_rows and isinstance(command, StartTimer):
            batch.add("drop_timer", (record.key, command.id))
        batch.after.append(partial(execution.give_up, self, record, command))

    def _end(self, record: RunRecord) -> None:
        batch, row = self.writer.batch, record.row
        result = {"output": record.output} if record.error is None else {"error": record.error}
        record.result = pack(result, self.residents.store)
        if record.has_rows:
            batch.add("drop_timers", (row.key,))
            batch.add("drop_subscriptions", (row.key,))
        if record.has_snapshot:
            batch.snapshots[row.key] = None
            record.has_snapshot = False
        if row.parent is None or row.command is None:
            return
        now = self.clock.now()
        if record.status == "completed":
            self.turns.later(
                self.take, row.parent, ChildCompleted(now=now, id=row.command, output=restored(record.output))
            )
        else:
            error = record.error or problem(
                "runtime", title="cancelled", detail=f"The child run {row.id} was cancelled."
            )
            self.turns.later(self.take, row.parent, ChildFailed(now=now, id=row.command, error=error))

    # Execute, after the commit

    def _saved(self, record: RunRecord, commands: list[Command], first: int, left: list[Asking]) -> None:
        if self.driven is not None and record.key not in self.driven:
            # Still pinned, until it is chosen: it must not be parked with commands that nobody executed.
            self._unexecuted[record.key] = self._unexecuted.get(record.key, 0) + 1
            self.watchers.tell(record, commands, first)
            return
        record.pins -= 1
        for command in left:
            if not self.turns.closed:
                execution.execute(self, record, command)
        self.watchers.tell(record, commands, first)
        if record.ended is None:
            self.residents.touch(record)
        self.settle(record)

    def settle(self, record: RunRecord) -> None:
        """Let a run go that has nothing to do at the moment, or nothing any more."""
        if record.pins:
            return
        if record.ended is None:
            if self.tuning.evict != "idle":
                self.residents.rest(record)
                if self.writer.batch:
                    self.turns.arm()
        elif not record.open:
            self.residents.drop(record)
            self.subscriptions.leave(record.key)
            self.watchers.end(record)

    def fire(self, key: int, id: str) -> None:
        """A timer is due: one of a run, or the deadline of a call."""
        if key:
            self.turns.later(self._fire, key, id)
        else:
            run, _, call = id.partition(":")
            self.calls.expire(int(run), call)

    def _fire(self, key: int, id: str) -> None:
        if self.driven is not None and key not in self.driven:
            return
        record = self.residents.get(key)
        command = record.open.get(id) if record is not None else None
        due = command.due if isinstance(command, StartTimer) else 0
        self.take(key, TimerFired(now=due, id=id))

    def drive(self, key: int) -> bool:
        """Let a run go on here. False when it does already."""
        if self.driven is None or key in self.driven:
            return False
        self.driven.add(key)
        return True

    def choose(self, key: int, *, again: bool = True) -> None:
        """Let an interrupted run go on here, with the children it waits for; `again`: also do what it waits for."""
        if not self.drive(key):
            return
        record = self.residents.get(key, ended=True)
        if record is None:
            return
        record.pins -= self._unexecuted.pop(key, 0)
        for command in list(record.open.values()):
            if isinstance(command, StartChild) and command.awaited:
                rows = self.journal.read("key_of", (record.row.tenant, child_id(record.row.id, command.id)))
                for (child,) in rows:
                    self.choose(child, again=again)
        if again:
            self.again(record)
        self.settle(record)

    def again(self, record: RunRecord) -> None:
        """After a crash: do what was given out and not answered."""
        for command in list(record.open.values()):
            execution.execute(self, record, command)
