"""One process that listens: at once, and as the gateway as soon as everything that it needs is there; until it is told to stop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from perdure.adapters.logs import LineLog
from perdure.errors import Unavailable
from perdure.gateway.front import Front
from perdure.gateway.server import Place, Server, leave_alone
from perdure.platform import reaching
from perdure.platform.process import Platform
from perdure.settings import Settings

Opened = Callable[[], AbstractAsyncContextManager[Platform]]
Ready = Callable[[str, str | None], None]
"""Is told the address and, once in the life of an installation, its owner key."""


async def serve(
    opened: Opened, place: Place, settings: Settings, *, ready: Ready, say: Callable[[str], None] = lambda line: None
) -> None:
    """Serve until a signal. While a server that the settings name is away, `say` hears why, and it is waited for.

    Errors as of `process.opened`; Invalid where it cannot listen.
    """
    front = Front()
    server = Server(front, place, LineLog(level=settings.log_level))
    tell = _Telling(front, settings, say)
    async with contextlib.AsyncExitStack() as stack:
        platform = await _first(opened, stack, tell)
        async with _running(server) as running:
            if platform is None and not running.done():
                platform = await _reached(opened, stack, running, tell)
            if platform is not None and not running.done():
                for line in platform.warnings:
                    say(line)
                front.become(platform.edge)
                key = await platform.first_key()
                leave_alone()
                ready(server.address, key)
            await running


@contextlib.asynccontextmanager
async def _running(server: Server) -> AsyncIterator[asyncio.Task[None]]:
    """The server, listening, or ended if it could not."""
    running = asyncio.create_task(server.run())
    started = asyncio.create_task(server.started.wait())
    try:
        await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
        yield running
    finally:
        started.cancel()
        running.cancel()
        await asyncio.gather(running, started, return_exceptions=True)


async def _first(opened: Opened, stack: contextlib.AsyncExitStack, tell: "_Telling") -> Platform | None:
    """The platform, before anybody is listened to, if everything is there."""
    try:
        return await stack.enter_async_context(opened())
    except Unavailable as error:
        tell(error)
        return None


class _Telling:
    """Says what is missing; raises it where no server is waited for."""

    def __init__(self, front: Front, settings: Settings, say: Callable[[str], None]) -> None:
        self._front = front
        self._waits = bool(settings.database_url) or settings.engine == "temporal"
        self._waiting = reaching.Waiting(say)

    def __call__(self, error: Unavailable) -> None:
        if not self._waits:
            raise error
        self._front.missing = reaching.part_of(error)
        self._waiting(error)


async def _reached(
    opened: Opened, stack: contextlib.AsyncExitStack, running: asyncio.Task[None], tell: _Telling
) -> Platform | None:
    """The platform; None when the process was told to stop before."""
    opening = asyncio.create_task(reaching.reached(opened, stack, asyncio.Event(), tell))
    await asyncio.wait({running, opening}, return_when=asyncio.FIRST_COMPLETED)
    if opening.done():
        return opening.result()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    return None
