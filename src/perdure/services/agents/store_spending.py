"""Queries on what was spent, on budgets, and on what happened to them."""

import operator
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    text,
    update,
)
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
    new = _ADDING[connection.dialect.name](connection, list(first.values()))
    return [one.call in new and first[one.call] is one for one in given]


def _sums(given: Sequence[Usage], new: set[str]) -> list[dict[str, Any]]:
    """Of those that are new, as rows."""
    added: dict[tuple[str, ...], list[Usage]] = {}
    for one in given:
        if one.call in new:
            added.setdefault((one.tenant, one.day, one.model, one.key, one.agent, one.project), []).append(one)
    return [_sum(key, found) for key, found in added.items()]


def _sum(key: tuple[str, ...], found: Sequence[Usage]) -> dict[str, Any]:
    return {
        **dict(zip(("tenant", *KEYS), key, strict=True)), "requests": len(found),
        "input": sum(one.input for one in found), "output": sum(one.output for one in found),
        "cached": sum(one.cached for one in found), "cost": sum(one.cost or 0 for one in found),
        "unpriced": sum(one.cost is None for one in found),
    }  # fmt: skip


def _upsert(insert: Any) -> Any:
    return insert.on_conflict_do_update(
        index_elements=["tenant", *KEYS], set_={name: sums.c[name] + insert.excluded[name] for name in _ADDED}
    )


class _OnPostgres:
    """Adds rows with their sums; the calls of those that were not there. Statements are built once: building them takes
    longer than running them."""

    def __init__(self) -> None:
        self._insert = postgresql.insert(usage).on_conflict_do_nothing().returning(usage.c.call)
        self._upsert = _upsert(postgresql.insert(sums))

    def __call__(self, connection: Connection, given: list[Usage]) -> set[str]:
        new = set(connection.execute(self._insert, [values(usage, one) for one in given]).scalars())
        if new:
            connection.execute(self._upsert, _sums(given, new))
        return new


class _OnSqlite:
    """The same by the driver. Many go in as one text and two statements, which let go of the interpreter while they work: the
    thread that serves requests does not wait for rows that are made ready one by one."""

    def __init__(self) -> None:
        self._insert, self._places = _compiled(sqlite.insert(usage).on_conflict_do_nothing())
        self._upsert, self._sum_places = _compiled(_upsert(sqlite.insert(sums)))
        every = select(*_LISTED.values())
        self._insert_all, _ = _compiled(sqlite.insert(usage).from_select(list(_LISTED), every))
        keys = [_LISTED[name] for name in ("tenant", *KEYS)]
        totals = [func.sum(_LISTED[name]) for name in ("input", "output", "cached")]
        cost = func.sum(func.ifnull(_LISTED["cost"], literal_column("0")))
        unpriced = func.count() - func.count(_LISTED["cost"])
        # Without a WHERE, SQLite takes the ON of ON CONFLICT for that of a join: https://www.sqlite.org/lang_upsert.html
        added_up = select(*keys, func.count(), *totals, cost, unpriced).where(text("true")).group_by(*keys)
        self._upsert_all, _ = _compiled(_upsert(sqlite.insert(sums).from_select(["tenant", *KEYS, *_ADDED], added_up)))

    def __call__(self, connection: Connection, given: list[Usage]) -> set[str]:
        driver: Any = connection.connection.driver_connection
        try:
            if len(given) >= _MANY and self._are_new(driver, given):
                return {one.call for one in given}
            rows = (values(usage, one) for one in given)
            new = {row["call"] for row in rows if driver.execute(self._insert, self._places(row)).rowcount == 1}
            for row in _sums(given, new):
                driver.execute(self._upsert, self._sum_places(row))
        except sqlite3.OperationalError as error:  # known by this kind: the disk is full, say, and it is tried again
            raise OperationalError(self._insert, None, error) from error
        return new

    def _are_new(self, driver: Any, given: list[Usage]) -> bool:
        """All of them are recorded with their sums now, or nothing has changed because one was recorded before."""
        rows = msgspec.json.encode([msgspec.structs.astuple(one) for one in given]).decode()
        try:
            driver.execute(self._insert_all, (rows,))
        except sqlite3.IntegrityError:
            return False
        driver.execute(self._upsert_all, (rows,))
        return True


_MANY = 8
"""Rows from which on one text is cheaper."""
_LIST = func.json_each(bindparam("rows")).table_valued("value")
_LISTED: dict[str, ColumnElement[Any]] = {
    name: func.json_extract(_LIST.c.value, literal_column(f"'$[{place}]'"))
    for place, name in enumerate(Usage.__struct_fields__)
}
_LISTED["price"] = func.json_quote(_LISTED["price"])
"""The columns of rows that come as one text, a list of lists."""


def _compiled(statement: Any) -> tuple[str, Any]:
    """The text, and what takes its parameters from a row."""
    compiled = statement.compile(dialect=sqlite.dialect())
    return str(compiled), operator.itemgetter(*compiled.positiontup)


_ADDING: dict[str, Callable[[Connection, list[Usage]], set[str]]] = {
    "sqlite": _OnSqlite(),
    "postgresql": _OnPostgres(),
}


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
