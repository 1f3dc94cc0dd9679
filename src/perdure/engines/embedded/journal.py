"""The file of facts: the one place that opens the database, and the only one that knows its technology.

A commit here is durable when it returns: WAL with `synchronous=FULL`, both read back, refused otherwise
(`reliability.md` 2). One process at a time: a lock file, released by the kernel however the process ends.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar

import apsw

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.room import Room
from perdure.errors import Conflict, Invalid, NotFound, Unavailable

APPLICATION = 0x50657264  # "Perd"
SCHEMA = 5
MIGRATIONS: dict[int, str] = {
    1: """
    CREATE INDEX events_type ON events (tenant, type, seq);
    CREATE TABLE watches (
        tenant TEXT NOT NULL,
        type TEXT NOT NULL,
        run INTEGER NOT NULL,
        PRIMARY KEY (run, type)
    ) WITHOUT ROWID, STRICT;
    INSERT INTO watches SELECT runs.tenant, '', runs.id
        FROM runs JOIN heads ON heads.run = runs.id JOIN definitions ON definitions.hash = runs.definition
        WHERE heads.ended IS NULL AND instr(definitions.document, 'io.serverlessworkflow.');
    """,
    2: """
    ALTER TABLE events ADD COLUMN emitted INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX events_emitted ON events (seq) WHERE emitted = 1;
    """,
    3: "",
    4: "CREATE INDEX heads_open ON heads (status) WHERE status NOT IN ('completed', 'cancelled');",
}
"""Schema version -> the SQL that makes the next one of it. Since 4 a row of `heads` may lag behind (`heads.py`)."""
SYNCHRONOUS = ("FULL", 2)
CHECKPOINT_PAGES = 2000
_HERE = Path(__file__).parent

Row = tuple[Any, ...]
Execute: TypeAlias = Callable[[str, Sequence[Any] | dict[str, Any]], Iterable[Row]]
"""A statement by its name, with its values."""
_Answer = TypeVar("_Answer")


class Rows(Protocol):
    """Something that gives committed rows by the name of a query."""

    def read(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Unavailable when the file cannot be read."""
        ...


class CannotCommit(Exception):
    """The disk did not take a commit. Nothing of it was stored; the same commit may be tried again."""


def _read_queries() -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)\n", (_HERE / "queries.sql").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


QUERIES = _read_queries()
_ADD_FACT = QUERIES["add_journal"]


class Journal:
    """An open journal. `commit` may be called from any one thread at a time, `read` from the thread that opened it."""

    def __init__(self, directory: Path, *, vfs: str | None = None) -> None:
        self.path = directory / "journal.db"
        self._vfs = vfs
        self._room = Room(directory / "journal.db-wal", vfs, CHECKPOINT_PAGES)
        self._lock = Lock(directory / "journal.lock")
        self._cursor: apsw.Cursor | None = None
        """Of the connection that writes, kept from commit to commit."""
        try:
            self._writer = self._open_file()
            try:
                self._reader = self._connect()
            except apsw.Error as error:
                self._writer.close(force=True)
                raise self._cannot_open(error) from error
        except BaseException:
            self._lock.release()
            raise

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    def read(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Committed rows. Unavailable when the file cannot be read."""
        return _rows(self._reader, self.path, query, values)

    def commit(self, batch: Batch) -> None:
        """Store everything in the batch, or nothing: CannotCommit."""
        cursor = self._cursor
        if cursor is None:
            cursor = self._cursor = self._writer.cursor()
        execute = cursor.execute
        try:
            single = batch.single()
            if single is not None:
                execute(_ADD_FACT, single)  # one statement is a transaction of its own
            else:
                execute("BEGIN IMMEDIATE")
                for query, rows in batch.statements():
                    if len(rows) == 1:
                        execute(QUERIES[query], rows[0])
                    else:
                        cursor.executemany(QUERIES[query], rows)
                execute("COMMIT")
        except Exception as error:  # also for a row that cannot be bound the transaction must end, and nothing be lost
            if isinstance(error, apsw.Error) and self._is_stored(batch):
                self._cursor = None
                return
            self._roll_back()
            raise CannotCommit(f"{type(error).__name__.removesuffix('Error')}: {error}") from error
        self._room.used()

    def change(self, work: Callable[[Execute], _Answer]) -> _Answer:
        """One transaction of statements that are no facts: forgetting. Unavailable, and nothing done, when it fails."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            answer = work(lambda name, values: self._writer.execute(QUERIES[name], values))
            self._writer.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back()
            raise Unavailable(f"The journal {self.path} cannot be changed ({error}).", hint=_ROOM) from error
        return answer

    def vacuum(self) -> None:
        """Make the file as small as what it holds. Unavailable when there is no room for that."""
        try:
            self._writer.execute("VACUUM")
        except apsw.Error as error:
            raise Unavailable(f"The journal {self.path} cannot be made smaller ({error}).", hint=_ROOM) from error

    def close(self) -> None:
        """Fold the log into the file and let the next process in."""
        for connection in (self._reader, self._writer):
            try:
                connection.close()
            except apsw.Error:
                connection.close(force=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_stored(self, batch: Batch) -> bool:
        """After an error: whether the commit went through and only what follows it (folding in the log) failed."""
        witness = batch.witness()
        if witness is None or self._writer.in_transaction:
            return False
        try:
            return bool(self._writer.execute(QUERIES[witness[0]], witness[1]).fetchone())
        except apsw.Error:
            return False

    def _roll_back(self) -> None:
        self._cursor = None
        if self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK")
            except apsw.Error:
                if self._writer.in_transaction:
                    self._writer.close(force=True)
                    self._writer = self._connect()

    def _open_file(self) -> apsw.Connection:
        try:
            connection = self._connect(check=True)
            try:
                self._bring_up_to_date(connection)
            except BaseException:
                connection.close(force=True)
                raise
            return connection
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise _damaged(self.path, error) from error
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError, apsw.FullError, apsw.IOError) as error:
            raise self._cannot_open(error) from error

    def _cannot_open(self, error: apsw.Error) -> Unavailable:
        return Unavailable(
            f"The journal {self.path} cannot be opened ({error}).",
            hint="Make the folder writable and leave room on the disk, or choose another with --data.",
        )

    def _connect(self, *, check: bool = False) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), vfs=self._vfs)
        try:
            if check:
                _refuse_foreign(connection, self.path)
            self._make_durable(connection)
        except BaseException:
            connection.close(force=True)
            raise
        return connection

    def _make_durable(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(5_000)
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[0]}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA cache_size = -16000")
        level = connection.execute("PRAGMA synchronous").fetchone()
        if mode != ("wal",) or level != (SYNCHRONOUS[1],):
            raise Unavailable(
                f"The disk under {self.path} does not support a write-ahead log with full synchronisation "
                f"(journal_mode {mode}, synchronous {level}); results could be lost.",
                hint="Keep the data folder on a local disk.",
            )

    def _bring_up_to_date(self, connection: apsw.Connection) -> None:
        fresh = _pragma(connection, "application_id") == 0
        version = _pragma(connection, "user_version")
        if not fresh and version == SCHEMA:
            connection.execute("SELECT count(*) FROM heads WHERE parked = 0").fetchone()
            return
        steps = [(_HERE / "schema.sql").read_text()] if fresh else [MIGRATIONS[step] for step in range(version, SCHEMA)]
        marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA};"
        connection.execute(f"BEGIN IMMEDIATE; {' '.join(steps)} {marks} COMMIT")


class ReadOnly:
    """A journal opened to look only, while any other process may work on it: no lock, and nothing is written.

    All rows are of one moment. NotFound when there is no journal; a damaged or foreign one is refused as `Journal` does.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.db"
        try:
            if not self.path.is_file():
                raise NotFound(f"There is no journal in {directory}.", hint=_MAKES_ONE)
            self._connection = self._open()
        except OSError as error:
            raise Unavailable(f"{directory} cannot be read: {error.strerror}.") from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise _damaged(self.path, error) from error
        except apsw.Error as error:
            raise Unavailable(
                f"The journal {self.path} cannot be read ({error}).",
                hint="Check the permissions of the folder and of the files in it.",
            ) from error

    def __repr__(self) -> str:
        return f"ReadOnly({str(self.path)!r})"

    def read(self, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Committed rows. Unavailable when the file cannot be read."""
        return _rows(self._connection, self.path, query, values)

    def close(self) -> None:
        """Leave; the other process notices nothing."""
        self._connection.close(force=True)

    def _open(self) -> apsw.Connection:
        place, flags = str(self.path), apsw.SQLITE_OPEN_READONLY
        if not os.access(self.path.parent, os.W_OK) and not self.path.with_name("journal.db-wal").exists():
            # SQLite wants to make the files of the log, and cannot; without a log nobody writes either.
            place, flags = f"{self.path.absolute().as_uri()}?immutable=1", flags | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(place, flags=flags)
        try:
            connection.set_busy_timeout(5_000)
            connection.execute("BEGIN")
            _refuse_foreign(connection, self.path)
            version = _pragma(connection, "user_version")
            if _pragma(connection, "application_id") == 0:
                raise NotFound(f"The journal in {self.path.parent} is empty yet.", hint=_MAKES_ONE)
            if version != SCHEMA:
                raise Invalid(
                    f"The journal {self.path} is of schema {version} and this Perdure reads {SCHEMA}.",
                    hint="The next run that works in it brings it up to date.",
                )
        except BaseException:
            connection.close(force=True)
            raise
        return connection


class Lock:
    """One process a folder. The file names the holder; the lock itself goes with the process, even by kill -9."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # inputs and outputs are nobody else's business
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"{path.parent} cannot be used: {error.strerror}.", hint="Choose another folder with --data."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise Conflict(
                f"Another process (pid {holder}) works on {path.parent}.",
                hint="Wait for it, stop it, or choose another folder with --data.",
                pid=holder,
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in. The file stays: removing it would let two in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


_MAKES_ONE = "Name the directory with --data or PERDURE_DATA; `perdure run` makes one."
_ROOM = "Leave room on the disk, and try again."
_RESTORE = "Restore the folder from a backup, or choose another folder with --data."


def _pragma(connection: apsw.Connection, name: str) -> int:
    row = connection.execute(f"PRAGMA {name}").fetchone()
    return int(row[0]) if row else 0


def _rows(connection: apsw.Connection, path: Path, query: str, values: Sequence[Any] | dict[str, Any]) -> list[Row]:
    try:
        return list(connection.execute(QUERIES[query], values))
    except apsw.CorruptError as error:
        raise Unavailable(f"The journal {path} is damaged ({error}).", hint=_RESTORE) from error
    except apsw.Error as error:
        raise Unavailable(f"The journal {path} cannot be read ({error}).", hint="Mend the disk.") from error


def _damaged(path: Path, error: apsw.Error) -> Invalid:
    return Invalid(f"{path} is not a journal, or it is damaged ({error}). Nothing was changed.", hint=_RESTORE)


def _refuse_foreign(connection: apsw.Connection, path: Path) -> None:
    """Invalid for a file that this Perdure must not touch. An empty one is a journal that was never finished."""
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == 0 and version == 0 and tables == (0,):
        return
    if application != APPLICATION:
        raise Invalid(
            f"{path} is a database of another program. Nothing was changed.",
            hint="Choose another folder with --data.",
        )
    if version > SCHEMA:
        raise Invalid(
            f"The journal {path} was written by a newer Perdure (schema {version}, this one knows {SCHEMA}). Nothing was changed.",
            hint="Install that version, or choose another folder with --data.",
        )
    if any(step not in MIGRATIONS for step in range(version, SCHEMA)):
        raise Invalid(
            f"The journal {path} is of schema {version}, too old for this Perdure (schema {SCHEMA}). Nothing was changed.",
            hint="Let its runs end with the version that wrote it, or choose another folder with --data.",
        )
