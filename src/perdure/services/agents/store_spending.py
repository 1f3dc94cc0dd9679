"""Queries on what was spent, on budgets, and on what happened to them."""

import contextlib
import operator
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from perdure.services.agents.models import Budget, Mark, Sum, Usage
from perdure.services.agents.store import add, budgets, made, marks, stopped, sums, usage, values

KEYS = ("day", "model", "key", "agent", "project")
"""What `sums` are added up by."""
_ADDED = ("requests", "input", "output", "cached", "cost", "unpriced")


def _unless_there(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row; False when there is one with its key, or with its unique values."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # psycopg does not tell the number of rows of such a statement, so one is asked for.
    statement = dialect.insert(table).values(row).on_conflict_do_nothing().returning(table.c.tenant)
    return connection.execute(statement).first() is not None


# Usage


def add_usages(connection: Connection, tenant: str, given: Sequence[Usage]) -> list[bool]:
    """Record requests with their sums. False for each that is recorded already, and changes nothing."""
    assert all(one.tenant == tenant for one in given)
    first = {one.call: one for one in reversed(given)}
    insert, upsert = _INSERTS[connection.dialect.name]
    new = insert(connection, list(first.values()))
    added: dict[tuple[str, ...], list[Usage]] = {}
    for call in new:
        one = first[call]
        added.setdefault((one.day, one.model, one.key, one.agent, one.project), []).append(one)
    if added:
        upsert(connection, [_sum(tenant, key, found) for key, found in added.items()])
    return [one.call in new and first[one.call] is one for one in given]


def _sum(tenant: str, key: tuple[str, ...], found: Sequence[Usage]) -> dict[str, Any]:
    return {
        "tenant": tenant, **dict(zip(KEYS, key, strict=True)), "requests": len(found),
        "input": sum(one.input for one in found), "output": sum(one.output for one in found),
        "cached": sum(one.cached for one in found), "cost": sum(one.cost or 0 for one in found),
        "unpriced": sum(one.cost is None for one in found),
    }  # fmt: skip


class _Returning:
    """A statement for many rows, which tells those that it changed."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement

    def __call__(self, connection: Connection, rows: list[dict[str, Any]]) -> set[str]:
        return set(connection.execute(self._statement, rows).scalars())


class _Returned(_Returning):
    """The same for rows of `usage`."""

    def __call__(self, connection: Connection, given: list[Any]) -> set[str]:
        return super().__call__(connection, [values(usage, one) for one in given])


class _Driven:
    """The same on SQLite, by its driver: it takes a quarter of the time, in which no request is served."""

    def __init__(self, statement: Any) -> None:
        compiled = statement.compile(dialect=sqlite.dialect())
        self._text = str(compiled)
        self._places = operator.itemgetter(*compiled.positiontup)

    def __call__(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        driver: Any = connection.connection.driver_connection
        with _known(self._text):
            for row in rows:
                driver.execute(self._text, self._places(row))


class _Together:
    """New rows of `usage` on SQLite, many by one statement: at the begin and the end of each one, threads wait for one another,
    and requests with them."""

    def __init__(self, statement: Any) -> None:
        compiled = statement.compile(dialect=sqlite.dialect())
        assert compiled.positiontup[-1] == "price"
        self._one = str(compiled)
        head, values, row = self._one.removesuffix(_UNLESS).partition(" VALUES ")
        self._many = {size: f"{head}{values}{', '.join([row] * size)}" for size in _SIZES}
        self._plain = operator.attrgetter(*compiled.positiontup[:-1])

    def __call__(self, connection: Connection, given: list[Usage]) -> set[str]:
        driver: Any = connection.connection.driver_connection
        new: set[str] = set()
        with _known(self._one):
            for some in _cut(given):
                if len(some) > 1 and self._are_new(driver, some):
                    new.update(one.call for one in some)
                else:
                    new.update(one.call for one in some if driver.execute(self._one, self._row(one)).rowcount == 1)
        return new

    def _are_new(self, driver: Any, some: Sequence[Usage]) -> bool:
        """All of them are recorded now, or none of them because one was before."""
        try:
            driver.execute(self._many[len(some)], [value for one in some for value in self._row(one)])
        except sqlite3.IntegrityError:
            return False
        return True

    def _row(self, one: Usage) -> tuple[Any, ...]:
        return (*self._plain(one), msgspec.json.encode(one.price).decode())


_SIZES = (64, 8, 1)
"""Rows of one statement: few statements are made ready once and used again."""
_UNLESS = " ON CONFLICT DO NOTHING"


def _cut(given: Sequence[Usage]) -> Iterator[Sequence[Usage]]:
    """Into pieces of these sizes."""
    at = 0
    for size in _SIZES:
        while at + size <= len(given):
            yield given[at : at + size]
            at += size


@contextlib.contextmanager
def _known(statement: str) -> Iterator[None]:
    """What the driver reports is known by its kind: the disk is full, say, and it is tried again."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OperationalError(statement, None, error) from error


def _statements(dialect: Any) -> tuple[Any, Any]:
    """Built once: building them takes longer than running them."""
    insert, into = dialect.insert(usage), dialect.insert(sums)
    return insert.on_conflict_do_nothing(), into.on_conflict_do_update(
        index_elements=["tenant", *KEYS], set_={name: sums.c[name] + into.excluded[name] for name in _ADDED}
    )


def _on_postgres() -> tuple[Any, Any]:
    insert, upsert = _statements(postgresql)
    return _Returned(insert.returning(usage.c.call)), _Returning(upsert.returning(sums.c.day))


def _on_sqlite() -> tuple[Any, Any]:
    insert, upsert = _statements(sqlite)
    return _Together(insert), _Driven(upsert)


_INSERTS: dict[str, tuple[Any, Any]] = {"sqlite": _on_sqlite(), "postgresql": _on_postgres()}


def has_usage(connection: Connection, tenant: str, call: str) -> bool:
    query = select(usage.c.call).where(usage.c.tenant == tenant, usage.c.call == call)
    return connection.execute(query).first() is not None


def find_usage(
    connection: Connection, tenant: str, *, where: dict[str, str], since: int | None, until: int | None,
    before: tuple[int, str] | None, limit: int,
) -> list[Usage]:  # fmt: skip
    """The newest first, those before (at, call)."""
    query = select(usage).where(usage.c.tenant == tenant, *(usage.c[name] == given for name, given in where.items()))
    if since is not None:
        query = query.where(usage.c.at >= since)
    if until is not None:
        query = query.where(usage.c.at < until)
    if before is not None:
        at, call = before
        query = query.where((usage.c.at < at) | ((usage.c.at == at) & (usage.c.call < call)))
    rows = connection.execute(query.order_by(usage.c.at.desc(), usage.c.call.desc()).limit(limit)).mappings()
    return [made(usage, Usage, row) for row in rows]


def sums_by(
    connection: Connection, tenant: str, *, by: tuple[str, ...], where: dict[str, str], since: str, until: str, limit: int
) -> list[Sum]:  # fmt: skip
    """Added up by some of `KEYS`, of days from `since` to before `until` (empty: open), in the order of those keys."""
    columns = [sums.c[name] for name in by]
    totals = [func.coalesce(func.sum(sums.c[name]), 0).label(name) for name in _ADDED]
    query = select(*columns, *totals).where(sums.c.tenant == tenant)
    query = query.where(*(sums.c[name] == given for name, given in where.items()))
    if since:
        query = query.where(sums.c.day >= since)
    if until:
        query = query.where(sums.c.day < until)
    rows = connection.execute(query.group_by(*columns).order_by(*columns).limit(limit)).mappings()
    return [
        Sum(by={name: row[name] for name in by}, **{name: int(row[name]) for name in _ADDED})
        for row in rows
        if by or row["requests"]
    ]


def spent(connection: Connection, tenant: str, budget: Budget, subject: str, window: str) -> int:
    """What was spent on the account of a budget in a period: the truth that counters begin with."""
    if budget.scope == "run":
        table, where = usage, [usage.c.run == subject]
    else:
        table, where = sums, []
        if budget.scope != "tenant":
            where.append(sums.c[budget.scope] == subject)
    if window != "total":
        where.append(table.c.day.startswith(window, autoescape=True))
    what = table.c.cost if budget.measure == "cost" else table.c.input + table.c.output
    query = select(func.coalesce(func.sum(what), 0)).where(table.c.tenant == tenant, *where)
    return int(connection.execute(query).scalar() or 0)


# Budgets


def budget(connection: Connection, tenant: str, id: str, *, lock: bool = False) -> Budget | None:
    query = select(budgets).where(budgets.c.tenant == tenant, budgets.c.id == id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else made(budgets, Budget, row)


def find_budgets(connection: Connection, tenant: str, *, after: str = "", limit: int = 10_000) -> list[Budget]:
    """The newest first, those before the id `after`."""
    query = select(budgets).where(budgets.c.tenant == tenant)
    if after:
        query = query.where(budgets.c.id < after)
    return [
        made(budgets, Budget, row)
        for row in connection.execute(query.order_by(budgets.c.id.desc()).limit(limit)).mappings()
    ]


def put_budget(connection: Connection, tenant: str, found: Budget) -> None:
    this = (budgets.c.tenant == tenant, budgets.c.id == found.id)
    connection.execute(update(budgets).where(*this).values(values(budgets, found)))


def add_budget(connection: Connection, tenant: str, found: Budget) -> None:
    add(connection, tenant, budgets, found)


def drop_budget(connection: Connection, tenant: str, id: str) -> bool:
    """With everything that happened to it."""
    mine = select(marks.c.id).where(marks.c.tenant == tenant, marks.c.budget == id)
    connection.execute(delete(stopped).where(stopped.c.tenant == tenant, stopped.c.mark.in_(mine)))
    connection.execute(delete(marks).where(marks.c.tenant == tenant, marks.c.budget == id))
    gone = connection.execute(delete(budgets).where(budgets.c.tenant == tenant, budgets.c.id == id))
    return gone.rowcount > 0


# What happened to them


def add_mark(connection: Connection, tenant: str, one: Mark) -> bool:
    """False when there is one for this round."""
    assert one.tenant == tenant
    return _unless_there(connection, marks, values(marks, one))


def mark(connection: Connection, tenant: str, id: str) -> Mark | None:
    query = select(marks).where(marks.c.tenant == tenant, marks.c.id == id)
    row = connection.execute(query).mappings().first()
    return None if row is None else made(marks, Mark, row)


def put_mark(connection: Connection, tenant: str, one: Mark) -> None:
    this = (marks.c.tenant == tenant, marks.c.id == one.id)
    connection.execute(update(marks).where(*this).values(values(marks, one)))


def find_marks(connection: Connection, tenant: str, windows: tuple[str, ...]) -> list[Mark]:
    """What happened in these periods, in order."""
    query = select(marks).where(marks.c.tenant == tenant, marks.c.window.in_(windows)).order_by(marks.c.round)
    return [made(marks, Mark, row) for row in connection.execute(query).mappings()]


def marks_of(connection: Connection, tenant: str, budget: str, subject: str, window: str) -> list[Mark]:
    query = select(marks).where(
        marks.c.tenant == tenant, marks.c.budget == budget, marks.c.subject == subject, marks.c.window == window
    )
    return [made(marks, Mark, row) for row in connection.execute(query.order_by(marks.c.round)).mappings()]


def unlifted(connection: Connection, tenant: str, budget: str) -> list[Mark]:
    """Questions about a budget that wait for an answer, or were answered with no."""
    query = select(marks).where(
        marks.c.tenant == tenant, marks.c.budget == budget, marks.c.kind == "asked",
        marks.c.state.in_(("open", "refused")),
    )  # fmt: skip
    return [made(marks, Mark, row) for row in connection.execute(query).mappings()]


def stopped_by(connection: Connection, tenant: str, mark: str) -> list[str]:
    """Runs that faulted, in a version in which steps did not wait, and go on when this question is answered."""
    query = select(stopped.c.run).where(stopped.c.tenant == tenant, stopped.c.mark == mark)
    return list(connection.execute(query).scalars())
