"""The same scenarios on a real Temporal server: real calls, signals, queries and executions; only the clock jumps."""

import asyncio
import itertools
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from temporalio import activity
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import RPCError, WorkflowExecutionDescription, WorkflowExecutionStatus

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.engines.temporal import protocol
from perdure.engines.temporal.connection import Address
from perdure.engines.temporal.engine import TemporalEngine
from perdure.engines.temporal.exchange import ExchangeWorkflow
from perdure.engines.temporal.protocol import Limits
from perdure.engines.temporal.record import child_id
from perdure.engines.temporal.worker import TemporalWorker
from perdure.ports.engine import ENDED
from perdure.ports.secrets import Secrets
from tests.conformance.language.driver import TENANT
from tests.conformance.language.temporal_run import ClockActivities, ClockedRun
from tests.conformance.language.verbs import Verbs
from tests.corpus import histories

MOST_ROUNDS = 2_000


class TemporalDriver(Verbs):
    """Drives runs by a worker of its own on the server."""

    def __init__(self, loop: asyncio.Runner, secrets: Secrets, target: str, folder: Path) -> None:
        super().__init__(loop)
        self._secrets = secrets
        self._target = target
        self._blobs = DirectoryBlobs(folder)
        self._installation = f"scenario-{uuid.uuid4()}"
        self._children: list[str] = []
        self._asleep: dict[tuple[str, str, int], int] = {}
        """Calls that sleep, by workflow, activity and attempt -> the moment at which they wake."""
        self._engine: TemporalEngine
        self._worker: TemporalWorker | None = None

    @property
    def _all(self) -> Iterator[str]:
        """Children too, also those that are found meanwhile."""
        return itertools.chain(self.runs, self._children)

    def __repr__(self) -> str:
        return f"TemporalDriver({self._installation}, {len(self.runs)} runs)"

    def close(self) -> None:
        if self._worker is not None:
            if "PERDURE_RECORD_HISTORIES" in os.environ:
                self._loop.run(self._record(Path(os.environ["PERDURE_RECORD_HISTORIES"])))
            self._loop.run(self._close(self._worker))

    async def _record(self, file: Path) -> None:
        """For `tests/corpus/record_temporal.py`."""
        with file.open("a") as lines:
            for run in self._all:
                history = await self._engine._reader.handle(TENANT, run).fetch_history()
                lines.write(histories.line_of(history) + "\n")

    async def _close(self, worker: TemporalWorker) -> None:
        await worker.close()
        await self._engine.close()

    async def _open(self) -> TemporalEngine:
        if self._worker is None:
            limits = Limits(heartbeat=1.0, redelivery=0.02, depth=8)
            self._engine = TemporalEngine(
                Address(target=self._target), self.table, self._blobs, installation=self._installation, limits=limits,
                kind=ClockedRun,
            )  # fmt: skip
            await self._engine.open()
            await self._open_worker()
        return self._engine

    async def _open_worker(self) -> None:
        clock = ClockActivities(self.clock)
        self._worker = TemporalWorker(
            self._engine.client, self._installation, self._blobs, self.table, clock=self.clock, secrets=self._secrets,
            workflows=(ClockedRun, ExchangeWorkflow), more_activities=(clock.now,),
        )  # fmt: skip
        await self._worker.open()

    async def sleep(self, seconds: float) -> None:
        """What a scripted function waits with."""
        if seconds:
            info = activity.info()
            name = (str(info.workflow_id), info.activity_id, info.attempt)
            self._asleep[name] = self.clock.now() + round(seconds * 1000)
            try:
                await self.clock.sleep(seconds)
            finally:
                del self._asleep[name]

    async def _try(self, work: Callable[[TemporalEngine], Awaitable[Any]]) -> None:
        await work(await self._open())

    async def _restart(self) -> None:
        assert self._worker is not None
        await self._worker.close()
        await self._open_worker()

    async def _kept(self) -> bytes:
        """Every byte of the server's histories, and every timeline."""
        found = []
        for run in self._all:
            history = await self._engine._reader.handle(TENANT, run).fetch_history()
            found += [event.SerializeToString() for event in history.events]
            found.append(msgspec.json.encode(await self._engine.history(TENANT, run)))
        return b"".join(found)

    # Time

    async def _settle(self) -> None:
        quiet, before = 0, -1
        for _ in range(MOST_ROUNDS):
            count = await self._count()
            quiet = quiet + 1 if count is not None and count == before else 0
            before = -1 if count is None else count
            if quiet >= 1:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"the scenario does not come to rest: {self!r}")

    async def _count(self) -> int | None:
        """How many facts there are, or None while something is under way."""
        facts = 0
        for run in self._all:
            handle = self._engine._reader.handle(TENANT, run)
            described = await handle.describe()
            if any(name not in self._asleep for name in _calls_of(described)):
                return None
            looked: Any = await handle.query(protocol.LOOK)
            if looked["status"] == "pending" or looked["is_busy"]:
                return None
            facts += looked["facts"] + 1
            for command in looked["open"]:
                if command["kind"] == "start-child":
                    child = child_id(run, command["id"])
                    if child not in self._all:
                        self._children.append(child)
        return None if await self._is_exchange_busy() else facts

    async def _is_exchange_busy(self) -> bool:
        handle = self._engine.client.get_workflow_handle(protocol.exchange_id(self._installation, TENANT))
        try:
            looked: Any = await handle.query(protocol.LOOK)
        except RPCError:
            return False
        return bool(looked["is_busy"])

    async def _advance(self, seconds: float) -> None:
        remaining = seconds
        await self._settle()
        for _ in range(MOST_ROUNDS):
            wake = await self._next_wake()
            if wake is None or wake > remaining:
                break
            await self._tick(wake)
            remaining -= wake
        await self._tick(remaining)

    async def _finish(self, run: str) -> None:
        await self._settle()
        for _ in range(MOST_ROUNDS):
            wake = await self._next_wake()
            if wake is None or (await self._engine._row(TENANT, run)).status in ENDED:
                return
            await self._tick(wake)
        raise AssertionError("the scenario does not come to an end")

    async def _tick(self, seconds: float) -> None:
        now = self.clock.now() + round(seconds * 1000)
        for run in self._all:
            if (await self._engine._row(TENANT, run)).status not in ENDED - {"faulted"}:
                await self._engine._reader.handle(TENANT, run).signal("clock", now)
        # Only now: a call that ends at this moment must find its run at this moment too.
        self.clock.advance(seconds)
        await self._settle()

    async def _next_wake(self) -> float | None:
        """Seconds until something comes due: a timer of a run, or a function that sleeps."""
        dues: list[int] = []
        for run in self._all:
            handle = self._engine._reader.handle(TENANT, run)
            described = await handle.describe()
            dues += [self._asleep[name] for name in _calls_of(described) if name in self._asleep]
            if described.status == WorkflowExecutionStatus.RUNNING:
                looked: Any = await handle.query(protocol.LOOK)
                dues += [command["due"] for command in looked["open"] if command["kind"] == "start-timer"]
        return max(0.0, (min(dues) - self.clock.now()) / 1000) if dues else None


def _calls_of(described: WorkflowExecutionDescription) -> list[tuple[str, str, int]]:
    """The calls that a run still waits for. A closed one lists those that were given up, for ever; so would an open one
    for a while, until their worker has heard of it."""
    if described.status != WorkflowExecutionStatus.RUNNING:
        return []
    given_up = PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
    return [
        (described.id, pending.activity_id, pending.attempt)
        for pending in described.raw_description.pending_activities
        if pending.state != given_up
    ]
