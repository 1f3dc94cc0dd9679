"""Schedules `on` events (language.md A5): which of them an event completes.

What a schedule listens for is one `listen` task, and it is the machine that listens: its state between two events is
kept with the schedule, one event is one step in one transaction, and a completed `listen` is a firing whose input are
the events. So correlation, `all` and `until` mean here what they mean in a run.
"""

import logging
from collections import OrderedDict
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from perdure import __version__
from perdure.errors import Invalid
from perdure.interpreter.commands import Complete, Fault, Subscribe, Unsubscribe
from perdure.interpreter.correlation import could_match
from perdure.interpreter.events import EventReceived, Started
from perdure.interpreter.handles import escape, restore
from perdure.interpreter.machine import compile, step
from perdure.interpreter.program import Program
from perdure.language.check import check_value
from perdure.language.values import content_hash
from perdure.ports.database import Transaction
from perdure.services.workflows import due, store_schedules, timetable
from perdure.services.workflows.models import Schedule
from perdure.services.workflows.service import Ground

_log = logging.getLogger("perdure.workflows")
_CACHED = 1_000


class Listening(NamedTuple):
    """How far a schedule's listening has come: the machine's state, and its subscriptions by id."""

    state: dict[str, Any]
    wanted: dict[str, list[dict[str, Any]]]


class _Known(NamedTuple):
    schedules: list[Schedule]
    until: float


class Triggers:
    """Takes every event that comes into the platform, or leaves a run."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._programs: OrderedDict[str, Program] = OrderedDict()

    def forget(self, tenant: str) -> None:
        """The schedules of a tenant have changed here."""
        self._known.pop(tenant, None)

    async def take(self, tenant: str, event: dict[str, Any]) -> int:
        """How many schedules it completes. Idempotent by the event's source and id."""
        count = 0
        for one in await self._listening(tenant):
            if not self._could_take(one, event):
                continue
            count += await self._ground.database.write(tenant, lambda tx, id=one.id: self._take(tx, id, event))  # type: ignore[misc]
        return count

    async def _listening(self, tenant: str) -> list[Schedule]:
        now = self._ground.clock.monotonic()
        found = self._known.get(tenant)
        if found is None or found.until <= now:

            def work(connection: Connection) -> list[Schedule]:
                return store_schedules.listening(connection, tenant)

            found = self._known[tenant] = _Known(
                await self._ground.database.read(tenant, work), now + self._ground.recent
            )
            if len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return found.schedules

    def _program(self, one: Schedule) -> Program:
        hash = content_hash([one.workflow, one.spec, one.read])
        program = self._programs.get(hash)
        if program is None:
            program = self._programs[hash] = compiled(one)
            if len(self._programs) > _CACHED:
                self._programs.popitem(last=False)
        return program

    def _could_take(self, one: Schedule, event: dict[str, Any]) -> bool:
        """Before anything is asked of the database: whether a listening that begins now would look at the event."""
        fresh = begun(self._program(one), one, 0)
        return fresh is None or any(could_match(filters, event) for filters in fresh.wanted.values())

    def _take(self, tx: Transaction, id: str, event: dict[str, Any]) -> int:
        one = store_schedules.schedule(tx.connection, tx.tenant, id, lock=True)
        if one is None or one.kind != "on" or one.state != "active" or one.is_held:
            return 0
        program, now = self._program(one), self._ground.clock.now()
        kept = None if one.memory is None else msgspec.convert(one.memory, Listening)
        listening = kept or begun(program, one, now)
        if listening is None:
            timetable.failed_firing(tx, one, now, "What it listens for cannot be computed.")
            return 0
        ids = [id for id, filters in listening.wanted.items() if could_match(filters, event)]
        if not ids or not tx.once(f"{one.id}/{content_hash([event.get('source'), event.get('id')])}"):
            return 0
        return self._heard(tx, one, listening, [EventReceived(now=now, id=id, event=escape(event)) for id in ids])

    def _heard(self, tx: Transaction, one: Schedule, listening: Listening, facts: list[EventReceived]) -> int:
        program, wanted = self._program(one), dict(listening.wanted)
        state, now = listening.state, facts[0].now
        for fact in facts:
            state, commands = step(program, state, fact)
            for command in commands:
                if isinstance(command, Complete):
                    timetable.add_firing(tx, one, now, now, restore(command.output))
                    return self._remember(tx, one, None, 1)
                if isinstance(command, Fault):
                    detail = command.error.get("detail") or command.error.get("title") or command.error["type"]
                    timetable.failed_firing(tx, one, now, f"Its condition on an event fails: {detail}")
                    return self._remember(tx, one, None, 0)
                if isinstance(command, Subscribe):
                    wanted[command.id] = command.filters
                elif isinstance(command, Unsubscribe):
                    wanted.pop(command.id, None)
        return self._remember(tx, one, Listening(state, wanted), 0)

    def _remember(self, tx: Transaction, one: Schedule, memory: Listening | None, fired: int) -> int:
        if memory is not None or one.memory is not None:
            kept = None if memory is None else msgspec.to_builtins(memory)
            store_schedules.put_schedule(tx.connection, one.tenant, msgspec.structs.replace(one, memory=kept))
            self.forget(one.tenant)
        return fired


def checked(one: Schedule) -> Schedule:
    """A schedule whose strategy could stand in a document, or Invalid with the first thing that is wrong."""
    document = {"document": _heading(one), "schedule": {"on": one.spec, "read": one.read}, "do": _DO_NOTHING}
    for finding in check_value(document):
        if finding.severity == "error":
            raise Invalid(f"The strategy does not fit: {finding.message}", hint=finding.hint)
    due.checked_spec(one.kind, one.spec)
    compiled(one)
    return one


def compiled(one: Schedule) -> Program:
    """The listening of a schedule as a program."""
    task = {"listen": {"to": one.spec, "read": one.read}}
    return compile({"document": _heading(one), "do": [{"events": task}]}, {}, None)


def _heading(one: Schedule) -> dict[str, Any]:
    namespace, _, name = one.workflow.rpartition(".")
    return {"dsl": "1.0.3", "namespace": namespace, "name": name, "version": one.version or "0.0.0"}


_DO_NOTHING = [{"nothing": {"set": {"done": True}}}]


def begun(program: Program, one: Schedule, now: int) -> Listening | None:
    """A listening that begins. None when it cannot even begin."""
    runtime = {"name": "Perdure", "version": __version__, "metadata": {"tenant": one.tenant}}
    opening = Started(now=now, run=one.id, tenant=one.tenant, seed=one.id, runtime=runtime)
    state, commands = step(program, None, opening)
    wanted = {command.id: command.filters for command in commands if isinstance(command, Subscribe)}
    return Listening(state, wanted) if wanted else None
