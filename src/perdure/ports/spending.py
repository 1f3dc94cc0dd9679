"""On whose account a model is asked, and whether there is anything left on it."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import msgspec

from perdure.language.values import Json

MODELS = "perdure:models"
"""The resource of a run that names the models that it may ask, as patterns; its children have it too. Absent: every model."""


ACCOUNT = "perdure:account"
"""The resource of a run that says on whose account it is: `agent key project`, those that apply. Its children have it too."""
INHERITED = (MODELS, ACCOUNT)


def account(*, agent: str = "", key: str = "", project: str = "") -> dict[str, Json]:
    """What is pinned to a run so that what it spends is on this account; nothing when it is nobody's."""
    given: dict[str, Json] = {"agent": agent, "key": key, "project": project}
    named = {name: value for name, value in given.items() if value}
    return {ACCOUNT: named} if named else {}


def inherited(parent: Mapping[str, Json], own: dict[str, Json]) -> dict[str, Json]:
    """What is pinned to a child run: its own, the models that its parent is held to, and its parent's account."""
    held = {name: parent[name] for name in INHERITED if name in parent}
    return {**own, **held} if held else own


ANSWER = 131_072
"""Tokens that an answer may have where nobody says how many: no model gives longer ones. Less would let several requests at
once pass a limit; who wants more of them at once near one says `maxTokens`."""


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays for one request to a model. What is empty does not apply."""

    tenant: str
    call: str
    """Idempotency key of the request: what it cost is recorded once under it, however often it is told."""
    run: str = ""
    path: str = ""
    agent: str = ""
    key: str = ""
    """The API key, or the user, that asked."""
    project: str = ""
    models: tuple[str, ...] = ()
    """Patterns of the models that may be asked; empty: every model."""


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to send one request. What it may cost is held back until it is told what it did cost."""

    spender: Spender
    model: str
    held: float
    """US dollars."""
    holds: tuple[tuple[str, int], ...] = ()
    """Of whoever gave it: where it is held, and how much."""


class Spending(Protocol):
    """Budgets and their accounts."""

    def begin(self, spender: Spender, *, model: str, tokens: int) -> Awaitable[Permit]:
        """Before a request: Denied when it is not for this spender to ask the model, Exhausted when a hard budget that it
        counts in is used up. `tokens` is the most that it may take in and give out, by which the held amount is reckoned, so that many at once pass a limit by one request at most."""
        ...

    def end(self, permit: Permit, usage: dict[str, Any]) -> Awaitable[None]:
        """What it cost (`Answer.usage`). Once for each `Spender.call`."""
        ...

    def end_soon(self, permit: Permit, usage: dict[str, Any]) -> bool:
        """As `end`, together with others of the next moment: cheaper. False where something waits for it: then `end` is to follow."""
        ...

    def abandon(self, permit: Permit) -> Awaitable[None]:
        """It was not sent, or gave no answer: what was held is free again."""
        ...


class Unlimited:
    """Nobody counts: for documents run by hand."""

    async def begin(self, spender: Spender, *, model: str, tokens: int) -> Permit:
        return Permit(spender=spender, model=model, held=0.0)

    async def end(self, permit: Permit, usage: dict[str, Any]) -> None:
        return

    def end_soon(self, permit: Permit, usage: dict[str, Any]) -> bool:
        return True

    async def abandon(self, permit: Permit) -> None:
        return


class Later:
    """Somebody who is known later than those who ask: until then requests wait."""

    def __init__(self) -> None:
        self._there = asyncio.Event()
        self._spending: Spending = Unlimited()

    def hand(self, spending: Spending) -> None:
        """From now on this is who counts."""
        self._spending = spending
        self._there.set()

    async def begin(self, spender: Spender, *, model: str, tokens: int) -> Permit:
        await self._there.wait()
        return await self._spending.begin(spender, model=model, tokens=tokens)

    async def end(self, permit: Permit, usage: dict[str, Any]) -> None:
        await self._spending.end(permit, usage)

    def end_soon(self, permit: Permit, usage: dict[str, Any]) -> bool:
        return self._spending.end_soon(permit, usage)

    async def abandon(self, permit: Permit) -> None:
        await self._spending.abandon(permit)
