"""Group commit: everything that became known while the last commit ran is stored by the next one.

Where to commit is decided by the disk. While commits take less than a millisecond they are made in the loop's own
thread: two thread hops would cost more than they free. On a slower disk a writer thread commits and the loop goes on
with other runs. A commit that fails is tried again for as long as it takes, and nothing that depends on it starts.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import CannotCommit, Journal
from perdure.ports.clock import Clock

_FAST = 0.001
_LONGEST_PAUSE = 1.0
_log = logging.getLogger("perdure.engine")


class Writer:
    """Owns the batch in the making and commits it."""

    def __init__(self, journal: Journal, clock: Clock, mode: str) -> None:
        self.batch = Batch()
        self.stalled: str | None = None
        """Why commits fail at the moment, or None."""
        self.committing: Batch | None = None
        self.commits = 0
        self.saved: Callable[[Batch], None] = lambda batch: None
        """Told of each commit before anything that it allows."""
        self._journal = journal
        self._clock = clock
        self._mode = mode
        self._average = 0.0
        self._thread: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Writer(commits={self.commits}, average={self._average * 1e6:.0f} us, stalled={self.stalled!r})"

    def commit(self) -> None:
        """Store the batch now, or as soon as the one before it is stored."""
        while self.committing is None and self.batch:
            batch, self.batch = self.batch, Batch()
            if self._mode != "inline" and self._is_for_thread(batch):
                self.committing = batch
                self._task = asyncio.get_running_loop().create_task(self._in_thread(batch))
            elif self._attempt(batch):
                self._done(batch)
            else:
                self.committing = batch
                self._task = asyncio.get_running_loop().create_task(self._again(batch))

    async def settle(self) -> None:
        """Return when everything handed in so far is stored."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Finish the pending commit; one that the disk refuses is given up: nothing has happened because of it."""
        self.commit()
        if self._task is not None:
            if self.stalled:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._thread is not None:
            self._thread.shutdown()

    def _is_for_thread(self, batch: Batch) -> bool:
        if "move_timers" in batch.rows:
            return False  # nobody may read the rows between this commit and the loop's hearing of it
        return self._mode == "thread" or (self._mode == "adaptive" and self._average > _FAST)

    def _attempt(self, batch: Batch) -> bool:
        began = perf_counter()
        try:
            self._journal.commit(batch)
        except CannotCommit as error:
            if self.stalled is None:
                _log.error(
                    "The journal cannot be written (%s); runs are held and nothing is lost. Mend that, such as by making room "
                    "on the disk, and they go on by themselves.",
                    error,
                )
            self.stalled = str(error)
            return False
        self._average += (perf_counter() - began - self._average) * 0.1
        if self.stalled is not None:
            _log.warning("The journal can be written again; runs go on.")
            self.stalled = None
        return True

    async def _in_thread(self, batch: Batch) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "perdure-journal")
        if await asyncio.get_running_loop().run_in_executor(self._thread, self._attempt, batch):
            self._finish(batch)
        else:
            await self._again(batch)

    async def _again(self, batch: Batch) -> None:
        pause = 0.02
        while True:
            await self._clock.sleep(pause)
            if self._attempt(batch):
                return self._finish(batch)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _finish(self, batch: Batch) -> None:
        self.committing = None
        self._done(batch)
        self.commit()

    def _done(self, batch: Batch) -> None:
        self.commits += 1
        self.saved(batch)
        for call in batch.after:
            try:
                call()
            except Exception:  # noqa: BLE001 - what follows belongs to other runs
                _log.exception("What a commit allowed could not be begun; its run is held until the next start")
