"""Budgets: made and changed, which of them a request counts in, and what happens when one is nearly or wholly used up.

A person is asked once when a hard budget is used up, and steps of runs wait for what becomes of that question. Whoever
asks, answers, or changes a budget holds its row meanwhile: a question is never asked of a budget that was raised before, and
none is left open by one that is raised.
"""

import asyncio
import logging

import msgspec
from sqlalchemy import Connection

from perdure.errors import Conflict, Invalid, NotFound
from perdure.ports.database import Transaction
from perdure.ports.spending import Spender
from perdure.services.agents import events, store_spending
from perdure.services.agents.models import (
    NANO,
    Budget,
    Mark,
    Measure,
    Per,
    Scope,
    Standing,
    Usage,
    checked_line,
    ends,
    window,
)
from perdure.services.agents.service import Ground

_log = logging.getLogger("perdure.agents")
MOST = 1_000
"""Budgets of a tenant."""
_STALE = 60.0
"""Seconds after which budgets are read before an answer, not behind it."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A budget for one subject in the present period."""

    budget: Budget
    subject: str
    window: str
    limit: int
    """With what it was lifted by."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as somebody asks for it. `amount` is US dollars, or tokens."""

    name: str = ""
    scope: Scope
    subject: str = ""
    per: Per = "total"
    measure: Measure = "cost"
    amount: float
    warn: int = 80
    hard: bool = True


class _Known(msgspec.Struct, kw_only=True):
    budgets: list[Budget]
    lifts: dict[tuple[str, str, str], int]
    read: float


class Budgets:
    """The budgets of all tenants."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, asyncio.Task[_Known]] = {}

    def __repr__(self) -> str:
        return f"Budgets({self._ground.database!r})"

    # For people

    async def get(self, tenant: str, id: str) -> Budget:
        found = await self._ground.database.read(tenant, lambda c: store_spending.budget(c, tenant, id))
        if found is None:
            raise _unknown(id)
        return found

    async def find(self, tenant: str, *, after: str = "", limit: int = 100) -> list[Budget]:
        """The newest first."""
        return await self._ground.database.read(
            tenant, lambda c: store_spending.find_budgets(c, tenant, after=after, limit=limit)
        )

    async def create(self, tenant: str, by: str, wanted: Wanted) -> Budget:
        now = self._ground.clock.now()
        _check(wanted)
        made = Budget(
            tenant=tenant, id=self._ground.id("bud"), name=wanted.name, scope=wanted.scope, subject=wanted.subject,
            per=wanted.per, measure=wanted.measure, amount=_amount(wanted.measure, wanted.amount), warn=wanted.warn,
            hard=wanted.hard, created=now, updated=now, by=by,
        )  # fmt: skip

        def work(tx: Transaction) -> None:
            if len(store_spending.find_budgets(tx.connection, tenant, limit=MOST)) >= MOST:
                raise Conflict(f"There are {MOST:,} budgets; that is the limit.", hint="Delete one first.")
            store_spending.add_budget(tx.connection, tenant, made)
            tx.tell(events.budget_changed(made, "created", by))

        await self._ground.database.write(tenant, work)
        self._forget(tenant)
        return made

    async def change(
        self, tenant: str, by: str, id: str, *, name: str | None = None, amount: float | None = None,
        warn: int | None = None, hard: bool | None = None,
    ) -> Budget:  # fmt: skip
        """Another name, amount, warning, or hardness. What it counts stays. Steps that wait for it go on when they may."""
        now = self._ground.clock.now()
        if name is not None:
            checked_line(name, "name", 200)

        def work(tx: Transaction) -> Budget:
            found = store_spending.budget(tx.connection, tenant, id, lock=True)
            if found is None:
                raise _unknown(id)
            changes = {"name": name, "warn": warn, "hard": hard}
            changed = msgspec.structs.replace(
                found, updated=now, **{key: value for key, value in changes.items() if value is not None}
            )
            if amount is not None:
                changed = msgspec.structs.replace(changed, amount=_amount(found.measure, amount))
            store_spending.put_budget(tx.connection, tenant, changed)
            tx.tell(events.budget_changed(changed, "changed", by))
            self._answer_questions(tx, changed, by)
            return changed

        changed = await self._ground.database.write(tenant, work)
        self._forget(tenant)
        return changed

    async def delete(self, tenant: str, by: str, id: str) -> None:
        def work(tx: Transaction) -> None:
            found = store_spending.budget(tx.connection, tenant, id, lock=True)
            if found is None:
                raise _unknown(id)
            for mark in store_spending.unlifted(tx.connection, tenant, id):
                _settle(tx, found, mark, "deleted", by)
            store_spending.drop_budget(tx.connection, tenant, id)
            tx.tell(events.budget_changed(found, "deleted", by))

        await self._ground.database.write(tenant, work)
        self._forget(tenant)

    async def standing(self, tenant: str, id: str, subject: str = "") -> Standing:
        """How far it is used up in this period; one that is for each of a kind needs to be told for which."""
        budget = await self.get(tenant, id)
        whose = budget.subject or subject or (tenant if budget.scope == "tenant" else "")
        now = window(budget.per, self._ground.clock.now())

        def work(connection: Connection) -> Standing:
            marks = store_spending.marks_of(connection, tenant, id, whose, now)
            spent = store_spending.spent(connection, tenant, budget, whose, now)
            limit = budget.amount + sum(mark.extra for mark in marks)
            return Standing(budget=budget, subject=whose, window=now, spent=spent, limit=limit)

        return await self._ground.database.read(tenant, work)

    # For who spends

    def are_none(self, tenant: str) -> bool:
        """Nothing counts what this tenant spends, as far as it is known here."""
        known = self._known.get(tenant)
        return known is not None and not known.budgets

    async def accounts(self, spender: Spender | Usage) -> list[Account]:
        """What a request of this spender counts in. No query while the budgets are known here."""
        known = await self._budgets_of(spender.tenant)
        if not known.budgets:
            return []
        now = self._ground.clock.now()
        found = []
        for budget in known.budgets:
            mine = spender.tenant if budget.scope == "tenant" else getattr(spender, budget.scope)
            if mine and budget.subject in {"", mine}:
                period = window(budget.per, now)
                limit = budget.amount + known.lifts.get((budget.id, mine, period), 0)
                found.append(Account(budget=budget, subject=mine, window=period, limit=limit))
        return found

    async def spent(self, account: Account) -> int:
        """By the database."""
        tenant = account.budget.tenant
        return await self._ground.database.read(
            tenant, lambda c: store_spending.spent(c, tenant, account.budget, account.subject, account.window)
        )

    async def _budgets_of(self, tenant: str) -> _Known:
        known = self._known.get(tenant)
        age = 0.0 if known is None else self._ground.clock.monotonic() - known.read
        if known is not None and age < self._ground.recent:
            return known
        if tenant not in self._reading:
            self._reading[tenant] = asyncio.create_task(self._read(tenant))
        reading = self._reading[tenant]
        if known is not None and age < _STALE:
            reading.add_done_callback(_seen)
            return known
        return await asyncio.shield(reading)

    def _forget(self, tenant: str) -> None:
        """They are others now; what is being read was true before."""
        self._known.pop(tenant, None)
        self._reading.pop(tenant, None)

    async def fresh(self, account: Account, spender: Spender) -> Account | None:
        """The same account as the database has it now; None when it counts no more."""
        self._forget(account.budget.tenant)
        found = await self.accounts(spender)
        return next((one for one in found if one.budget.id == account.budget.id), None)

    async def _read(self, tenant: str) -> _Known:
        try:
            known = await self._read_now(tenant)
        except BaseException:
            self._keep(tenant, None)
            raise
        self._keep(tenant, known)
        return known

    def _keep(self, tenant: str, known: _Known | None) -> None:
        """Only the newest reading is kept."""
        if self._reading.get(tenant) is asyncio.current_task():
            del self._reading[tenant]
            if known is not None:
                self._known[tenant] = known

    async def _read_now(self, tenant: str) -> _Known:
        now = self._ground.clock.now()
        periods = tuple({window("day", now), window("month", now), "total"})

        def work(connection: Connection) -> tuple[list[Budget], list[Mark]]:
            found = store_spending.find_budgets(connection, tenant, limit=MOST)
            return found, store_spending.find_marks(connection, tenant, periods) if found else []

        begun = self._ground.clock.monotonic()
        found, marks = await self._ground.database.read(tenant, work)
        lifts: dict[tuple[str, str, str], int] = {}
        for mark in marks:
            place = (mark.budget, mark.subject, mark.window)
            lifts[place] = lifts.get(place, 0) + mark.extra
        return _Known(budgets=found, lifts=lifts, read=begun)

    # What happens at its limits

    async def warn(self, account: Account, spent: int, amount: int) -> None:
        """Tell once a period that a budget is nearly used up."""
        budget = account.budget
        line = account.limit * budget.warn // 100
        if not budget.warn or not spent - amount < line <= spent:
            return
        mark = self._mark(account, "warned", account.limit - budget.amount)
        standing = Standing(
            budget=budget, subject=account.subject, window=account.window, spent=spent, limit=account.limit
        )

        def work(tx: Transaction) -> None:
            if store_spending.add_mark(tx.connection, budget.tenant, mark):
                tx.tell(events.budget_neared(standing, mark))

        await self._ground.database.write(budget.tenant, work)

    async def ask(self, account: Account, spent: int, run: str) -> Mark | None:
        """Ask a person, once, whether a budget may be lifted: the question, `refused` where it was answered with no. None
        when there is room on the account by now."""
        tenant, now = account.budget.tenant, self._ground.clock.now()
        new = self._mark(account, "asked", 0)

        def work(tx: Transaction) -> Mark | None:
            found = _used_up(tx.connection, account, spent, lock=True)
            if found is None:
                return None
            standing, asked = found
            if asked and asked[-1].state != "lifted":
                return asked[-1]
            mark = msgspec.structs.replace(new, round=len(asked))
            store_spending.add_mark(tx.connection, tenant, mark)
            tx.tell(events.budget_used_up(standing, mark, run, ends(standing.budget.per, now)))
            return mark

        # What is asked already is found without a lock: a change that comes later answers it.
        found = await self._ground.database.read(tenant, lambda c: _used_up(c, account, spent))
        if found is not None and found[1] and found[1][-1].state != "lifted":
            return found[1][-1]
        return await self._ground.database.write(tenant, work)

    def _answer_questions(self, tx: Transaction, budget: Budget, by: str) -> None:
        """Of a budget that was changed: those that need no answer any more."""
        now = window(budget.per, self._ground.clock.now())
        for mark in store_spending.unlifted(tx.connection, budget.tenant, budget.id):
            if budget.hard and (mark.window != now or _is_used_up(tx.connection, budget, mark)):
                continue
            _settle(tx, budget, mark, "changed", by)
            store_spending.put_mark(tx.connection, budget.tenant, msgspec.structs.replace(mark, state="lifted", by=by))

    def _mark(self, account: Account, kind: str, round: int) -> Mark:
        return Mark(
            tenant=account.budget.tenant, id=self._ground.id("mark"), budget=account.budget.id,
            subject=account.subject, window=account.window, kind="warned" if kind == "warned" else "asked",
            round=min(round, 2**31 - 1), state="done" if kind == "warned" else "open", at=self._ground.clock.now(),
        )  # fmt: skip

    async def decided(self, tenant: str, id: str, *, approved: bool, by: str, add: float | None) -> list[str]:
        """A person has answered: steps that wait go on, or fault. Safe to repeat. Gives the runs that an earlier version let
        fault, and that go on now."""

        def work(tx: Transaction) -> list[str] | None:
            mark = store_spending.mark(tx.connection, tenant, id)
            if mark is None or mark.kind != "asked":
                return None
            budget = store_spending.budget(tx.connection, tenant, mark.budget, lock=True)
            mark = store_spending.mark(tx.connection, tenant, id) or mark  # as it is while nobody else changes it
            if mark.state == "open" and budget is not None:
                extra = 0 if not approved else budget.amount if add is None else _amount(budget.measure, add)
                mark = msgspec.structs.replace(mark, state="lifted" if approved else "refused", extra=extra, by=by)
                store_spending.put_mark(tx.connection, tenant, mark)
                tx.tell(events.budget_settled(budget, mark, mark.state, by))
                if approved:
                    tx.tell(events.budget_lifted(budget, mark))
            return store_spending.stopped_by(tx.connection, tenant, id) if mark.state == "lifted" else []

        runs = await self._ground.database.write(tenant, work)
        self._forget(tenant)
        runs = runs or []
        for run in runs:
            try:
                await self._ground.engine.retry(tenant, run)
            except (Conflict, NotFound) as error:
                _log.info("The run %s did not go on when its budget was lifted: %s", run, error)
        return runs


def _asked(connection: Connection, account: Account) -> list[Mark]:
    """When a person was asked about it, in order."""
    budget = account.budget
    found = store_spending.marks_of(connection, budget.tenant, budget.id, account.subject, account.window)
    return [mark for mark in found if mark.kind == "asked"]


def _used_up(
    connection: Connection, account: Account, spent: int, *, lock: bool = False
) -> tuple[Standing, list[Mark]] | None:
    """The account as the database has it now, and the questions about it in order; None when there is room on it."""
    budget = store_spending.budget(connection, account.budget.tenant, account.budget.id, lock=lock)
    if budget is None or not budget.hard:
        return None
    asked = _asked(connection, account)
    limit = budget.amount + sum(mark.extra for mark in asked)
    standing = Standing(budget=budget, subject=account.subject, window=account.window, spent=spent, limit=limit)
    return None if spent < limit else (standing, asked)


def _is_used_up(connection: Connection, budget: Budget, mark: Mark) -> bool:
    marks = store_spending.marks_of(connection, budget.tenant, budget.id, mark.subject, mark.window)
    limit = budget.amount + sum(one.extra for one in marks)
    return store_spending.spent(connection, budget.tenant, budget, mark.subject, mark.window) >= limit


def _settle(tx: Transaction, budget: Budget, mark: Mark, outcome: str, by: str) -> None:
    """Tell who waits for an answer; one that was answered is waited for by nobody."""
    if mark.state == "open":
        tx.tell(events.budget_settled(budget, mark, outcome, by))


def _seen(task: "asyncio.Task[_Known]") -> None:
    """Whoever asks next is told of what went wrong, if it goes wrong again."""
    if not task.cancelled() and task.exception() is not None:
        _log.warning("Budgets could not be read again: %s", task.exception())


def _check(wanted: Wanted) -> None:
    checked_line(wanted.name, "name", 200)
    checked_line(wanted.subject, "subject", 200)
    if wanted.scope == "tenant" and wanted.subject:
        raise Invalid("A budget of the whole tenant has no subject.")
    if not 0 <= wanted.warn <= 100:
        raise Invalid("`warn` is per cent, 0 to 100.")


def _amount(measure: Measure, amount: float) -> int:
    found = round(amount * NANO) if measure == "cost" else int(amount)
    if not 0 < found < 2**62:
        raise Invalid("The amount must be positive, and one that can be counted.")
    return found


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no budget {id[:80]!r}.")
