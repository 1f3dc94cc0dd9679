"""Schedules over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath

from perdure.errors import Invalid
from perdure.ports.edge import Caller, caller, permission
from perdure.ports.shapes import Line, page
from perdure.services.workflows import shapes_schedules
from perdure.services.workflows.projects import check_workflow, chosen
from perdure.services.workflows.schedules import Schedules, Wanted
from perdure.services.workflows.shapes import Project
from perdure.services.workflows.timetable import KINDS

By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=200, pattern=Line, description="`next` of the page before.")]
Id = Annotated[str, InPath(min_length=1, max_length=64, pattern=Line)]
_READ, _WRITE = permission("schedules:read", project=True), permission("schedules:write", project=True)


def router(schedules: Schedules) -> APIRouter:
    """Everything about schedules."""
    all_routes = APIRouter(tags=["schedules"])
    for part in (_keeping(schedules), _driving(schedules)):
        all_routes.include_router(part)
    return all_routes


def _keeping(schedules: Schedules) -> APIRouter:
    routes = APIRouter(prefix="/schedules")

    @routes.get("", openapi_extra=_READ)
    async def find(
        by: By,
        workflow: Annotated[str | None, Query(max_length=140, pattern=Line)] = None,
        project: Project = "",
        limit: Limit = 100,
        cursor: Cursor = "",
    ) -> shapes_schedules.Schedules:
        """Schedules of documents and those made here, the newest first."""
        found = await schedules.find(
            by.tenant, after=cursor, limit=limit, workflow=workflow, project=chosen(by, project)
        )
        return shapes_schedules.Schedules(
            items=[shapes_schedules.ScheduleShape.of(one) for one in found], next=page(found, limit)
        )

    @routes.post("", status_code=201, openapi_extra=_WRITE)
    async def create(given: shapes_schedules.NewSchedule, by: By) -> shapes_schedules.ScheduleShape:
        """Let runs of a workflow start by themselves."""
        kinds = [kind for kind in KINDS if getattr(given, kind) is not None]
        if len(kinds) != 1:
            raise Invalid("Say when: exactly one of `cron`, `every`, `after` and `on`.")
        check_workflow(by, given.workflow)
        wanted = Wanted(
            workflow=given.workflow, version=given.version, kind=kinds[0], spec=getattr(given, kinds[0]),
            read=given.read, zone=given.zone, input=given.input, catch_up=given.catch_up,
            window=given.window * 1000, overlap=given.overlap, by=by.subject, project=by.project,
        )  # fmt: skip
        return shapes_schedules.ScheduleShape.of(await schedules.create(by.tenant, wanted))

    @routes.get("/{id}", openapi_extra=_READ)
    async def get(id: Id, by: By) -> shapes_schedules.ScheduleShape:
        """One schedule."""
        return shapes_schedules.ScheduleShape.of(await schedules.get(by.tenant, id))

    @routes.patch("/{id}", openapi_extra=_WRITE)
    async def change(id: Id, given: shapes_schedules.ScheduleChange, by: By) -> shapes_schedules.ScheduleShape:
        """Other policies, input, time zone or version; another time, unless the document says when."""
        changes: dict[str, Any] = {
            name: getattr(given, name)
            for name in ("zone", "catch_up", "overlap")
            if getattr(given, name)
        }  # fmt: skip
        for name in ("version", "input"):
            if name in given.model_fields_set:
                changes[name] = getattr(given, name)
        if given.window is not None:
            changes["window"] = given.window * 1000
        if given.cron or given.every is not None:
            if given.cron and given.every is not None:
                raise Invalid("Say when once: `cron` or `every`.")
            changes["kind"] = "cron" if given.cron else "every"
            changes["spec"] = given.cron or given.every
        return shapes_schedules.ScheduleShape.of(await schedules.change(by.tenant, id, changes))

    @routes.delete("/{id}", status_code=204, openapi_extra=_WRITE)
    async def delete(id: Id, by: By) -> None:
        """End a schedule. Runs that it started go on."""
        await schedules.delete(by.tenant, id)

    return routes


def _driving(schedules: Schedules) -> APIRouter:
    routes = APIRouter(prefix="/schedules")

    @routes.post("/{id}/pause", openapi_extra=_WRITE)
    async def pause(id: Id, by: By) -> shapes_schedules.ScheduleShape:
        """Let it rest. What comes due meanwhile is not made up for."""
        return shapes_schedules.ScheduleShape.of(await schedules.set_state(by.tenant, id, "pause"))

    @routes.post("/{id}/resume", openapi_extra=_WRITE)
    async def resume(id: Id, by: By) -> shapes_schedules.ScheduleShape:
        """Let it go on."""
        return shapes_schedules.ScheduleShape.of(await schedules.set_state(by.tenant, id, "resume"))

    @routes.post("/{id}/fire", status_code=202, openapi_extra=_WRITE)
    async def fire(
        id: Id, by: By, given: shapes_schedules.Fire = shapes_schedules.Fire()
    ) -> shapes_schedules.FiringShape:
        """Fire now, besides its times."""
        return shapes_schedules.FiringShape.of(await schedules.fire(by.tenant, id, input=given.input))

    @routes.get("/{id}/firings", openapi_extra=_READ)
    async def firings(
        id: Id,
        by: By,
        limit: Limit = 100,
        cursor: Annotated[int | None, Query(ge=0, le=10**14, description="`next` of the page before.")] = None,
    ) -> shapes_schedules.Firings:
        """What came of its times, the newest first."""
        found = await schedules.firings(by.tenant, id, before=cursor, limit=limit)
        next = str(found[-1].due) if len(found) == limit else None
        return shapes_schedules.Firings(items=[shapes_schedules.FiringShape.of(one) for one in found], next=next)

    return routes
