"""Serves the gateway over HTTP until it is told to stop, and then loses nothing.

The end in order: not ready any more, and answers say `Connection: close`; a while for load balancers to notice; no new
connections; streams end with a hint to come back; requests under way are finished, for as long as the drain time.
"""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import uvicorn

from perdure.errors import Invalid, Unavailable
from perdure.gateway.app import Edge
from perdure.gateway.connection import Connection
from perdure.gateway.front import Front
from perdure.ports.log import Log

_OPEN_FILES = 65_536
_GARBAGE = 10_000
"""Objects made, less those that are gone, after which the young ones are looked through."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_ELSEWHERE = "Choose another port with --port (0: any free one), or another address of this machine with --host."


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and how to stop."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0: any free one; `Server.address` says which."""
    unix: str = ""
    """Path of a Unix socket; then host and port mean nothing."""
    notice: float = 0.0
    """Seconds between "not ready" and the end of listening, for those who watch `/ready`."""
    drain: float = 25.0
    """Seconds that requests under way may still take."""
    keep_alive: int = 30
    backlog: int = 1024


class Server:
    """One listening gateway. `started` is set once it takes requests."""

    def __init__(self, edge: Edge | Front, place: Place, log: Log) -> None:
        self._edge = edge
        self._place = place
        self._log = log
        self._stop = asyncio.Event()
        self._hurried = False
        self.started = asyncio.Event()
        self.address = ""

    def __repr__(self) -> str:
        return f"Server({self.address or 'not started'}, {self._edge.standing})"

    def stop(self) -> None:
        """Begin the end. A second call does not wait for requests any more."""
        self._hurried = self._stop.is_set()
        self._stop.set()

    async def run(self, *, signals: bool = True) -> None:
        """Serve until `stop`, or SIGTERM or SIGINT, and until what was under way is done."""
        config = uvicorn.Config(
            self._edge, http=Connection, lifespan="off", access_log=False, log_config=None, server_header=False, ws="none",
            proxy_headers=False, timeout_keep_alive=self._place.keep_alive, backlog=self._place.backlog,
            timeout_graceful_shutdown=max(1, round(self._place.drain)),
        )  # fmt: skip
        config.load()
        _allow_connections()
        server = uvicorn.Server(config)
        listening = self._listen()
        with _heard(self.stop) if signals else contextlib.nullcontext():
            serving = asyncio.create_task(server._serve([listening]))
            try:
                await self._until_started(server, serving)
                self._log("info", "serving", address=self.address)
                self.started.set()
                await self._until_stop(serving)
                await self._end(server, serving)
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
                listening.close()
                self._remove()

    def _remove(self) -> None:
        if self._place.unix:
            Path(self._place.unix).unlink(missing_ok=True)

    def _listen(self) -> socket.socket:
        place = self._place
        try:
            if place.unix:
                listening = _unix_socket(place.unix)
                self.address = f"unix:{place.unix}"
            else:
                family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
                listening = _tcp_socket(family, place)
                host, port = listening.getsockname()[:2]
                self.address = f"http://[{host}]:{port}" if family == socket.AF_INET6 else f"http://{host}:{port}"
        except OSError as error:
            where = place.unix or f"{place.host}:{place.port}"
            raise Invalid(f"Cannot listen on {where}: {error.strerror or error}.", hint=_ELSEWHERE) from error
        listening.setblocking(False)
        return listening

    async def _until_started(self, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        while not server.started:
            if serving.done():
                raise Unavailable("The server could not start.") from serving.exception()
            await asyncio.sleep(0)

    async def _until_stop(self, serving: asyncio.Task[None]) -> None:
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stop, serving}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()

    async def _end(self, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        self._log("info", "draining", notice=self._place.notice, drain=self._place.drain)
        self._edge.standing.drain()
        if self._place.notice:
            await asyncio.sleep(self._place.notice)
        server.should_exit = True
        while not serving.done():
            server.force_exit = self._hurried
            await asyncio.wait({serving}, timeout=0.1)
        self._log("info", "stopped")


def _allow_connections() -> None:
    """Each connection is an open file, and the usual limit of 1,024 is fewer than the streams of one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tcp_socket(family: socket.AddressFamily, place: Place) -> socket.socket:
    """TCP by name: asyncio switches Nagle's delay off only for sockets that say so, and 40 ms a request are at stake."""
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((place.host, place.port))
        listening.listen(place.backlog)
    except OSError:
        listening.close()
        raise
    return listening


def _unix_socket(path: str) -> socket.socket:
    """A socket left by a process that died is replaced; one that somebody listens on is not."""
    place = Path(path)
    if place.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise OSError(98, "somebody listens there")
        place.unlink()
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(path)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


@contextlib.contextmanager
def _heard(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def leave_alone() -> None:
    """What is loaded by now stays for good: looking through all of it for garbage again and again took a fifth of the
    processor, and stopped every request for a tenth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 50)
