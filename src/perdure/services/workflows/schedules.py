"""Schedules by the API: made, changed, paused, fired, and what came of it. `firing.py` makes them fire by themselves."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from perdure.errors import Conflict, Invalid
from perdure.language.values import Json
from perdure.ports.database import Transaction
from perdure.services.workflows import due, store, store_schedules, timetable, triggers
from perdure.services.workflows.definitions import Definitions
from perdure.services.workflows.models import (
    SCHEDULE,
    CatchUp,
    Firing,
    Overlap,
    Schedule,
    ScheduleKind,
    no_schedule,
)
from perdure.services.workflows.service import Ground

LONGEST_WINDOW = 31 * 86_400_000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that somebody wants."""

    workflow: str
    version: str | None = None
    kind: ScheduleKind
    spec: Json
    read: Literal["data", "envelope", "raw"] = "data"
    zone: str = "UTC"
    input: Json = None
    catch_up: CatchUp = "last"
    window: int = 86_400_000
    overlap: Overlap = "skip"
    by: str = ""
    """Who makes it."""
    project: str = ""


class Schedules:
    """The schedules of all tenants."""

    def __init__(self, ground: Ground, definitions: Definitions, changed: Callable[[str], None]) -> None:
        self._ground = ground
        self._definitions = definitions
        self._changed = changed
        """Called when something may be due earlier than `firing.py` knows."""

    async def create(self, tenant: str, wanted: Wanted) -> Schedule:
        await self._definitions.version(tenant, wanted.workflow, wanted.version)
        now = self._ground.clock.now()
        made = self._checked(
            Schedule(
                tenant=tenant, id=self._ground.id("sch"), created=now, updated=now,
                **{field: getattr(wanted, field) for field in wanted.__struct_fields__},
            )
        )  # fmt: skip

        def work(tx: Transaction) -> Schedule:
            workflow = store.workflow(tx.connection, tenant, made.workflow, lock=True)
            if workflow is None or workflow.state == "archived":
                raise Conflict(f"The workflow {made.workflow} is archived.", hint="Restore it first.")
            held = msgspec.structs.replace(made, is_held=workflow.state != "enabled")
            held = msgspec.structs.replace(held, due=due.armed(held, now))
            store_schedules.add_schedule(tx.connection, tenant, held)
            return held

        return await self._write(tenant, work)

    def _checked(self, one: Schedule) -> Schedule:
        due.zone(one.zone)
        if not 0 <= one.window <= LONGEST_WINDOW:
            raise Invalid("A catch-up window is at most 31 days long.")
        if one.kind == "on":
            return triggers.checked(one)
        return msgspec.structs.replace(one, spec=due.checked_spec(one.kind, one.spec))

    async def _write(self, tenant: str, work: Any) -> Schedule:
        changed: Schedule = await self._ground.database.write(tenant, work)
        self._changed(tenant)
        return changed

    async def get(self, tenant: str, id: str) -> Schedule:
        found = await self._ground.database.read(tenant, lambda c: store_schedules.schedule(c, tenant, id))
        if found is None:
            raise no_schedule(id)
        return found

    async def find(
        self, tenant: str, *, after: str = "", limit: int = 100, workflow: str | None = None, project: str = ""
    ) -> list[Schedule]:
        """The newest first."""

        def work(connection: Connection) -> list[Schedule]:
            return store_schedules.find_schedules(
                connection, tenant, after=after, limit=limit, workflow=workflow, project=project
            )

        return await self._ground.database.read(tenant, work)

    async def change(self, tenant: str, id: str, changes: dict[str, Any]) -> Schedule:
        """Other policies, input, time zone or version; and another time, unless the document says when.

        `changes` are fields of a Schedule: `version`, `spec`, `zone`, `input`, `catch_up`, `window`, `overlap`.
        """
        now = self._ground.clock.now()

        def work(tx: Transaction) -> Schedule:
            found = store_schedules.schedule(tx.connection, tenant, id, lock=True)
            if found is None:
                raise no_schedule(id)
            if found.of_document and "spec" in changes:
                raise Conflict("When it runs stands in the document.", hint="Publish a version that says otherwise.")
            changed = msgspec.structs.replace(found, **changes, updated=now)
            if "spec" in changes:
                changed = msgspec.structs.replace(self._checked(changed), created=now, memory=None)
            else:
                due.zone(changed.zone)
            if "spec" in changes or "zone" in changes:
                changed = msgspec.structs.replace(changed, due=due.armed(changed, now))
            store_schedules.put_schedule(tx.connection, tenant, changed)
            return changed

        if changes.get("version") is not None:
            one = await self.get(tenant, id)
            await self._definitions.version(tenant, one.workflow, changes["version"])
        if not 0 <= changes.get("window", 0) <= LONGEST_WINDOW:
            raise Invalid("A catch-up window is at most 31 days long.")
        return await self._write(tenant, work)

    async def set_state(self, tenant: str, id: str, verb: Literal["pause", "resume"]) -> Schedule:
        """What came due during a pause is not made up for."""
        now = self._ground.clock.now()

        def work(tx: Transaction) -> Schedule:
            found = store_schedules.schedule(tx.connection, tenant, id, lock=True)
            if found is None:
                raise no_schedule(id)
            state = SCHEDULE[found.state, verb]
            if state == found.state:
                return found
            changed = msgspec.structs.replace(found, state=state, updated=now, memory=None)
            changed = msgspec.structs.replace(changed, due=due.armed(changed, now))
            store_schedules.put_schedule(tx.connection, tenant, changed)
            return changed

        return await self._write(tenant, work)

    async def delete(self, tenant: str, id: str) -> None:
        """Runs that it started go on. One that stands in a document goes with the document only."""

        def work(tx: Transaction) -> None:
            found = store_schedules.schedule(tx.connection, tenant, id, lock=True)
            if found is None:
                raise no_schedule(id)
            if found.of_document:
                raise Conflict(
                    "The schedule stands in its document.", hint="Pause it, or publish a version without it."
                )
            store_schedules.drop_schedule(tx.connection, tenant, id)

        await self._ground.database.write(tenant, work)
        self._changed(tenant)

    async def fire(self, tenant: str, id: str, *, input: Json = None) -> Firing:
        """Fire now, besides its times; its overlap policy holds for this one, too."""
        found = await self.get(tenant, id)
        await self._definitions.startable(tenant, found.workflow, found.version)
        now = self._ground.clock.now()
        made = await self._ground.database.write(tenant, lambda tx: timetable.add_firing(tx, found, now, now, input))
        self._changed(tenant)
        return made

    async def firings(self, tenant: str, id: str, *, before: int | None = None, limit: int = 100) -> list[Firing]:
        """The newest first."""
        await self.get(tenant, id)
        return await self._ground.database.read(
            tenant, lambda c: store_schedules.find_firings(c, tenant, id, before=before, limit=limit)
        )
