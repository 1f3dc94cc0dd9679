"""Service data in a SQLite file: one writer thread with group commit, a few readers, and no commit that can be lost.

Writes that wait together become savepoints of one transaction with full synchronisation: each caller is answered after
the commit, and one that fails takes nobody with it. Never open a file here that apsw has open in the same process.
"""

import asyncio
import contextlib
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from perdure.adapters.transaction import OpenTransaction, Surroundings
from perdure.errors import Unavailable
from perdure.ports.database import Transaction

T = TypeVar("T")

_GROUP = 256
"""Writes that share one commit at most."""
_PATIENCE, _PAUSE = 10.0, 0.01
"""Seconds for which a file that is busy is tried again, and between two tries."""
_BUSY, _WRONG_SQL = 5, 1
"""SQLITE_BUSY, SQLITE_ERROR: https://www.sqlite.org/rescode.html#error"""
_LOOP_CLOSED = RuntimeError
PRAGMAS: dict[str, tuple[str, Any]] = {
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "foreign_keys": ("ON", 1),
    "busy_timeout": ("10000", 10_000),
}
"""What every connection sets and reads back: the value as written and as it must be read."""


class _Write:
    """A write that waits for its turn, and who waits for it."""

    __slots__ = ("error", "future", "loop", "tenant", "told", "trace", "value", "work")

    def __init__(self, tenant: str, work: Callable[[Transaction], Any], trace: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.tenant = tenant
        self.work = work
        self.trace = trace
        self.told = False
        self.value: Any = None
        self.error: BaseException | None = None


class SqliteDatabase:
    """Implements `ports/database.py: Database`. The tenant is not enforced by the file; stores name it in every query."""

    def __init__(self, place: URL, around: Surroundings, *, size: int = 4) -> None:
        self._temporary = "" if place.database else tempfile.mkdtemp(prefix="perdure-")
        self.path = Path(place.database or Path(self._temporary) / "temporary.db")
        self.service = around.service
        self.commits = 0
        self._around = around
        self._engine = engine(self.path, is_temporary=bool(self._temporary))
        self._connection = self._connect()
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writing = threading.Thread(target=self._run, name=f"perdure-{self.service}", daemon=True)
        self._readers = ThreadPoolExecutor(size, f"perdure-{self.service}-read")
        self._local = threading.local()
        self._reading: list[Connection] = []
        self._ears: list[Callable[[], None]] = []
        self._closed = False
        self._writing.start()

    def __repr__(self) -> str:
        return f"SqliteDatabase({self.service}, {str(self.path)!r}, commits={self.commits})"

    def read(self, tenant: str, work: Callable[[Connection], T]) -> Awaitable[T]:
        self._check_open()
        return asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def write(self, tenant: str, work: Callable[[Transaction], T]) -> Awaitable[T]:
        self._check_open()
        waiting = _Write(tenant, work, self._around.trace())
        self._queue.put(waiting)
        return waiting.future

    def on_told(self, ear: Callable[[], None], *, others: bool = False) -> None:
        """Call this, in the loop of the writer's caller, after each commit that told something. There are no others."""
        self._ears.append(ear)

    @contextlib.contextmanager
    def making(self) -> Iterator[Connection]:
        """One transaction for changes of the schema, beside the writer; it waits until the file is free."""
        with contextlib.closing(self._connect()) as connection, begun(connection, "BEGIN IMMEDIATE"):
            yield connection

    async def close(self) -> None:
        """Commit what waits, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._end)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"The database of {self.service} is closed.")

    def _end(self) -> None:
        self._writing.join()
        self._readers.shutdown()
        for connection in [*self._reading, self._connection]:
            connection.close()
        self._engine.dispose()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except OperationalError as error:
            raise Unavailable(f"The database {self.path} cannot be opened: {error.orig}.") from None
        except DatabaseError as error:
            raise Unavailable(f"{self.path} is damaged or no SQLite database: {error.orig}.") from None

    # Readers: each thread has a connection of its own, which cannot write.

    def _read(self, work: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            connection.exec_driver_sql("PRAGMA query_only = ON")
            connection.commit()
            self._reading.append(connection)
        try:
            with begun(connection, "BEGIN"):
                return work(connection)
        except OperationalError as error:
            raise _meaning(error, self.service) from error

    # The writer: everything below runs in its thread.

    def _run(self) -> None:
        ending = False
        while not ending:
            group = [self._queue.get()]
            while len(group) < _GROUP:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            ending = None in group
            writes = [write for write in group if write is not None]
            if writes:
                self._commit(writes)
                self._answer(writes)

    def _commit(self, writes: list[_Write]) -> None:
        """One transaction for all of them. What the disk refuses is refused to all: nothing of it was stored."""
        try:
            with begun(self._connection, "BEGIN IMMEDIATE"):
                for write in writes:
                    self._attempt(write, is_alone=len(writes) == 1)
            self.commits += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear it
            reason = getattr(error, "orig", None) or error
            for write in writes:
                write.error = write.error or Unavailable(f"The database of {self.service} cannot be written: {reason}.")

    def _attempt(self, write: _Write, *, is_alone: bool) -> None:
        driver: Any = self._connection.connection.driver_connection
        transaction = OpenTransaction(self._connection, write.tenant, self._around, write.trace)
        if not is_alone:
            driver.execute("SAVEPOINT one")
        try:
            write.value = write.work(transaction)
            transaction.flush()
            write.told = transaction.has_told
        except BaseException as error:
            write.error = _meaning(error, self.service)
            if is_alone or not driver.in_transaction:
                raise
            driver.execute("ROLLBACK TO one")
        if not is_alone:
            driver.execute("RELEASE one")

    def _answer(self, writes: list[_Write]) -> None:
        """Wake each loop once, however many of its callers were served."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
        for write in writes:
            by_loop.setdefault(write.loop, []).append(write)
        for loop, served in by_loop.items():
            with contextlib.suppress(_LOOP_CLOSED):  # its callers are gone, and what they wrote is stored
                loop.call_soon_threadsafe(self._serve, served)

    def _serve(self, served: list[_Write]) -> None:
        for write in served:
            if write.future.done():
                continue
            if write.error is not None:
                write.future.set_exception(write.error)
            else:
                write.future.set_result(write.value)
        if any(write.told and write.error is None for write in served):
            for ear in self._ears:
                ear()


def engine(path: Path, *, is_temporary: bool = False) -> Engine:
    """An engine whose connections are all set up and read back. A new file can be read by its owner only."""
    if not path.exists():
        with contextlib.suppress(OSError):  # SQLite itself says it better
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    made = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",  # transactions are begun and ended here, by name
        connect_args={"check_same_thread": False, "timeout": 10},
    )

    @event.listens_for(made, "connect")
    def prepare(connection: Any, record: Any) -> None:
        for name, (written, wanted) in PRAGMAS.items():
            _patiently(connection, f"PRAGMA {name} = {written}")
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != wanted:
                connection.close()
                raise Unavailable(
                    f"The disk under {path} does not allow what service data needs ({name} is {found}, not {written}).",
                    hint="Keep the data folder on a local disk.",
                )
        if is_temporary:
            connection.execute("PRAGMA synchronous = OFF").close()

    return made


def _patiently(connection: Any, statement: str) -> None:
    """Two who turn a new file to WAL at once: SQLite refuses one of them without waiting, whatever `busy_timeout` says."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(statement).close()
        except Exception as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != _BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
        else:
            return


@contextlib.contextmanager
def begun(connection: Connection, how: str) -> Iterator[None]:
    """One transaction of the driver; SQLAlchemy's own, which sends nothing in this mode, ends with it."""
    driver: Any = connection.connection.driver_connection
    driver.execute(how)
    try:
        yield
        connection.commit()
        driver.commit()
    except BaseException:  # of the commit too: a full disk is often first found out there
        connection.rollback()
        driver.rollback()
        raise


def _meaning(error: BaseException, service: str) -> BaseException:
    """What a caller hears, who may be a stranger: nothing of our disk. Errors of its own work pass, wrong SQL among them; what the file refuses is Unavailable."""
    if isinstance(error, OperationalError) and getattr(error.orig, "sqlite_errorcode", 0) != _WRONG_SQL:
        return Unavailable(f"The database of {service} cannot be used: {error.orig}.")
    if isinstance(error, StopIteration):  # a future cannot carry it
        return RuntimeError(f"work raised {error!r}")
    return error
