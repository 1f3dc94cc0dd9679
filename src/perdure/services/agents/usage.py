"""What requests to models took and cost: recorded once each, read as rows and as sums.

Many requests end at the same time: what comes while a transaction is under way goes into the next one together.
"""

import asyncio
import csv
import io
from collections.abc import Iterable

from sqlalchemy import Connection

from perdure.errors import Invalid
from perdure.ports.database import EVERY, Transaction
from perdure.services.agents import store_spending
from perdure.services.agents.models import NANO, Sum, Usage
from perdure.services.agents.service import Ground

MOST = 10_000
"""Rows of one export, or of one list of sums."""
_BATCH = 200
FIELDS = ("run", "agent", "key", "project", "model", "provider")
"""What rows can be found by."""


class Records:
    """The usage of all tenants."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._pending: dict[str, list[tuple[Usage, asyncio.Future[bool]]]] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"Records({self._ground.database!r})"

    async def record(self, one: Usage) -> bool:
        """Keep it, durable before the answer. False when it was recorded before."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending.setdefault(one.tenant, []).append((one, done))
        if one.tenant not in self._writing:
            self._writing[one.tenant] = asyncio.create_task(self._write(one.tenant))
        return await done

    async def record_all(self, tenant: str, given: list[Usage]) -> None:
        """Keep all of them; those that were recorded before change nothing."""
        await self._ground.database.write(tenant, lambda tx: store_spending.add_usages(tx.connection, tenant, given))

    async def _write(self, tenant: str) -> None:
        try:
            while batch := self._pending.get(tenant, [])[:_BATCH]:
                del self._pending[tenant][:_BATCH]
                await self._write_batch(tenant, batch)
        finally:
            self._pending.pop(tenant, None)
            del self._writing[tenant]

    async def _write_batch(self, tenant: str, batch: list[tuple[Usage, "asyncio.Future[bool]"]]) -> None:
        def work(tx: Transaction) -> list[bool]:
            return store_spending.add_usages(tx.connection, tenant, [one for one, _done in batch])

        try:
            made = await self._ground.database.write(tenant, work)
        except Exception as error:  # noqa: BLE001 - each that waits is told, whatever it is
            for _one, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for (_one, done), is_new in zip(batch, made, strict=True):
            if not done.done():
                done.set_result(is_new)

    async def is_recorded(self, tenant: str, call: str) -> bool:
        return await self._ground.database.read(tenant, lambda c: store_spending.has_usage(c, tenant, call))

    async def rows(
        self, tenant: str, *, where: dict[str, str], since: int | None = None, until: int | None = None,
        before: str = "", limit: int = 100,
    ) -> list[Usage]:  # fmt: skip
        """The newest first; `before` is the cursor of the page before."""
        place = _place(before) if before else None

        def work(connection: Connection) -> list[Usage]:
            return store_spending.find_usage(
                connection, tenant, where=where, since=since, until=until, before=place, limit=limit
            )

        return await self._ground.database.read(tenant, work)

    async def sums(
        self, tenant: str, *, by: tuple[str, ...], where: dict[str, str], since: str = "", until: str = "",
        limit: int = MOST,
    ) -> list[Sum]:  # fmt: skip
        """Added up by day, model, key, agent or project."""
        assert tenant != EVERY
        wrong = [name for name in (*by, *where) if name not in store_spending.KEYS]
        if wrong:
            raise Invalid(
                f"Usage is not added up by {wrong[0][:40]!r}.", hint=f"By any of: {', '.join(store_spending.KEYS)}."
            )

        def work(connection: Connection) -> list[Sum]:
            return store_spending.sums_by(connection, tenant, by=by, where=where, since=since, until=until, limit=limit)

        return await self._ground.database.read(tenant, work)


def cursor(one: Usage) -> str:
    """Where the page after this row begins."""
    return f"{one.at}:{one.call}"


def _place(cursor: str) -> tuple[int, str]:
    at, colon, call = cursor.partition(":")
    if not (colon and at.isdecimal() and at.isascii() and len(at) < 16):
        raise Invalid("That is no cursor of this list.", hint="Use `next` of the page before.")
    return int(at), call


COLUMNS = (
    "at", "call", "run", "path", "agent", "key", "project", "model", "provider", "input", "output", "cached", "cost",
)  # fmt: skip


def rows_as_csv(rows: Iterable[Usage]) -> str:
    """One line a request, with a heading. Costs in US dollars; empty when no price is known."""
    return _csv(COLUMNS, ([_cell(one, name) for name in COLUMNS] for one in rows))


def sums_as_csv(by: tuple[str, ...], found: Iterable[Sum]) -> str:
    heading = (*by, "requests", "input", "output", "cached", "cost", "unpriced")
    lines = (
        [*(_safe(one.by[name]) for name in by), one.requests, one.input, one.output, one.cached, dollars(one.cost),
         one.unpriced]
        for one in found
    )  # fmt: skip
    return _csv(heading, lines)


def _csv(heading: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(heading)
    writer.writerows(lines)
    return text.getvalue()


def _cell(one: Usage, name: str) -> object:
    value = getattr(one, name)
    if name == "cost":
        return "" if value is None else dollars(value)
    return _safe(value) if isinstance(value, str) else value


def _safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def dollars(nano: int) -> str:
    """Without rounding, and without an exponent."""
    return f"{nano // NANO}.{nano % NANO:09d}"
