"""Service data in PostgreSQL: each transaction tells its tenant, and row-level security holds it to that.

A transaction whose connection broke, or that lost a conflict, is run again as a whole, never half of it. Whether a commit
without an answer was made is looked up by a row of its own, so it is not made twice. Everything about a session is said
inside the transaction, so a pooler in transaction mode may stand between.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from perdure.adapters.transaction import OpenTransaction, Surroundings
from perdure.errors import Invalid, Unavailable, extra, reason
from perdure.ports.database import EVERY, Transaction

if TYPE_CHECKING:
    from perdure.adapters.database_notices import Notices

T = TypeVar("T")
_log = logging.getLogger("perdure.database")

PATIENCE = 30.0
"""Seconds for which a transaction is tried again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_STATEMENT_MS, _LOCK_MS, _IDLE_MS = 30_000, 10_000, 60_000
_CANCELLED = "57014"
AGAIN = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300"}
"""Serialization failure, deadlock, lock not available, shutdowns, cannot connect now, too many connections; and class
08, connection exceptions (PostgreSQL manual, appendix A)."""

_UNFIT = {"22003", "22021", "22P05"}
"""A number out of range, characters that are none here: what was given is at fault, not we."""

_SETTINGS = f"""
    set_config('search_path', :schema, true), set_config('app.tenant', :tenant, true),
    set_config('statement_timeout', '{_STATEMENT_MS}', true), set_config('lock_timeout', '{_LOCK_MS}', true),
    set_config('idle_in_transaction_session_timeout', '{_IDLE_MS}', true)
"""
_BEGIN_READ = text(f"SELECT set_config('transaction_read_only', 'on', true), {_SETTINGS}")
_BEGIN_WRITE = """
    WITH mark AS (INSERT INTO {schema}.committed (id, at) VALUES (:id, :at) ON CONFLICT DO NOTHING RETURNING 1)
    SELECT (SELECT count(*) FROM mark), {settings}
"""
_NOTIFY = text("SELECT pg_notify(:channel, :payload)")
_ROLE = text("SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")


class _Attempts:
    """How long a transaction has been tried, and what the last try would have answered."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(12)
        self.has_value = False
        self.value: Any = None
        self.told = False
        self._end = time.monotonic() + PATIENCE
        self._pause = _FIRST_PAUSE

    def may_go_on(self) -> bool:
        """Wait a little, longer each time. False when patience is at its end."""
        if time.monotonic() > self._end:
            return False
        time.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads those who wait
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True


class PostgresDatabase:
    """Implements `ports/database.py: Database`. Refuses a role that row-level security does not bind."""

    def __init__(self, place: URL, around: Surroundings, *, size: int = 10) -> None:
        self.service = around.service
        self._around = around
        self._where = place.render_as_string(hide_password=True)
        with extra("postgres", "PostgreSQL"):
            self._engine = create_engine(
                place,
                pool_size=size,
                max_overflow=0,
                pool_timeout=PATIENCE,
                pool_recycle=1800,
                pool_use_lifo=True,
                connect_args={"prepare_threshold": None, "connect_timeout": 10},  # poolers in transaction mode
            )
        self._begin_write = text(_BEGIN_WRITE.format(schema=self.service, settings=_SETTINGS))
        self._threads = ThreadPoolExecutor(size, f"perdure-{self.service}")
        self._channel = f"perdure_{self.service}"
        self._notices: Notices | None = None
        self._ears: list[Callable[[], None]] = []
        self._closed = False
        try:
            self._check_role()
        except BaseException:
            self._threads.shutdown()
            self._engine.dispose()
            raise

    def __repr__(self) -> str:
        return f"PostgresDatabase({self.service}, {self._where})"

    async def read(self, tenant: str, work: Callable[[Connection], T]) -> T:
        value: T = await self._in_thread(self._read, tenant, work)
        return value

    async def write(self, tenant: str, work: Callable[[Transaction], T]) -> T:
        attempts = _Attempts()
        value: T = await self._in_thread(self._write, tenant, work, self._around.trace(), attempts)
        if attempts.told:
            self._ring()
        return value

    def on_told(self, ear: Callable[[], None], *, others: bool = False) -> None:
        """Call this, in the loop of the writer's caller, after each commit that told something; `others`: also when a process
        told something in which nobody hears it."""
        self._ears.append(ear)
        if others and self._notices is None:
            from perdure.adapters.database_notices import Notices  # its library is an extra

            _, place = self._engine.dialect.create_connect_args(self._engine.url)
            self._notices = Notices(place, self._channel, self._ring, self._notify)

    def _ring(self) -> None:
        for ear in self._ears:
            ear()

    async def _notify(self, payload: str) -> None:
        def work(connection: Connection) -> None:
            connection.execute(_NOTIFY, {"channel": self._channel, "payload": payload})
            connection.commit()

        await self.read(EVERY, work)

    @contextlib.contextmanager
    def making(self) -> Iterator[Connection]:
        """One transaction for changes of the schema."""
        with self._engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {self.service}"))
            connection.execute(text("SELECT set_config('search_path', :schema, true)"), {"schema": self.service})
            yield connection
            protect(connection, self.service)

    async def close(self) -> None:
        """Let transactions under way end, then leave."""
        if not self._closed:
            self._closed = True
            if self._notices is not None:
                await self._notices.close()
            await asyncio.to_thread(self._threads.shutdown)
            self._engine.dispose()

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._closed:
            raise Unavailable(f"The database of {self.service} is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    # In a thread of the pool.

    def _read(self, tenant: str, work: Callable[[Connection], T]) -> T:
        attempts = _Attempts()
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.execute(_BEGIN_READ, self._given(tenant))
                    return work(connection)
            except (DBAPIError, PoolTimeout) as error:
                self._go_on_after(error, attempts)

    def _write(self, tenant: str, work: Callable[[Transaction], T], trace: str, attempts: _Attempts) -> T:
        while True:
            try:
                with self._engine.connect() as connection:
                    given = {**self._given(tenant), "id": attempts.id, "at": self._around.clock.now()}
                    is_new = connection.execute(self._begin_write, given).scalar_one() == 1
                    if not is_new and attempts.has_value:
                        made: T = attempts.value  # of an earlier try, whose commit was made and whose answer was lost
                        return made
                    transaction = OpenTransaction(connection, tenant, self._around, trace)
                    value = work(transaction)
                    transaction.flush()
                    if transaction.has_told and not self._ears:
                        # With the commit or not at all. Only where nobody here hears of it: commits that notify wait for
                        # one another.
                        connection.execute(_NOTIFY, {"channel": self._channel, "payload": ""})
                    attempts.value, attempts.has_value, attempts.told = value, True, transaction.has_told
                    connection.commit()
                    return value
            except (DBAPIError, PoolTimeout) as error:
                self._go_on_after(error, attempts)

    def _go_on_after(self, error: DBAPIError | PoolTimeout, attempts: _Attempts) -> None:
        """Return when the whole transaction may be tried again; else raise what its caller is to hear."""
        if getattr(getattr(error, "orig", None), "sqlstate", None) == _CANCELLED:
            raise Unavailable(f"The database of {self.service} took longer than {_STATEMENT_MS // 1000} s.") from error
        if is_unfit(error):
            raise Invalid(
                "A text or a number cannot be kept as it is.",
                hint="Texts are without the character U+0000, and whole numbers have 64 bits.",
            ) from error
        if not may_pass(error):
            raise error
        if not attempts.may_go_on():
            said = reason(getattr(error, "orig", None) or error)
            _log.warning("The database of %s cannot be reached: %s", self.service, said)
            raise Unavailable(f"The database of {self.service} cannot be reached.") from error

    def _given(self, tenant: str) -> dict[str, Any]:
        return {"schema": self.service, "tenant": tenant}

    def _check_role(self) -> None:
        try:
            with self._engine.connect() as connection:
                name, is_free = connection.execute(_ROLE).one()
        except DBAPIError as error:
            raise Unavailable(f"The database of {self.service} cannot be reached: {reason(error.orig)}.") from error
        if is_free:
            raise Invalid(
                f"Row-level security does not bind the database role {name}, so tenants would not be kept apart.",
                hint="Use a role that is NOSUPERUSER and NOBYPASSRLS and owns the database.",
            )


def may_pass(error: DBAPIError | PoolTimeout) -> bool:
    """Whether the same transaction may succeed when it is tried again."""
    if isinstance(error, PoolTimeout) or error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # no answer of the server: it could not be reached, or went away
        return type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout", "AdminShutdown"}
    return state in AGAIN or state.startswith("08")


def is_unfit(error: DBAPIError | PoolTimeout) -> bool:
    """Whether a value is none that the server could keep. The client library refuses some itself, without a state."""
    found = getattr(error, "orig", None)
    state = getattr(found, "sqlstate", None)
    return state in _UNFIT if state is not None else type(found).__name__ == "DataError"


def protect(connection: Connection, schema: str) -> list[str]:
    """Row-level security, with FORCE, on every table of the schema that has a column `tenant`; which tables.

    A transaction that has not said its tenant sees and writes no row; EVERY (`*`) is for sweeps.
    """
    query = text(
        "SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t "
        "USING (table_schema, table_name) WHERE c.table_schema = :schema AND c.column_name = 'tenant' "
        "AND t.table_type = 'BASE TABLE' ORDER BY 1"
    )
    names = list(connection.execute(query, {"schema": schema}).scalars())
    quote = connection.dialect.identifier_preparer.quote
    for name in names:
        table = f"{quote(schema)}.{quote(name)}"
        mine = "tenant = current_setting('app.tenant', true) OR current_setting('app.tenant', true) = '*'"
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS of_tenant ON {table}",
            f"CREATE POLICY of_tenant ON {table} USING ({mine}) WITH CHECK ({mine})",
        ):
            connection.execute(text(statement))
    return names
