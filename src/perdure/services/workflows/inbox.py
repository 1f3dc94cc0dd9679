"""The inbox: questions of runs to people (language.md 5.2, 5.4).

A question comes as an event and is one item however often it comes. It is decided exactly once, by somebody who may, for
what was shown: a decision names its hash. The decision and the event that tells it are one transaction. Items end by
themselves when their deadline passes or their run has ended.
"""

import asyncio
import logging
import re
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from perdure.errors import Conflict, Denied, Invalid, NotFound, PerdureError
from perdure.interpreter.correlation import RUN
from perdure.language.schemas import Schema
from perdure.language.values import Json, content_hash, same
from perdure.ports.database import EVERY, Told, Transaction
from perdure.services.workflows import events, repairs, store_inbox
from perdure.services.workflows.models import (
    ITEM,
    Decision,
    Delegation,
    Item,
    ItemState,
    Void,
    checked_json,
    checked_text,
    no_item,
)
from perdure.services.workflows.service import Ground

_log = logging.getLogger("perdure.workflows")

LOOK = 15_000
"""Milliseconds between two looks at whether a run still waits."""
SEES_TO = frozenset({"admin", "owner"})
"""Roles that may give anybody's question to others."""
_AT_ONCE = 100
_PAUSE = 1.0
_OPEN = frozenset[ItemState]({"open"})
_TITLE = 300
_MAIL = re.compile(r"user:[^\s#/:@]+@[^\s#/:@]+")
"""An address, which is compared in lower case; the subject that a provider gives is not."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides or delegates, as the gateway has verified it."""

    subject: str
    roles: frozenset[str] = frozenset()
    """With those that the person's own role holds: what is asked of an operator may be decided by an admin."""
    email: str = ""

    @property
    def names(self) -> list[str]:
        """By what a question may call this person."""
        users = [f"user:{name}" for name in (self.subject, self.email) if name]
        return [*users, *(f"role:{role}" for role in sorted(self.roles))]

    def may_decide(self, item: Item) -> bool:
        return not item.to or bool(set(self.names) & set(item.to))


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody decides about what was shown under this hash."""

    hash: str
    approved: bool = True
    reason: str = ""
    data: Json = None


class Inbox:
    """The questions of all tenants."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    # What runs ask

    async def ask(self, tenant: str, event: dict[str, Any]) -> Item:
        """An item for an event of a run that asks. The same event is the same item."""
        now = self._ground.clock.now()
        make = repairs.item_of if event["type"] == events.RUN_FAULTED else item_of
        made = make(tenant, self._ground.id("ask"), event, now)

        def work(tx: Transaction) -> Item:
            known = store_inbox.item_of(tx.connection, tenant, made.source, made.request)
            if known is None:
                store_inbox.add_item(tx.connection, tenant, made, _look(made, now))
            return known or made

        return await self._ground.database.write(tenant, work)

    async def withdraw(self, tenant: str, source: str, request: str) -> None:
        """Nobody waits for this answer any more. Nothing happens to what was decided."""
        found = await self._ground.database.read(tenant, lambda c: store_inbox.item_of(c, tenant, source, request))
        if found is not None:
            await self._end(found, "closed", events.closed(found))

    # What people see

    async def get(self, tenant: str, id: str) -> Item:
        found = await self._ground.database.read(tenant, lambda c: store_inbox.item(c, tenant, id))
        if found is None:
            raise no_item(id)
        return found

    async def find(
        self, tenant: str, *, after: str = "", limit: int = 100, states: tuple[ItemState, ...] = (),
        person: Person | None = None, run: str | None = None, project: str = "",
    ) -> list[Item]:  # fmt: skip
        """The newest first; with `person` only what that person may decide."""
        whose = None if person is None else person.names

        def work(connection: Connection) -> list[Item]:
            return store_inbox.find_items(
                connection, tenant, after=after, limit=limit, states=states, whose=whose, run=run, project=project
            )

        return await self._ground.database.read(tenant, work)

    # What people do

    async def decide(self, tenant: str, person: Person, id: str, verdict: Verdict) -> Item:
        """Decide once and for all. Void when something else was shown, Denied to whom it was not asked."""
        found = await self.get(tenant, id)
        _check(found, person)
        if await self._has_ended(found):
            await self._end(found, "closed", events.closed(found))
            raise Conflict("The run does not wait for this any more: it has ended.")
        now = self._ground.clock.now()
        if found.deadline is not None and found.deadline <= now:
            await self._end(found, "expired", events.expired(found))
            raise Conflict("The time for a decision is over.")
        decision = Decision(
            approved=verdict.approved, by=person.subject, at=now,
            reason=verdict.reason, data=_data(found, verdict),
        )  # fmt: skip

        def work(tx: Transaction) -> Item:
            item = store_inbox.item(tx.connection, tenant, id, lock=True)
            if item is None:
                raise no_item(id)
            _check(item, person)
            if verdict.hash != item.hash:
                raise Void(hint="Look at the question again, and decide with its `hash`.")
            _check_form(item, decision)
            decided = msgspec.structs.replace(item, state="decided", decision=decision)
            store_inbox.put_item(tx.connection, tenant, decided, _OPEN, None)
            tx.tell(events.decided(decided, decision))
            return decided

        return await self._ground.database.write(tenant, work)

    async def delegate(self, tenant: str, person: Person, id: str, to: list[str], reason: str = "") -> Item:
        """Give a question to others. Who may decide it may do so, and who sees to the tenant."""
        wanted = addressees(to)
        if not wanted:
            raise Invalid("Say to whom.", hint="For example user:usr_1 or role:operator.")
        now = self._ground.clock.now()

        def work(tx: Transaction) -> Item:
            item = store_inbox.item(tx.connection, tenant, id, lock=True)
            if item is None:
                raise no_item(id)
            if not person.roles & SEES_TO:
                _check(item, person)
            elif item.state != "open":
                raise _over(item)
            done = Delegation(by=person.subject, to=wanted, at=now, reason=reason)
            changed = msgspec.structs.replace(item, to=wanted, delegations=(*item.delegations, done))
            store_inbox.put_item(tx.connection, tenant, changed, _OPEN, _look(changed, now))
            store_inbox.address(tx.connection, tenant, id, wanted)
            tx.tell(events.delegated(changed))
            return changed

        return await self._ground.database.write(tenant, work)

    # What happens by itself

    async def run(self) -> None:
        """End what nobody waits for any more, until cancelled. In any number of processes."""
        while True:
            try:
                await self.sweep()
            except PerdureError as error:
                _log.warning("The inbox waits: %s", error)
            except Exception:  # noqa: BLE001 - one item's trouble must not stop all others for ever
                _log.exception("The inbox could not be looked through")
            await self._ground.clock.sleep(_PAUSE)

    async def sweep(self) -> int:
        """Items that expired, or whose run has ended; how many."""
        now = self._ground.clock.now()
        moment = await self._ground.database.read(EVERY, lambda c: store_inbox.next_moment(c, EVERY))
        if moment is None or moment > now:
            return 0
        found = await self._ground.database.write(
            EVERY, lambda tx: store_inbox.claim_items(tx.connection, EVERY, now, now + LOOK, _AT_ONCE)
        )
        return sum(await asyncio.gather(*(self._look_at(item, now) for item in found)))

    async def _look_at(self, item: Item, now: int) -> bool:
        if item.deadline is not None and item.deadline <= now:
            return await self._end(item, "expired", events.expired(item))
        if await self._has_ended(item):
            return await self._end(item, "closed", events.closed(item))
        return False

    async def _has_ended(self, item: Item) -> bool:
        if not item.run:
            return False
        try:
            run = await self._ground.engine.describe(item.tenant, item.run)
        except NotFound:
            return True
        if item.kind == "repair":
            return run.status != "faulted" or not same(run.error, item.details["error"])
        # A faulted run may be opened again by an operator; it asks anew then, under another id.
        return run.ended is not None

    async def _end(self, item: Item, state: ItemState, told: Told) -> bool:
        assert state in ITEM["open"]
        ended = msgspec.structs.replace(item, state=state)

        def work(tx: Transaction) -> bool:
            if not store_inbox.put_item(tx.connection, item.tenant, ended, _OPEN, None):
                return False
            tx.tell(told)
            return True

        return await self._ground.database.write(item.tenant, work)


def item_of(tenant: str, id: str, event: dict[str, Any], now: int) -> Item:
    """What a run asks. Data of any shape is taken; what an item needs and is not there is made up for. That a run
    waits for the answer is for its data to say; which one is not, or the question would count as another's."""
    data = event.get("data")
    given: dict[str, Any] = data if isinstance(data, dict) else {"details": data}
    hash, asker, run = given.get("hash"), _line(event.get(RUN, ""), 200), _line(given.get("run", ""), 200)
    details = given["details"] if "details" in given else given.get("arguments")
    if details is None and "title" not in given and "tool" not in given:
        details = data
    return Item(
        tenant=tenant, id=id, request=_line(event["id"], 200), source=_line(event["source"], 500),
        kind="question" if event["type"] == events.QUESTION_ASKED else "approval", title=_title(given), details=details,
        form=_form(given.get("form")), to=_to(given.get("to")),
        hash=hash if isinstance(hash, str) and len(hash) <= 200 and hash.isprintable() else content_hash(data),
        run=(asker or run) if run else "", task=_line(given.get("task", ""), 500), asked=now, asker=asker,
        deadline=_moment(given.get("deadline")),
    )  # fmt: skip


def addressees(to: list[str]) -> tuple[str, ...]:
    """Names as they are compared: `role:<name>`, `user:<id or e-mail address>`; a bare name is a user's. Invalid for
    anything else."""
    found: dict[str, None] = {}
    for name in to:
        checked_text(name, "name", 200)
        kind, colon, rest = name.partition(":")
        if not name or (colon and kind in {"user", "role"} and not rest):
            raise Invalid(f"{name[:80]!r} names nobody.", hint="Write user:<id> or role:<name>.")
        full = name if colon and kind in {"user", "role"} else f"user:{name}"
        found[full.lower() if _MAIL.fullmatch(full) else full] = None
    return tuple(found)


def _title(given: dict[str, Any]) -> str:
    if isinstance(given.get("title"), str) and given["title"].strip():
        return _line(given["title"], _TITLE)
    if isinstance(given.get("tool"), str):
        return _line(f"May the agent call {given['tool']}?", _TITLE)
    return "A run asks for a decision"


def _line(value: Json, most: int) -> str:
    """A text of a run as one line that every database can hold."""
    text = value if isinstance(value, str) else ""
    return "".join(character if character.isprintable() else " " for character in text)[:most]


def _to(value: Json) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    try:
        return addressees([_line(name, 200) for name in names if isinstance(name, str) and name])
    except Invalid:
        return ("user:",)  # it names somebody who cannot be: nobody may decide before it is delegated


def _form(value: Json) -> Json:
    """The schema of a decision's data; one that cannot be used is none."""
    if not isinstance(value, dict | bool):
        return None
    try:
        Schema(value).check()
    except ValueError:
        return None
    return value


def _moment(value: Json) -> int | None:
    """A deadline: a time as RFC 3339 has it, or milliseconds since the epoch."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**14:
        return value
    if isinstance(value, str):
        try:
            return round(datetime.fromisoformat(value).timestamp() * 1000)
        except (ValueError, OverflowError):
            return None
    return None


def _look(item: Item, now: int) -> int | None:
    looks = [now + LOOK] if item.run else []
    return min([*looks, *([] if item.deadline is None else [item.deadline])], default=None)


def _check(item: Item, person: Person) -> None:
    if not person.may_decide(item):
        raise Denied("This is asked of others.", hint="Who was asked may delegate it to you.")
    if item.state != "open":
        raise _over(item)


def _data(item: Item, verdict: Verdict) -> Json:
    """What fills the form. Nothing said is an empty object to a form that asks for nothing more."""
    given = checked_json(verdict.data)
    if given is None and verdict.approved and item.form is not None:
        form = Schema(item.form)
        if form.violation(None) is not None and form.violation({}) is None:
            return {}
    return given


def _check_form(item: Item, decision: Decision) -> None:
    if item.form is None or (not decision.approved and decision.data is None):
        return
    violation = Schema(item.form).violation(decision.data)
    if violation is not None:
        raise Invalid(f"The decision's data does not fit the form: {violation}")


def _over(item: Item) -> Conflict:
    if item.decision is not None:
        return Conflict(f"This was decided by {item.decision.by} already.")
    return Conflict("The time for a decision is over." if item.state == "expired" else "The run has ended.")
