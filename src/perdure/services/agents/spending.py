"""Leave to ask models: implements `ports/spending.py` for functions and for the gateway.

Before a request the most that it may cost is held on every account it counts in; near a limit requests wait for one
another, so that any number at once passes it by one request at most. Counters stand in the cache and begin with what the
database says; they have a new name every hour, so that a counter that was wrong is right again.
"""

import asyncio
import contextlib
import functools
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from perdure.errors import Exhausted, Unavailable
from perdure.ports.spending import Permit, Spender
from perdure.services.agents import models
from perdure.services.agents.allowance import refuse_others
from perdure.services.agents.bills import Bills
from perdure.services.agents.budgets import Account, Budgets
from perdure.services.agents.models import NANO, Usage
from perdure.services.agents.service import Ground
from perdure.services.agents.store_agents import execution
from perdure.services.agents.usage import Records

_log = logging.getLogger("perdure.agents")
_HOUR = 3_600_000
_KEPT = 3 * 3600.0
PATIENCE = 120.0
"""Seconds for which a request waits at a limit for those that were sent before it."""
AGAIN = 15_000
"""Milliseconds after which a step of a run that waited in vain asks again."""
_LOOK = 0.2
"""Seconds between two looks whether another process has given something back."""
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between two tries to record."""
_KNOWN = 4096


class UsedUp(Exhausted):
    """A budget is used up."""

    code = "budget-exhausted"


class Accounts:
    """The budgets of all tenants, as one who is about to spend sees them."""

    def __init__(self, ground: Ground, budgets: Budgets, records: Records, *, patience: float = PATIENCE) -> None:
        self._ground = ground
        self._budgets = budgets
        self._records = records
        self._patience = patience
        self.bills = Bills(self._record_all, ground.spool)
        self._freed = asyncio.Event()
        self._runs: OrderedDict[tuple[str, str], tuple[str, str, str]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Accounts({self._budgets!r})"

    async def begin(self, spender: Spender, *, model: str, tokens: int) -> Permit:
        """Hold what it may cost. ModelDenied for a model that is not the spender's to ask; UsedUp when a hard budget has
        nothing left, and a person is asked then."""
        if spender.models:
            refuse_others(spender.models, self._ground.canonical(model))
        spender = await self._whole(spender)
        accounts = await self._budgets.accounts(spender)
        if not accounts:
            return Permit(spender=spender, model=model, held=0.0)
        price = self._ground.price(model) or 0.0
        estimate = {"cost": math.ceil(price * tokens * NANO), "tokens": tokens}
        until = self._ground.clock.monotonic() + self._patience
        held: list[tuple[str, int]] = []
        try:
            for account in accounts:
                if account.budget.hard:
                    await self._hold(account, max(1, estimate[account.budget.measure]), spender, until, held)
        except BaseException:
            await self._free(held)
            raise
        return Permit(spender=spender, model=model, held=estimate["cost"] / NANO, holds=tuple(held))

    async def end(self, permit: Permit, usage: dict[str, Any]) -> None:
        """Record it, count it on every account once, and free what was held."""
        one = _usage(permit, usage, self._ground.clock.now())
        try:
            if await self._told([one], functools.partial(self._record, one)):
                self.bills.done(one.tenant, one.call)
        finally:
            await self._free(permit.holds)

    def end_soon(self, permit: Permit, usage: dict[str, Any]) -> bool:
        """Keep it for the next transaction. Where a budget may count it, that is for the case that `end` is never reached."""
        self.bills.add(_usage(permit, usage, self._ground.clock.now()))
        return not permit.holds and self._budgets.are_none(permit.spender.tenant)

    async def _record_all(self, tenant: str, rows: list[Usage]) -> bool:
        """In one transaction, unless there may be a budget by now."""
        if self._budgets.are_none(tenant):
            return await self._told(rows, functools.partial(self._records.record_all, tenant, rows))
        return all(await asyncio.gather(*(self._told([one], functools.partial(self._record, one)) for one in rows)))

    async def _told(self, rows: list[Usage], record: Callable[[], Awaitable[None]]) -> bool:
        """Not lost while the database is away for a moment. The answer is bought: it is never lost for want of its bill."""
        for pause in (*_PAUSES, None):
            try:
                await record()
            except Unavailable as error:
                if pause is None:
                    for one in rows:
                        _log.error("What a request cost cannot be recorded: %s; %s", msgspec.to_builtins(one), error)
                    return False
                await self._ground.clock.sleep(pause)
            else:
                break
        return True

    async def _record(self, one: Usage) -> None:
        accounts = await self._budgets.accounts(one)
        for account in accounts:
            await self._spent(account)  # a counter begins before the row is there, so that it is counted once
        if await self._records.record(one):
            amount = {"cost": one.cost or 0, "tokens": one.input + one.output}
            for account in accounts:
                await self._count(account, amount[account.budget.measure])

    async def abandon(self, permit: Permit) -> None:
        """Nothing was spent."""
        await self._free(permit.holds)

    async def _whole(self, spender: Spender) -> Spender:
        """With the agent, the key and the project of the execution that the run is, where the run itself does not say."""
        if not spender.run or spender.agent or spender.key:
            return spender
        place = (spender.tenant, spender.run)
        known = self._runs.get(place)
        if known is None:
            found = await self._ground.database.read(
                spender.tenant, lambda c: execution(c, spender.tenant, spender.run)
            )
            known = ("", "", "") if found is None else (found.agent, found.key, found.project)
            self._runs[place] = known
            if len(self._runs) > _KNOWN:
                self._runs.popitem(last=False)
        agent, key, project = known
        return msgspec.structs.replace(spender, agent=agent, key=spender.key or key, project=spender.project or project)

    # Counters

    def _name(self, account: Account, what: str, hours_ago: int = 0) -> str:
        hour = self._ground.clock.now() // _HOUR - hours_ago
        return f"{account.budget.tenant}:budget:{account.budget.id}:{account.subject}:{account.window}:{what}:{hour}"

    async def _spent(self, account: Account) -> int:
        name = self._name(account, f"spent-{account.budget.measure}")
        found = await self._ground.cache.get(name)
        if found is None:
            truth = await self._budgets.spent(account)
            await self._ground.cache.put_new(name, str(truth).encode(), _KEPT)
            found = await self._ground.cache.get(name)
        return int(found or 0)

    async def _hold(
        self, account: Account, amount: int, spender: Spender, until: float, held: list[tuple[str, int]]
    ) -> None:
        """Wait until there is room on an account, and take it."""
        while True:
            self._freed.clear()
            spent = await self._spent(account)
            if spent >= account.limit:
                fresh = await self._budgets.fresh(account, spender)
                if fresh is None or not fresh.budget.hard:
                    return
                if fresh.limit > spent or fresh.window != account.window:
                    account = fresh  # it was lifted, here or by another process, or its period has begun anew
                elif await self._is_paid(fresh, spent, spender):
                    return
                continue
            name = self._name(account, "held")
            together = await self._ground.cache.add(name, amount, _KEPT)
            held.append((name, amount))
            earlier = int(await self._ground.cache.get(self._name(account, "held", 1)) or 0)
            if await self._spent(account) + together - amount + max(0, earlier) < account.limit:
                return
            held.pop()
            await self._ground.cache.add(name, -amount, _KEPT)
            if self._ground.clock.monotonic() > until:
                hint, again = "Requests under way hold what is left; try again later.", self._ground.clock.now() + AGAIN
                raise UsedUp(**{**_words(account), "hint": hint, "until": again})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), _LOOK)

    async def _is_paid(self, account: Account, spent: int, spender: Spender) -> bool:
        """Whether the request was paid for already and its answer was lost on the way. False when there is room by now;
        else UsedUp, with what may be waited for unless a person has refused."""
        if await self._records.is_recorded(spender.tenant, spender.call):
            return True
        question = await self._budgets.ask(account, spent, spender.run)
        if question is None:
            return False
        if question.state == "refused":
            raise UsedUp(**{**_words(account), "hint": "A person has refused to lift it."})
        until = models.ends(account.budget.per, self._ground.clock.now())
        raise UsedUp(**_words(account), question=question.id, until=until)

    async def _count(self, account: Account, amount: int) -> None:
        name = self._name(account, f"spent-{account.budget.measure}")
        spent = await self._ground.cache.add(name, amount, _KEPT)
        await self._budgets.warn(account, spent, amount)

    async def _free(self, held: Iterable[tuple[str, int]]) -> None:
        for name, amount in held:
            await self._ground.cache.add(name, -amount, _KEPT)
        self._freed.set()


def _words(account: Account) -> dict[str, Any]:
    budget = account.budget
    name = budget.name or budget.id
    limit = f"{account.limit / NANO:g} US dollars" if budget.measure == "cost" else f"{account.limit:,} tokens"
    period = {"day": "today", "month": "this month", "total": "in all"}[budget.per]
    return {
        "message": f"The budget {name} ({budget.scope}, {limit} {period}) is used up.",
        "hint": "A person may lift it in the inbox.",
        "budget": budget.id,
    }


def _usage(permit: Permit, told: dict[str, Any], now: int) -> Usage:
    spender = permit.spender
    cost = told.get("cost")
    return Usage(
        tenant=spender.tenant, call=spender.call, at=now, day=models.day(now), run=spender.run, path=spender.path,
        agent=spender.agent, key=spender.key, project=spender.project, model=str(told.get("model") or permit.model),
        provider=str(told.get("provider", "")), input=_count_of(told, "inputTokens"),
        output=_count_of(told, "outputTokens"), cached=_count_of(told, "inputTokensCached"),
        cost=round(cost * NANO) if isinstance(cost, int | float) and 0 <= cost < 1e9 else None,
        price=told.get("price"),
    )  # fmt: skip


def _count_of(told: dict[str, Any], name: str) -> int:
    number = told.get(name)
    return number if isinstance(number, int) and 0 <= number < 2**53 else 0
