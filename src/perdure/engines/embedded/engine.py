"""The embedded engine as others see it (`ports/engine.py`): everything about one journal in one process."""

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Self

from perdure.engines.calls import Calls, Table
from perdure.engines.embedded import exchange
from perdure.engines.embedded.definitions import stored
from perdure.engines.embedded.heads import Heads, catch_up
from perdure.engines.embedded.journal import Journal
from perdure.engines.embedded.programs import Programs
from perdure.engines.embedded.records import RunRecord, Tuning
from perdure.engines.embedded.residents import Residents
from perdure.engines.embedded.shown import Shown
from perdure.engines.embedded.starts import Starts
from perdure.engines.embedded.subscriptions import Subscriptions
from perdure.engines.embedded.timers import Timers
from perdure.engines.embedded.values import decode, encode
from perdure.engines.embedded.views import Views
from perdure.engines.embedded.watchers import Watchers
from perdure.engines.embedded.worker import Worker
from perdure.engines.embedded.writer import Writer
from perdure.engines.plain import accepted, accepted_event
from perdure.engines.tally import Tally
from perdure.errors import Conflict, PerdureError, Unavailable
from perdure.interpreter.events import (
    CancelRequested,
    Event,
    OperatorPatch,
    ResumeRequested,
    SuspendRequested,
)
from perdure.interpreter.machine import step
from perdure.language.values import Json
from perdure.ports.clock import Clock
from perdure.ports.engine import ALL, Entry, Query, Run
from perdure.ports.secrets import Secrets

_log = logging.getLogger("perdure.engine")


class EmbeddedEngine:
    """Runs documents in this process. `open` before anything else, `close` at the end."""

    def __init__(
        self,
        directory: Path,
        table: Table,
        *,
        clock: Clock,
        secrets: Secrets | None = None,
        tuning: Tuning | None = None,
        vfs: str | None = None,
    ) -> None:
        self._directory = directory
        self._table = table
        self._clock = clock
        self._secrets = secrets
        self._tuning = tuning or Tuning()
        self._vfs = vfs
        self._tasks: list[asyncio.Task[None]] = []
        self._journal: Journal
        self._worker: Worker
        self._is_open = False

    def __repr__(self) -> str:
        return f"EmbeddedEngine({str(self._directory)!r}, {self._worker if self._is_open else 'closed'})"

    # Opening and closing

    async def open(self, *, recover: bool = True) -> None:
        """Open the journal and let every interrupted run go on. Conflict when another process works on it.

        Without `recover` only those runs go on that are started, forked, resumed, retried, skipped or cancelled here.
        """
        self._journal = Journal(self._directory, vfs=self._vfs)
        try:
            self._assemble()
            self._is_open = True
            catch_up(self._journal, self._worker.writer.batch)
            self._worker.writer.batch.add("add_opening", (self._worker.boot, self._clock.now()))
            await self._worker.turns.durable()
            self.tally.there = dict(self._journal.read("open_runs"))
            self._timers.refill()
            if recover:
                await self._recover()
            else:
                self._worker.driven = set()
        except BaseException:
            self._is_open = False
            await self._stop()
            raise

    async def close(self) -> None:
        """Finish the pending commit and leave. Runs that are under way go on at the next opening."""
        if self._is_open:
            self._is_open = False
            await self._stop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def tally(self) -> Tally:
        """How many runs there are, began and ended, since the opening."""
        return self._worker.tally

    @property
    def stalled(self) -> str | None:
        """Why the journal cannot be written at the moment, or None."""
        return self._worker.writer.stalled if self._is_open else "closed"

    def _assemble(self) -> None:
        journal, clock, tuning = self._journal, self._clock, self._tuning
        writer = Writer(journal, clock, tuning.commit)
        self._watchers = Watchers(clock)
        subscriptions = Subscriptions(lambda tenant, type: journal.read("subscriptions_of_type", (tenant, type)))
        self._programs = Programs(self._table, partial(stored, journal))
        self._views = Views(journal, self._programs)
        self._timers = Timers(
            clock,
            tuning.timers,
            lambda after, limit: journal.read("timers_after", (*after, limit)),
            self._fire,
        )
        boot = journal.read("last_positions")[0][3] + 1
        heads = Heads(writer)
        self._residents = Residents(
            journal, self._programs, writer, self._timers, subscriptions, clock, tuning, boot, heads
        )
        self._shown = Shown(journal, self._views, self._residents, heads)
        writer.saved = self._shown.saved
        self._worker = Worker(
            journal, writer, self._residents, heads, self._programs, self._timers, subscriptions, self._watchers, clock,
            tuning,
        )  # fmt: skip
        self._starts = Starts(self._worker, self._views)
        self._calls = self._worker.calls = Calls(
            self._table, clock, secrets=self._secrets, limit=tuning.calls, result_bytes=tuning.result_bytes,
            answer=self._worker.answer, mark=self._worker.mark_sent, progress=self._watchers.progress,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._timers.run()), loop.create_task(self._sweep())]

    def _fire(self, run: int, id: str) -> None:
        self._worker.fire(run, id)

    async def _recover(self) -> None:
        for (key,) in self._journal.read("active_runs"):
            try:
                record = self._residents.get(key, ended=True)
                if record is not None:
                    self._worker.again(record)
                    self._worker.settle(record)
            except PerdureError as error:
                _log.error("A run cannot go on: %s", error)
            if len(self._residents.records) >= self._tuning.resident:
                self._worker.turns.arm()
                await asyncio.sleep(0)
        await self._worker.turns.durable()

    async def _sweep(self) -> None:
        while True:
            await self._residents.occupied.wait()
            try:
                remaining = self._residents.sweep()
            except Exception:  # noqa: BLE001 - one run's trouble must not keep all others in memory for ever
                _log.exception("A run could not leave memory")
                continue
            if self._worker.writer.batch:
                self._worker.turns.arm()
            if remaining is not None:
                await self._clock.sleep(remaining)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if hasattr(self, "_calls"):
            await self._calls.close()
            await self._worker.turns.close()
            self._watchers.shut()
        self._journal.close()

    # Beginning

    async def start(
        self,
        tenant: str,
        document: Json,
        input: Json,
        *,
        run: str | None = None,
        resources: dict[str, Json] | None = None,
    ) -> str:
        self._ready()
        return await self._starts.start(tenant, document, input, run=run, resources=resources)

    async def publish(self, tenant: str, document: Json, resources: dict[str, Json]) -> str:
        self._ready()
        return await self._starts.publish(tenant, document, resources)

    async def fork(
        self, tenant: str, run: str, *, path: str | None = None, input: Json = None, document: Json = None
    ) -> str:
        self._ready()
        return await self._starts.fork(tenant, run, path=path, input=input, document=document)

    # Verbs

    async def deliver(self, tenant: str, event: dict[str, Any]) -> bool:
        self._ready()
        sound = accepted_event(event)
        answer: list[bool] = []
        self._worker.turns.later(lambda: answer.append(exchange.publish(self._worker, tenant, sound)))
        await self._done_later()
        return answer == [True]

    async def cancel(self, tenant: str, run: str, *, compensate: bool = False) -> None:
        self._ready()
        self._worker.choose(self._views.row(tenant, run).key, again=False)
        await self._tell(tenant, run, CancelRequested(now=self._clock.now(), compensate=compensate))

    async def suspend(self, tenant: str, run: str) -> None:
        self._ready()
        await self._tell(tenant, run, SuspendRequested(now=self._clock.now()))

    async def resume(self, tenant: str, run: str) -> None:
        self._ready()
        row = self._views.row(tenant, run)
        if row.ended is not None:
            raise Conflict(f"The run {run} is {row.status}.", hint=_AGAIN if row.status == "faulted" else None)
        self._programs.check_tools(self._programs.get(row.definition))
        self._worker.choose(row.key)
        await self._tell(tenant, run, ResumeRequested(now=self._clock.now()))

    async def retry(self, tenant: str, run: str, path: str | None = None) -> None:
        self._ready()
        await self._mend(tenant, run, OperatorPatch(now=self._clock.now(), action="retry", path=path))

    async def skip(
        self, tenant: str, run: str, path: str | None = None, *, output: Json = None, has_output: bool = False
    ) -> None:
        self._ready()
        patch = OperatorPatch(
            now=self._clock.now(), action="skip", path=path, output=accepted(output), has_output=has_output
        )
        await self._mend(tenant, run, patch)

    async def _tell(self, tenant: str, run: str, event: Event) -> None:
        row = self._views.row(tenant, run)
        if row.ended is not None:
            raise Conflict(f"The run {run} is {row.status}; that cannot be changed any more.")
        self._worker.turns.later(self._worker.take, row.key, event)
        await self._done_later()

    async def _mend(self, tenant: str, run: str, patch: OperatorPatch) -> None:
        row = self._views.row(tenant, run)
        if row.status in {"completed", "cancelled"}:
            raise Conflict(f"The run {run} is {row.status}; there is nothing to mend.")
        self._programs.check_tools(self._programs.get(row.definition))
        self._worker.choose(row.key)
        refused: list[str] = []

        def mend() -> None:
            record = self._residents.get(row.key, ended=True)
            if record is None or not _fits(record, patch):
                refused.append("no")
                if record is not None:
                    self._worker.settle(record)
            else:
                self._worker.apply(record, patch)

        self._worker.turns.later(mend)
        await self._done_later()
        if refused:
            place = f"at {patch.path}" if patch.path else "that faulted"
            raise Conflict(f"The run {run} has no task {place} that can be entered again now.")

    async def _done_later(self) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._worker.turns.later(self._worker.turns.resolve, done)
        await done

    # What runs emit, for the platform around them (`ports/outlet.py`)

    def outgoing(self, after: int, limit: int = 100) -> list[tuple[int, str, dict[str, Any]]]:
        """Events that runs emitted, in their order from position `after` on: (position, tenant, event).

        They are kept for as long as events are kept for later subscriptions, however often they were read.
        """
        self._ready(reading=True)
        rows = self._journal.read("emitted_after", (after, limit))
        return [(seq, tenant, decode(body)) for seq, tenant, body in rows]

    async def published(self) -> None:
        """Return when a run has emitted something since the last call. For one looker-on."""
        await self._worker.emitted.wait()
        self._worker.emitted.clear()

    # Reading

    async def describe(self, tenant: str, run: str) -> Run:
        self._ready(reading=True)
        return self._shown.describe(tenant, run)

    async def find(
        self,
        tenant: str,
        query: Query = ALL,
        *,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Run]:
        self._ready(reading=True)
        found: list[Run] = []
        for span in self._views.spans(tenant, before):
            found += self._views.page(tenant, query, limit - len(found), span)
            if len(found) >= limit:
                break
            await asyncio.sleep(0)  # a long look must not hold up the runs
        return found

    async def history(self, tenant: str, run: str) -> list[Entry]:
        self._ready(reading=True)
        return self._views.history(tenant, run)

    async def wait(self, tenant: str, run: str) -> Run:
        self._ready(reading=True)
        while True:
            key = self._residents.going(tenant, run)
            if key is None:
                row = self._views.row(tenant, run)
                if row.ended is not None:
                    return self._views.run(row)
                key = row.key
            record = await self._watchers.ended(key)
            if record.is_whole:  # else it came from a snapshot, and the journal knows more of it
                return self._views.run(record.as_row(), input=record.given)

    async def watch(self, tenant: str, run: str) -> AsyncIterator[Entry]:
        self._ready(reading=True)
        row = self._views.row(tenant, run)
        line = self._watchers.open(row.key)
        try:
            last = 0
            for entry in self._views.entries(row):
                last = entry.number
                yield entry
            if self._views.row(tenant, run).ended is not None and line.empty():
                return
            while (live := await line.get()) is not None:
                if live.number == 0 or live.number > last:
                    last = max(last, live.number)
                    yield live
        finally:
            self._watchers.close(row.key, line)

    def _ready(self, *, reading: bool = False) -> None:
        if not self._is_open:
            raise Unavailable("The engine is not open.")
        if not reading and self._worker.writer.stalled is not None:
            raise Unavailable(
                f"The journal cannot be written at the moment ({self._worker.writer.stalled}); runs are held.",
                hint="Make room on the disk; everything goes on by itself.",
            )


def _fits(record: RunRecord, patch: OperatorPatch) -> bool:
    return bool(step(record.program, decode(encode(record.state)), patch)[1])


_AGAIN = "`perdure runs retry` enters the faulted task again."
