"""What scenarios do and see on a real engine, each verb to its end in a loop that is handed in. An engine says how its runs
settle, how time goes on and how a process dies."""

import abc
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from perdure.adapters.clock import TestClock
from perdure.language.values import Json
from tests.conformance.language.driver import START, TENANT, Seen


class Verbs(abc.ABC):
    """Drives runs of one scenario. `table` is set before the first verb."""

    _engine: Any

    def __init__(self, loop: asyncio.Runner) -> None:
        self.table: Any = None
        self.clock = TestClock(START)
        self.runs: list[str] = []
        self._loop = loop

    # What a scenario does

    def publish(self, document: Json, resources: dict[str, Json]) -> None:
        self._do(lambda engine: engine.publish(TENANT, document, resources))

    def start(self, document: Json, resources: dict[str, Json], input: Json) -> str:
        run = f"run-{len(self.runs) + 1}"
        self.runs.append(run)
        self._do(lambda engine: engine.start(TENANT, document, input, run=run, resources=resources))
        return run

    def deliver(self, event: dict[str, Any]) -> None:
        self._do(lambda engine: engine.deliver(TENANT, event))

    def cancel(self, run: str, *, compensate: bool = False) -> None:
        self._do(lambda engine: engine.cancel(TENANT, run, compensate=compensate))

    def suspend(self, run: str) -> None:
        self._do(lambda engine: engine.suspend(TENANT, run))

    def resume(self, run: str) -> None:
        self._do(lambda engine: engine.resume(TENANT, run))

    def retry(self, run: str) -> None:
        self._do(lambda engine: engine.retry(TENANT, run))

    def skip(self, run: str, output: Json) -> None:
        self._do(lambda engine: engine.skip(TENANT, run, output=output, has_output=True))

    def settle(self) -> None:
        """Let the engine do all that it can do without time going on."""
        self._loop.run(self._settle())

    def advance(self, milliseconds: int) -> None:
        """Let time pass, from one waking to the next."""
        self._loop.run(self._advance(milliseconds / 1000))

    def finish(self, run: str) -> None:
        """Let time jump until the run has ended or waits for something that time does not bring."""
        self._loop.run(self._finish(run))

    def kill(self) -> None:
        """Die, and start again with what was kept."""
        self._loop.run(self._restart())

    # What a scenario sees

    def seen(self, run: str) -> Seen:
        return self._loop.run(self._seen(run))

    async def _seen(self, run: str) -> Seen:
        found = await self._engine.describe(TENANT, run)
        return Seen(found.status, found.output, found.error, await self._engine.history(TENANT, run))

    def kept(self) -> bytes:
        """All that stays when the process is gone, and every history."""
        return self._loop.run(self._kept())

    # What differs

    def _do(self, work: Callable[[Any], Awaitable[Any]]) -> None:
        self._loop.run(self._try(work))

    @abc.abstractmethod
    async def _try(self, work: Callable[[Any], Awaitable[Any]]) -> None: ...
    @abc.abstractmethod
    async def _settle(self) -> None: ...
    @abc.abstractmethod
    async def _advance(self, seconds: float) -> None: ...
    @abc.abstractmethod
    async def _finish(self, run: str) -> None: ...
    @abc.abstractmethod
    async def _restart(self) -> None: ...
    @abc.abstractmethod
    async def _kept(self) -> bytes: ...
