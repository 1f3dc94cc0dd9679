"""The same scenarios on the real embedded engine, with a clock that jumps.

In the mode `killed` the engine dies at every commit that holds a fact: first just before it is stored (the commit is
lost), then just after (nothing of what follows from it has happened). Whatever was under way is gone each time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from perdure.errors import Conflict
from perdure.ports.engine import ENDED
from perdure.ports.secrets import Secrets
from tests.conformance.language.driver import TENANT
from tests.conformance.language.verbs import Verbs

MODES = ("engine", "killed")
MOST_ROUNDS = 20_000
MOST_DEATHS = 3
"""One request of a client dies so often at most: asking to suspend is a new fact each time."""
FACTS = frozenset({"add_journal", "add_event"})


class Killed(BaseException):
    """The process dies here. Nothing may catch it."""


class EngineDriver(Verbs):
    """Drives runs by the embedded engine; `kill` and every commit of the mode `killed` end it without a farewell."""

    def __init__(self, loop: asyncio.Runner, secrets: Secrets, folder: Path, mode: str) -> None:
        super().__init__(loop)
        self._secrets = secrets
        self._folder = folder
        self._kills = mode == "killed"
        self._engine: EmbeddedEngine | None = None
        self._dead = asyncio.Event()
        self._lost: set[int] = set()
        self._sleeping = 0
        self._spared = False
        self.deaths = 0

    def __repr__(self) -> str:
        return f"EngineDriver({self._engine!r}, {self.deaths} deaths)"

    def close(self) -> None:
        if self._engine is not None:
            self._loop.run(self._engine.close())

    async def sleep(self, seconds: float) -> None:
        """What a scripted function waits with."""
        if seconds:
            self._sleeping += 1
            try:
                await self.clock.sleep(seconds)
            finally:
                self._sleeping -= 1

    async def _kept(self) -> bytes:
        """Every byte on the disk, and every history."""
        engine = self._open_engine()
        runs = await engine.find(TENANT, limit=1000)
        told = [await engine.history(TENANT, run.id) for run in runs]
        files = [path.read_bytes() for path in sorted(self._folder.rglob("*")) if path.is_file()]
        return b"".join(files) + msgspec.json.encode([runs, told])

    # Living and dying

    def _open_engine(self) -> EmbeddedEngine:
        assert self._engine is not None, "nothing was started"
        return self._engine

    async def _try(self, work: Callable[[EmbeddedEngine], Awaitable[Any]]) -> None:
        """Do it, and again when the engine died meanwhile, as a client would. Conflict then means: it was done."""
        died = 0
        while True:
            self._spared = died >= MOST_DEATHS
            if self._engine is None:
                await self._open()
            trying = asyncio.ensure_future(work(self._open_engine()))
            dying = asyncio.ensure_future(self._dead.wait())
            await asyncio.wait((trying, dying), return_when=asyncio.FIRST_COMPLETED)
            dying.cancel()
            if not self._dead.is_set():
                self._spared = False
                with contextlib.suppress(*([Conflict] if died else [])):
                    await trying
                return
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            died += 1
            await self._restart()

    async def _open(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_unless_killed)
        self._dead.clear()
        # In the loop's own thread, so that a death is at one known place.
        tuning = Tuning(commit="inline")
        self._engine = EmbeddedEngine(self._folder, self.table, clock=self.clock, secrets=self._secrets, tuning=tuning)
        await self._engine.open()
        if self._kills:
            self._arm(self._engine)

    def _arm(self, engine: EmbeddedEngine) -> None:
        """Make the next commit of a fact the last one of this engine."""
        journal = engine._journal
        commit = journal.commit

        def last(batch: Batch) -> None:
            statements = [(query, list(rows)) for query, rows in batch.statements()]
            if self._dead.is_set():
                raise Killed
            if self._spared or not any(query in FACTS for query, _ in statements):
                return commit(batch)
            self.deaths += 1
            self._dead.set()
            if self.deaths % 2 == 0:
                commit(batch)
            raise Killed

        journal.commit = last  # type: ignore[method-assign]

    async def _restart(self) -> None:
        if self._engine is not None:
            await self._bury(self._engine)
        self._engine = None
        await self._open()

    async def _bury(self, engine: EmbeddedEngine) -> None:
        """What the kernel does when a process is killed: its tasks end, its files close, its lock goes."""
        worker = engine._worker
        worker.turns.closed = True
        tasks = [*engine._tasks, *engine._calls._tasks.values(), *worker.turns._held]
        if worker.writer._task is not None:
            tasks.append(worker.writer._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engine._calls._eager.close()
        engine._journal.close()

    # Time

    async def _settle(self) -> None:
        quiet = 0
        for round in range(MOST_ROUNDS):
            if self._dead.is_set():
                await self._restart()
            quiet = 0 if self._is_busy() else quiet + 1
            if quiet > 3:
                return
            await asyncio.sleep(0 if round < 500 else 0.001)
        raise AssertionError(f"the engine does not come to rest: {self._engine!r}")

    def _is_busy(self) -> bool:
        engine = self._open_engine()
        worker, calls = engine._worker, engine._calls
        turns, writer = worker.turns, worker.writer
        if turns._waiting or turns._armed or writer.batch or writer.committing:
            return True
        return len(calls._tasks) + len(calls._queued) > self._sleeping

    async def _advance(self, seconds: float) -> None:
        remaining = seconds
        await self._settle()
        for _ in range(MOST_ROUNDS):
            wake = self.clock.next_wake()
            if wake is None or wake > remaining:
                break
            self.clock.advance(wake)
            remaining -= wake
            await self._settle()
        self.clock.advance(remaining)
        await self._settle()

    async def _finish(self, run: str) -> None:
        await self._settle()
        for _ in range(MOST_ROUNDS):
            engine = self._open_engine()
            timers = engine._timers
            waits = timers._targets or timers._beyond is not None or self._sleeping
            wake = self.clock.next_wake()
            if not waits or wake is None or (await engine.describe(TENANT, run)).status in ENDED:
                return
            self.clock.advance(wake)
            await self._settle()
        raise AssertionError("the scenario does not come to an end")


def _unless_killed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)
