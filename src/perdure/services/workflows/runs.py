"""Runs: started, found, looked at, followed and steered. Facts of a run are the engine's; nothing of them is stored here.

Starting a run asks no database once its workflow is known here: the answer waits for the engine's journal only.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from perdure.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from perdure.language.values import Json, same
from perdure.ports.database import Transaction
from perdure.ports.engine import ENDED, Entry, Query, Run
from perdure.ports.spending import MODELS, account
from perdure.services.workflows import events, store_inbox
from perdure.services.workflows.definitions import Definitions
from perdure.services.workflows.models import Verb, Version, checked_run, no_run, run_id
from perdure.services.workflows.service import Ground

SCANNED = 2_000
"""Runs whose values are looked at for one page, at most."""
SCAN_SECONDS = 2.0
START_SECONDS = 20.0
"""For which a start waits until it is durable: a full disk may have room again, and nobody waits for ever."""
_STEP = 100
_AT_ONCE = 8
_LOOKS, _LOOK = 20, 0.1
_MISSING = object()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to run."""

    workflow: str
    version: str | None = None
    input: Json = None
    id: str = ""
    """The id that the run is to have; empty: one is made."""
    key: str = ""
    """An idempotency key: the same key is the same run."""
    models: tuple[str, ...] = ()
    """Patterns of the models that it may ask; empty: every model."""
    by: str = ""
    """Who starts it: a user, or `key:<id>` of an API key. What it spends is on this account."""
    project: str = ""


class Started(NamedTuple):
    """A run that exists."""

    run: str
    workflow: str
    version: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are looked for: by what the engine knows, and by values of input and output."""

    query: Query = Query()
    input: tuple[tuple[str, Json], ...] = ()
    """(path, value): a path is keys and indices with dots between them; `1` matches the number and the text."""
    output: tuple[tuple[str, Json], ...] = ()


class Page(NamedTuple):
    """Runs, the newest first, and where to go on; a page may be empty and not the last."""

    runs: list[Run]
    next: str | None


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is under way, and what it waits for."""

    path: str
    ref: str
    since: int
    status: str
    wait: dict[str, Any] | None = None


class Steer(msgspec.Struct, frozen=True, kw_only=True):
    """What a verb needs to know besides the run."""

    path: str | None = None
    output: Json = None
    has_output: bool = False
    compensate: bool = False
    names: list[str] = []
    """By what a question may call who steers (`Person.names`)."""
    sees_to: bool = False
    """Whether who steers may give anybody's question to others, and so to himself."""
    project: str = ""
    """Only runs of this project; empty: any."""


class Runs:
    """The runs of all tenants, each read with its tenant."""

    def __init__(self, ground: Ground, definitions: Definitions) -> None:
        self._ground = ground
        self._engine = ground.engine
        self._definitions = definitions

    # Beginning

    async def start(self, tenant: str, wish: Start) -> Started:
        """Start a run, durable before the answer. The same key or id again is the same run."""
        found = await self._definitions.startable(tenant, wish.workflow, wish.version)
        id = checked_run(wish.id) if wish.id else run_id(tenant, wish.workflow, wish.key) if wish.key else None
        input = {} if wish.input is None else wish.input
        try:
            async with asyncio.timeout(START_SECONDS):
                run = await self._engine.start(tenant, found.document, input, run=id, resources=_held(wish, found))
        except TimeoutError:
            raise Unavailable(
                "It is not known yet whether the run has begun: it cannot be written down at the moment.",
                hint="Ask again with the same id or Idempotency-Key, and it is one run, whatever came of this one.",
            ) from None
        except Conflict as refused:
            if id is None:
                raise
            return await self._again(tenant, wish, id, input, refused)
        return Started(run, wish.workflow, found.version)

    async def _again(self, tenant: str, wish: Start, id: str, input: Json, refused: Conflict) -> Started:
        """The run is there, of an earlier default version perhaps, or on the account of another key: it is the same when
        workflow and input are. A client that asks again after its key was renewed starts nothing twice."""
        run = await self._engine.describe(tenant, id)
        if f"{run.namespace}.{run.name}" != wish.workflow:
            raise Conflict(f"The run {id} is one of another workflow.", hint="Choose another id or key.")
        if not same(run.input, input) or wish.version not in {None, run.version}:
            raise refused
        return Started(id, wish.workflow, run.version)

    async def fork(
        self, tenant: str, by: str, run: str, *, path: str | None = None, input: Json = None, version: str | None = None
    ) -> Started:
        """A new run with the history of this one up to a path, with another input or another version of its workflow."""
        if path is not None and input is not None:
            raise Invalid(
                "A fork from a step keeps the input that its steps were made with.",
                hint="Leave `path` out, and it begins anew with the other input; or leave `input` out.",
            )
        origin = await self.get(tenant, run)
        workflow = f"{origin.namespace}.{origin.name}"
        document = None
        if version is not None:
            document = (await self._definitions.version(tenant, workflow, version)).document
        made = await self._engine.fork(tenant, run, path=path, input=input, document=document)
        await self._record(tenant, "fork", [run, made], by)
        return Started(made, workflow, version or origin.version)

    # Looking

    async def get(self, tenant: str, run: str) -> Run:
        return await self._engine.describe(tenant, run)

    async def history(self, tenant: str, run: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Entries of the timeline behind the number `after`."""
        entries = await self._engine.history(tenant, run)
        return entries[max(0, after) : max(0, after) + limit]

    async def open_tasks(self, tenant: str, run: str) -> list[Open]:
        """The tasks that are under way, in the order in which they began, with what they wait for."""
        return open_tasks(await self._engine.history(tenant, run))

    async def follow(self, tenant: str, run: str, after: int = 0) -> AsyncIterator[Entry]:
        """Entries behind the number `after`, then live until the run has ended. Progress has the number 0."""
        async for entry in self._engine.watch(tenant, run):
            if entry.number == 0 or entry.number > after:
                yield entry

    async def wait(self, tenant: str, run: str) -> Run:
        return await self._engine.wait(tenant, run)

    async def find(self, tenant: str, wish: Wish, *, limit: int = 100, before: str | None = None) -> Page:
        """Runs, the newest first, those before the run `before`.

        Values are looked for in what the engine tells of each run: `SCANNED` runs a page at most, and the next page goes
        on behind them.
        """
        if not wish.input and not wish.output:
            runs = await self._engine.find(tenant, wish.query, limit=limit + 1, before=before)
            return Page(runs[:limit], runs[limit - 1].id if len(runs) > limit else None)
        until = self._ground.clock.monotonic() + SCAN_SECONDS
        found: list[Run] = []
        for _ in range(SCANNED // _STEP):
            rows = await self._engine.find(tenant, wish.query, limit=_STEP, before=before)
            for run in await self._whole(tenant, rows):
                before = run.id
                if _fits(run, wish):
                    found.append(run)
                    if len(found) == limit:
                        return Page(found, before)
            if len(rows) < _STEP:
                return Page(found, None)
            if self._ground.clock.monotonic() > until:
                break
        return Page(found, before)

    async def _whole(self, tenant: str, rows: list[Run]) -> list[Run]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Run) -> Run:
            async with limit:
                try:
                    return await self._engine.describe(tenant, row.id)
                except NotFound:  # forgotten meanwhile
                    return row

        return await asyncio.gather(*(one(row) for row in rows))

    # Steering

    async def steer(self, tenant: str, by: str, verb: Verb, run: str, how: Steer = Steer()) -> Run:
        """One verb for one run; what has happened already is no error for `cancel`."""
        await self.apply(tenant, verb, run, how)
        await self._record(tenant, verb, [run], by)
        return await self._steered(tenant, verb, run, how)

    async def _steered(self, tenant: str, verb: Verb, run: str, how: Steer) -> Run:
        """The run as it is after the verb. An engine whose workers are elsewhere shows it a moment later; an answer that
        says of a resumed run that it is suspended would be a lie. Nobody waits for workers that are away."""
        found = await self._engine.describe(tenant, run)
        for _ in range(_LOOKS):
            if found.ended is not None or how.compensate or _shows(verb, found.status):
                break
            await self._ground.clock.sleep(_LOOK)
            found = await self._engine.describe(tenant, run)
        return found

    async def apply(self, tenant: str, verb: Verb, run: str, how: Steer) -> None:
        """The verb alone, without a record of who said it."""
        if how.project and (await self.get(tenant, run)).namespace != how.project:
            raise no_run(run)
        if verb == "cancel":
            await self._engine.cancel(tenant, run, compensate=how.compensate)
        elif verb == "suspend":
            await self._engine.suspend(tenant, run)
        elif verb == "resume":
            await self._engine.resume(tenant, run)
        elif verb == "retry":
            await self._engine.retry(tenant, run, how.path)
        else:
            await self._refuse_to_answer(tenant, run, how)
            await self._engine.skip(tenant, run, how.path, output=how.output, has_output=how.has_output)

    async def _refuse_to_answer(self, tenant: str, run: str, how: Steer) -> None:
        """Denied when the task asks somebody else: to skip it with an output would be to decide (security.md, ASI09)."""
        if how.sees_to:
            return
        asked = await self._ground.database.read(
            tenant,
            lambda c: store_inbox.find_items(c, tenant, after="", limit=200, states=("open", "expired"), run=run),
        )
        for item in asked:
            is_meant = how.path is None or f"{item.task}/".startswith(f"{how.path}/")
            if is_meant and item.to and not set(how.names) & set(item.to):
                raise Denied(
                    "The task asks others, and to skip it would be to answer for them.",
                    hint="Who was asked may delegate it to you; an admin may skip it.",
                )

    async def _record(self, tenant: str, verb: str, runs: list[str], by: str) -> None:
        def work(tx: Transaction) -> None:
            tx.tell(events.runs_changed(verb, runs, by))

        await self._ground.database.write(tenant, work)


def _shows(verb: Verb, status: str) -> bool:
    """Whether a run that has not ended looks as it does after the verb."""
    return status == "suspended" if verb == "suspend" else verb != "cancel" and status != "suspended"


def _held(wish: Start, found: Version) -> dict[str, Json]:
    """What a run begins with; the models that it is held to, those of the key that starts it, as they are now; and on whose
    account it is."""
    held = account(key=wish.by.removeprefix("key:"), project=wish.project)
    if wish.models:
        held[MODELS] = list(wish.models)
    return {**found.resources, **held} if held else found.resources


def open_tasks(entries: list[Entry]) -> list[Open]:
    """What of a timeline has begun and not ended."""
    found: dict[str, Open] = {}
    for entry in entries:
        kind, _, what = entry.type.removesuffix(".v1").partition(".")
        if kind == "workflow":
            if what in ENDED:
                found.clear()
            continue
        if what in {"started", "created"}:
            found.setdefault(entry.path, Open(path=entry.path, ref=entry.ref, since=entry.at, status="running"))
        elif what in ENDED:
            found.pop(entry.path, None)
        elif what == "status-changed" and entry.path in found:
            found[entry.path] = msgspec.structs.replace(
                found[entry.path], status=str(entry.data.get("status", "running")), wait=entry.data.get("wait")
            )
    return list(found.values())


def parsed(conditions: list[str], what: str) -> tuple[tuple[str, Json], ...]:
    """`path=value` texts as conditions. A value that is JSON is that value, every other one a text."""
    found: list[tuple[str, Json]] = []
    for condition in conditions:
        path, equals, text = condition.partition("=")
        if not equals or not path:
            raise Invalid(f"{condition[:100]!r} is no condition on the {what}.", hint="Write path=value.")
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            value = text
        found.append((path, value))
    return tuple(found)


def _fits(run: Run, wish: Wish) -> bool:
    return all(_has(run.input, *condition) for condition in wish.input) and all(
        _has(run.output, *condition) for condition in wish.output
    )


def _has(value: Json, path: str, wanted: Json) -> bool:
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part, _MISSING)
        elif (
            isinstance(value, list)
            and part.isdecimal()
            and part.isascii()
            and len(part) < 10
            and int(part) < len(value)
        ):
            value = value[int(part)]
        else:
            return False
    if value is _MISSING:
        return False
    is_number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    return same(value, wanted) or (is_number and isinstance(value, str) and value == _text(wanted))


def _text(number: float) -> str:
    return msgspec.json.encode(number).decode()
