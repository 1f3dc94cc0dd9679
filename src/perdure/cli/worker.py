"""`perdure worker`: works on the queues of a Temporal server until SIGTERM or Ctrl-C, then lets calls finish.

With a database that processes share it is a worker of the platform as well: what goes on there by itself goes on here.
"""

import argparse
import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from perdure.cli import drive
from perdure.errors import Invalid, Unavailable, extra
from perdure.platform.reaching import Waiting, part_of, reached

if TYPE_CHECKING:
    from perdure.gateway.front import Front
    from perdure.platform.process import Platform

_EPILOG = """\
The queues: workflows (decisions), functions (your own), http (http and openapi), models (infer). A worker needs the
functions and secrets of the calls that it makes; new documents need no new worker. With PERDURE_DATABASE_URL there is one
more queue, platform: what runs emit, schedules, questions, bulk actions and events between services, in any number of workers.

examples:
  perdure worker --engine temporal
  perdure worker --engine temporal --queues functions --functions my_functions --calls 20
  perdure worker --engine temporal --health 127.0.0.1:8099

exit codes: 0 stopped when told to, 2 the command does not fit
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which queues, how much at once."""
    parser.epilog = _EPILOG
    drive.data_argument(parser)
    drive.functions_argument(parser)
    drive.secrets_argument(parser)
    parser.add_argument("--queues", metavar="NAMES", help="Queues, separated by commas (default: all).")
    parser.add_argument(
        "--calls", type=int, default=100, metavar="N", help="Calls at once on each queue (default: 100)."
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=30.0,
        metavar="S",
        help="Seconds in which calls may finish at the end (default: 30).",
    )
    parser.add_argument(
        "--health",
        metavar="HOST:PORT",
        help="Answer there by HTTP: /live always, /ready while it works, else 503; of a platform /metrics too.",
    )


def execute(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    desk = drive.Desk(options)
    if desk.has_journal:
        raise Invalid(
            "The embedded engine has no workers: `perdure run` does the work.",
            hint="Give --engine temporal, or set PERDURE_ENGINE=temporal.",
        )
    if options.calls < 1 or options.drain < 0:
        raise Invalid("--calls must be 1 or more, and --drain 0 or more.")
    return asyncio.run(_work(desk, options))


async def _work(desk: drive.Desk, options: argparse.Namespace) -> int:
    from perdure.engines.temporal.protocol import PLATFORM, QUEUES  # only here

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        if os.name == "posix":
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
    every = [*QUEUES, PLATFORM] if desk.settings.database_url else QUEUES
    queues = [name.strip() for name in options.queues.split(",")] if options.queues else every
    if PLATFORM not in queues:
        return await _work_alone(desk, options, queues, stop)
    if not desk.settings.database_url:
        raise Invalid(
            f"The queue {PLATFORM} is that of a platform, and none is set.",
            hint="Set PERDURE_DATABASE_URL=postgresql://USER@HOST/NAME.",
        )
    return await _work_for_platform(desk, options, [name for name in queues if name != PLATFORM], stop)


async def _work_alone(desk: drive.Desk, options: argparse.Namespace, queues: Sequence[str], stop: asyncio.Event) -> int:
    """Runs and calls alone, which know no platform."""
    is_working = asyncio.Event()
    async with _health(options.health, is_working), contextlib.AsyncExitStack() as stack:
        installation = await reached(desk.opened, stack, stop, Waiting(drive.say))
        if installation is None:
            return 0
        from perdure import wiring  # heavy; loaded already by now

        worker = wiring.temporal_worker(
            installation, desk.directory, desk.settings, queues=queues, calls=options.calls, drain=options.drain
        )
        await worker.open()
        is_working.set()
        drive.say(f"Working on {', '.join(queues)} at {desk.settings.temporal_address}.")
        await stop.wait()
        is_working.clear()
        drive.say("Stopping; calls under way may finish.")
        await worker.close()
    return 0


async def _work_for_platform(
    desk: drive.Desk, options: argparse.Namespace, queues: Sequence[str], stop: asyncio.Event
) -> int:
    with extra("server", "A worker of the platform"):
        from perdure.gateway.front import Front  # heavy
        from perdure.platform import process
        from perdure.platform.working import Work
    work = Work(queues=tuple(queues), calls=options.calls, drain=options.drain)

    def opened() -> AbstractAsyncContextManager["Platform"]:
        return process.opened(
            desk.directory, desk.settings, modules=options.functions, secrets_file=options.secrets, environ=os.environ,
            role="worker", work=work,
        )  # fmt: skip

    front, waiting = Front(), Waiting(drive.say)

    def wait_for(error: Unavailable) -> None:
        front.missing = part_of(error)
        waiting(error)

    async with contextlib.AsyncExitStack() as stack, _watched(front, options.health, desk):
        platform = await reached(opened, stack, stop, wait_for)
        if platform is not None:
            for line in platform.warnings:
                drive.say(line)
            front.become(platform.edge)
            drive.say(f"Working on {', '.join([*queues, 'platform'])} at {desk.settings.temporal_address}.")
            await stop.wait()
            front.standing.drain()
            drive.say("Stopping; calls under way may finish.")
            await stack.aclose()
    return 0


@contextlib.asynccontextmanager
async def _watched(front: "Front", place: str | None, desk: drive.Desk) -> AsyncIterator[None]:
    """The health of a worker of the platform, part by part, and its numbers."""
    if not place:
        yield
        return
    from perdure.adapters.logs import LineLog  # as the server
    from perdure.gateway.server import Place, Server  # heavy; loaded already by now

    host, port = _place(place)
    server = Server(front, Place(host=host, port=port, drain=1.0), LineLog(level=desk.settings.log_level))
    serving = asyncio.create_task(server.run(signals=False))
    try:
        yield
    finally:
        server.stop()
        await serving


@contextlib.asynccontextmanager
async def _health(place: str | None, is_working: asyncio.Event) -> AsyncIterator[None]:
    if not place:
        yield
        return
    host, port = _place(place)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            asked = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            path = asked.split(b" ", 2)[1].partition(b"?")[0] if asked.count(b" ") > 1 else b""
            is_well = path == b"/live" or (path in {b"/", b"/ready"} and is_working.is_set())
            unwell = "503 Service Unavailable" if path in {b"/", b"/ready"} else "404 Not Found"
            status = "200 OK" if is_well else unwell
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, host, port):
        yield


def _place(given: str) -> tuple[str, int]:
    host, _, port = given.rpartition(":")
    if not port.isdigit():
        raise Invalid(f"--health {given} is not HOST:PORT.")
    return host or "127.0.0.1", int(port)
