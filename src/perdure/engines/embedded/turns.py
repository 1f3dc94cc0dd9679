"""When things are done: what was handed in is taken in turns, and each turn is one commit.

A turn takes everything that is known now, for all runs, after everybody in the loop had his say. Works on nothing itself:
what is handed in is the work of the worker, the engine and what they are made of.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from perdure.engines.embedded.residents import Residents
from perdure.engines.embedded.timers import Timers
from perdure.engines.embedded.writer import Writer
from perdure.errors import Unavailable
from perdure.ports.clock import Clock

_log = logging.getLogger("perdure.engine")
_HOLD = 0.25
_IN_A_ROW = 4
"""Commits in a row, when all that one let begin is answered at once; then everybody else in the loop has a say."""


class Turns:
    """Work for the next commit, and the commit. `boot` is the number of this opening."""

    def __init__(self, writer: Writer, residents: Residents, timers: Timers, clock: Clock, boot: int) -> None:
        self.closed = False
        self._writer = writer
        self._residents = residents
        self._timers = timers
        self._clock = clock
        self._boot = boot
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._held: set[asyncio.Task[None]] = set()
        self._armed = False
        self._context = copy_context()
        """For what is committed, whoever's answer it was that armed it."""

    def __repr__(self) -> str:
        return f"Turns(waiting={len(self._waiting)}, {self._writer!r})"

    def later(self, work: Callable[..., None], *values: Any) -> None:
        """Do this with the next commit."""
        self._waiting.append((work, values))
        self.arm()

    def arm(self) -> None:
        """Commit soon: after everything that is ready in the loop now had its say."""
        if not self._armed and not self.closed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._flush, context=self._context)

    def durable(self) -> asyncio.Future[None]:
        """Done when everything taken so far is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.resolve(future)
        self.arm()
        return future

    def resolve(self, future: "asyncio.Future[None]") -> None:
        """Finish a future with the commit in the making."""
        self._writer.batch.after.append(partial(_resolve, future))

    def hold(self, error: Unavailable, work: Callable[..., None], *values: Any) -> None:
        """Do this again in a while: the journal could not be read."""
        _log.error("The journal cannot be read (%s); a fact is held and tried again.", error)
        self._held.add(task := asyncio.get_running_loop().create_task(self._try_again(work, values)))
        task.add_done_callback(self._held.discard)

    async def close(self) -> None:
        """Take what is known, commit it, and stop."""
        self._flush()
        self.closed = True
        for task in list(self._held):
            task.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)
        await self._writer.close()

    def _flush(self) -> None:
        self._armed = True
        try:
            self._look_at_the_clock()
            for _ in range(_IN_A_ROW):
                self._take_all()
                self._writer.commit()
                if not self._waiting or self._writer.committing is not None:
                    break
        finally:
            self._armed = False
        if self._waiting:
            self.arm()

    def _look_at_the_clock(self) -> None:
        moved = self._timers.jump()
        if moved:
            _log.warning("The wall clock was set by %+d ms; timers under way keep their time.", moved)
            self._writer.batch.move_timers(moved, self._boot)
            self._writer.batch.after.append(self._timers.moved)

    def _take_all(self) -> None:
        while self._waiting:
            self._do(*self._waiting.popleft())
        if self._residents.is_crowded:
            self._do(self._residents.shrink, ())

    def _do(self, work: Callable[..., None], values: tuple[Any, ...]) -> None:
        try:
            work(*values)
        except Unavailable as error:
            self.hold(error, work, *values)
        except Exception:  # noqa: BLE001 - one run's trouble must not stop the others
            _log.exception("A fact could not be taken; its run is held until the next start")

    async def _try_again(self, work: Callable[..., None], values: tuple[Any, ...]) -> None:
        await self._clock.sleep(_HOLD)
        self.later(work, *values)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
