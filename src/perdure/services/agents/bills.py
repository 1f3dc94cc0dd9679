"""What requests cost, on the way to its rows: gathered for a moment, and kept meanwhile where the end of the process does not
reach it. Who counts it, and how it is recorded, is in `spending.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from perdure.ports.spool import Page, Spool
from perdure.services.agents.models import Usage

_log = logging.getLogger("perdure.agents")
_TOGETHER, _TOGETHER_UNKEPT = 0.5, 0.002
"""Seconds for which bills are gathered, and where a killed process would lose them."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Usage).decode

Record = Callable[[str, list[Usage]], Awaitable[bool]]
"""Writes rows of a tenant, each once however often it is told; False when they could not be kept now."""


class Bills:
    """Of one process. After `close` nothing is added."""

    def __init__(self, record: Record, spool: Spool | None) -> None:
        self._record = record
        self._spool = spool
        self._pause = _TOGETHER_UNKEPT if spool is None else _TOGETHER
        self._waiting: dict[str, dict[str, Usage]] = {}
        """By tenant and call."""
        self._is_due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Bills({sum(map(len, self._waiting.values()))} wait, {self._spool!r})"

    def add(self, one: Usage) -> None:
        """Kept from now on, as far as the spool keeps it; recorded a moment later."""
        if self._spool is not None:
            try:
                self._spool.put(_encode(one))
            except OSError as error:
                _log.warning("A bill waits in memory alone, because the spool cannot be written: %s", error)
        self._waiting.setdefault(one.tenant, {})[one.call] = one
        if not self._is_due:
            self._is_due = True
            task = asyncio.get_running_loop().create_task(self._later())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def done(self, tenant: str, call: str) -> None:
        """It was recorded by now, by somebody who did not wait for others."""
        self._waiting.get(tenant, {}).pop(call, None)

    async def settled(self) -> None:
        """Record now what was added so far."""
        async with self._writing:
            if not self._waiting:
                return
            waiting, self._waiting = self._waiting, {}
            page = None if self._spool is None else self._spool.turn()
            _end(page, await self._recorded(waiting))

    async def restore(self) -> None:
        """Record what processes that ended left."""
        if self._spool is None:
            return
        for page in await asyncio.to_thread(self._spool.left):
            found: dict[str, dict[str, Usage]] = {}
            for one in _read(await asyncio.to_thread(page.lines)):
                found.setdefault(one.tenant, {})[one.call] = one
            _end(page, await self._recorded(found))

    async def close(self) -> None:
        """Nothing is left in memory."""
        await self.settled()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._spool is not None:
            self._spool.close()

    async def _later(self) -> None:
        await asyncio.sleep(self._pause)
        self._is_due = False
        await self.settled()

    async def _recorded(self, waiting: dict[str, dict[str, Usage]]) -> bool:
        """Whether all of them are."""
        are_all = True
        for tenant, rows in waiting.items():
            try:
                are_all &= not rows or await self._record(tenant, list(rows.values()))
            except Exception:  # noqa: BLE001 - the next ones are to be recorded nevertheless
                _log.exception("What requests cost is not recorded: %s", msgspec.to_builtins(list(rows.values())))
                are_all = False
        return are_all


def _end(page: Page | None, is_recorded: bool) -> None:
    if page is not None:
        page.drop() if is_recorded else page.leave()


def _read(lines: Sequence[bytes]) -> Iterable[Usage]:
    for line in lines:
        try:
            yield _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.warning("A line that a killed process left is no bill: %s", error)
