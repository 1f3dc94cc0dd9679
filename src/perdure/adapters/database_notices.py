"""Hears at once that another process has told something, through PostgreSQL's LISTEN; never what, the tables know that.

Who hears looks at the tables now and then all the same. So a connection that is lost, or a pooler that lends connections to
one transaction at a time and cannot listen, costs time only.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psycopg
from psycopg import sql

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
_ECHO = 5.0
"""Seconds within which a notice of our own must come back, sent through another connection."""
_ALIVE = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_UNHEARD = (
    "the database's notices do not arrive, perhaps for a pooler in transaction mode; what other processes tell is found by "
    "looking, once a second."
)
_log = logging.getLogger("perdure.database")

Send = Callable[[str], Awaitable[Any]]
"""Sends a notice on the channel, through any connection but ours."""


class Notices:
    """Listens on one channel, in a task, until it is closed."""

    def __init__(self, place: Mapping[str, Any], channel: str, ring: Callable[[], None], send: Send) -> None:
        self.is_heard = asyncio.Event()
        """Set while notices are known to arrive."""
        self._place = {**_ALIVE, **place}
        self._channel = channel
        self._ring = ring
        self._send = send
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"notices {channel}")

    def __repr__(self) -> str:
        state = "given up" if self._task.done() else "heard" if self.is_heard.is_set() else "not heard yet"
        return f"Notices({self._channel}, {state})"

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def given_up(self) -> None:
        """Return when it was found that none can be heard."""
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                if not await self._listen():
                    _log.warning("%s: %s", self._channel, _UNHEARD)
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, the looks go on
                _log.debug("Notices for %s cannot be heard now: %s", self._channel, error)
            pause = _FIRST_PAUSE if self.is_heard.is_set() else min(2 * pause, _LONGEST_PAUSE)
            self.is_heard.clear()
            await asyncio.sleep(pause)

    async def _listen(self) -> bool:
        """Listen until the connection is lost, which raises. False when nothing can be heard."""
        async with await psycopg.AsyncConnection.connect(
            **self._place, autocommit=True, prepare_threshold=None
        ) as connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self._ring()  # whatever was told while nobody listened
            echo = secrets.token_hex(8)
            hearing = asyncio.create_task(self._hear(connection, echo))
            try:
                await self._send(echo)
                known = asyncio.create_task(self.is_heard.wait())
                await asyncio.wait({hearing, known}, timeout=_ECHO, return_when=asyncio.FIRST_COMPLETED)
                known.cancel()
                if not hearing.done() and not self.is_heard.is_set():
                    return False
                await hearing
            finally:
                hearing.cancel()
                with contextlib.suppress(asyncio.CancelledError, psycopg.Error):
                    await hearing
        return True

    async def _hear(self, connection: "psycopg.AsyncConnection[Any]", echo: str) -> None:
        async for notice in connection.notifies():
            if notice.payload == echo:
                self.is_heard.set()
            elif notice.payload == "":
                self._ring()
