"""Runs over HTTP. Starting and reading one are hot: they take the request itself. What is logged of a request about one
run bears the run's id."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as InPath
from pydantic import Field

from perdure.errors import Denied, Invalid, NotFound
from perdure.language.values import Json
from perdure.ports import engine
from perdure.ports.edge import BODY, IDEMPOTENCY, LIMIT, Caller, Sent, caller, permission, stream
from perdure.ports.log import RUN
from perdure.ports.shapes import Line, Shape, maybe
from perdure.services.workflows import shapes, shapes_runs
from perdure.services.workflows.bulk import Bulk
from perdure.services.workflows.inbox import SEES_TO, Person
from perdure.services.workflows.models import Verb, no_job
from perdure.services.workflows.projects import check_run, check_workflow, named
from perdure.services.workflows.runs import Runs, Start, Steer, Wish, parsed

By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=200, pattern=Line, description="`next` of the page before.")]
Id = Annotated[str, InPath(min_length=1, max_length=200, pattern=Line)]
Text = Annotated[str | None, Query(max_length=140, pattern=Line)]
Conditions = Annotated[list[Annotated[str, Field(max_length=1000)]], Query(default_factory=list, max_length=10)]
_INPUT_BYTES = 16 * 1024 * 1024
_encode = msgspec.json.Encoder().encode


class _New(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input: Json = None
    version: str | None = None
    id: str = ""


class _NewOf(_New, frozen=True, forbid_unknown_fields=True, kw_only=True):
    workflow: str


_new, _new_of = msgspec.json.Decoder(_New), msgspec.json.Decoder(_NewOf)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key for the same workflow is the same run.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}


def _id_parameter(example: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 200}
    return {"name": "id", "in": "path", "required": True, "schema": schema, "example": example}


def _id(request: Request, what: str) -> str:
    """The id in the path. NotFound for a text that cannot be one."""
    id: str = request.path_params["id"]
    if not id.isprintable() or len(id) > 200:
        raise NotFound(f"There is no such {what}.")
    if what == "run":
        RUN.set(id)
    return id


def _body(shape: type[Shape], example: Json) -> dict[str, Any]:
    content = {"application/json": {"schema": shape.model_json_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


_STARTS = {**permission("runs:write", project=True), IDEMPOTENCY: "own", LIMIT: "run", BODY: _INPUT_BYTES}
_READS = permission("runs:read", project=True)


def router(runs: Runs, bulk: Bulk) -> APIRouter:
    """Everything about runs, but for what is hot."""
    all_routes = APIRouter(tags=["runs"])
    for part in (_bulk(bulk), _reading(runs), _steering(runs)):
        all_routes.include_router(part)
    return all_routes


def hot(runs: Runs) -> APIRouter:
    """What has no dependency, and looks at the project itself."""
    all_routes = APIRouter(tags=["runs"])
    for part in (_starting(runs), _following(runs)):
        all_routes.include_router(part)
    return all_routes


# Hot: nothing but the request


def _starting(runs: Runs) -> APIRouter:
    routes = APIRouter()

    @routes.post(
        "/workflows/{id}/runs",  # noqa: FAST003 - hot
        status_code=201,
        response_model=shapes_runs.StartedShape,
        openapi_extra={
            **_STARTS,
            **_body(shapes_runs.NewRun, {"input": {"name": "Ana"}}),
            "parameters": [_id_parameter("shop.orders"), _KEY],
        },
    )
    async def start(request: Request) -> Response:
        """Start a run. When this answers, the run is on disk and comes to its end, whatever happens."""
        given = _decoded(_new, await request.body())
        return await _started(runs, request, _id(request, "workflow"), given)

    @routes.post(
        "/runs",
        status_code=201,
        response_model=shapes_runs.StartedShape,
        openapi_extra={
            **_STARTS,
            **_body(shapes_runs.NewRunOf, {"workflow": "shop.orders", "input": {"name": "Ana"}}),
            "parameters": [_KEY],
        },
    )
    async def start_of(request: Request) -> Response:
        """Start a run of a workflow that the body names."""
        given = _decoded(_new_of, await request.body())
        return await _started(runs, request, given.workflow, given)

    @routes.get(
        "/runs/{id}",  # noqa: FAST003 - hot
        response_model=shapes_runs.RunShape,
        openapi_extra={**_READS, "parameters": [_id_parameter("order-17")]},
    )
    async def get(request: Request) -> Response:
        """One run, with its input, and its output or fault."""
        by = caller(request)
        run = await runs.get(by.tenant, _id(request, "run"))
        check_run(by, run)
        return Response(_encode(shapes_runs.run_values(run)), media_type="application/json")

    return routes


def _decoded(decoder: Any, body: bytes) -> Any:
    try:
        return decoder.decode(body or b"{}")
    except RecursionError:
        raise Invalid("The body is nested too deeply.") from None
    except ValueError as error:
        raise Invalid(f"The body does not fit: {error}.") from None


async def _started(runs: Runs, request: Request, workflow: str, given: _New) -> Response:
    key = request.headers.get("idempotency-key", "")
    if len(key) > 255:
        raise Invalid("An idempotency key has 255 characters at most.")
    by = caller(request)
    check_workflow(by, workflow)
    wish = Start(
        workflow=workflow, version=given.version, input=given.input, id=given.id, key=key, models=by.models,
        by=by.subject, project=by.project,
    )  # fmt: skip
    made = await runs.start(by.tenant, wish)
    RUN.set(made.run)
    content = _encode({"id": made.run, "workflow": made.workflow, "version": made.version})
    return Response(content, 201, media_type="application/json")


# Looking


def _reading(runs: Runs) -> APIRouter:
    routes = APIRouter(prefix="/runs")

    @routes.get("", openapi_extra=_READS, response_model_exclude_unset=True)
    async def find(
        by: By,
        status: Annotated[list[engine.Status], Query(default_factory=list, max_length=7)],
        input: Conditions,
        output: Conditions,
        workflow: Text = None,
        version: Text = None,
        project: shapes.Project = "",
        since: shapes.Moment | None = None,
        until: shapes.Moment | None = None,
        limit: Limit = 100,
        cursor: Cursor = "",
    ) -> shapes_runs.Runs:
        """Runs, the newest first: by status, workflow, version, time of start, and values (`input=order.id=17`)."""
        query = engine.Query(
            statuses=tuple(status), workflow=named(by, workflow, project), version=version, since=_ms(since),
            until=_ms(until),
        )  # fmt: skip
        wish = Wish(query=query, input=parsed(input, "input"), output=parsed(output, "output"))
        found = await runs.find(by.tenant, wish, limit=limit, before=cursor or None)
        is_whole = bool(wish.input or wish.output)
        items = [shapes_runs.RunShape.of(run, is_whole=is_whole) for run in found.runs]
        return shapes_runs.Runs(items=items, next=found.next)

    @routes.get("/{id}/history", openapi_extra=_READS)
    async def history(
        id: Id, by: By, limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
        cursor: Annotated[int, Query(ge=0, le=10**9, description="The number of the last entry seen.")] = 0,
    ) -> shapes_runs.History:  # fmt: skip
        """What happened, entry by entry."""
        found = await runs.history(by.tenant, id, after=cursor, limit=limit)
        next = str(found[-1].number) if len(found) == limit else None
        return shapes_runs.History(items=[shapes_runs.EntryShape.of(entry) for entry in found], next=next)

    @routes.get("/{id}/tasks", openapi_extra=_READS)
    async def open_tasks(id: Id, by: By) -> shapes_runs.OpenTasks:
        """The tasks that are under way, and what they wait for."""
        found = await runs.open_tasks(by.tenant, id)
        return shapes_runs.OpenTasks(items=[shapes_runs.OpenShape.of(task) for task in found])

    return routes


def _ms(moment: dt.datetime | None) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    try:
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Invalid("That moment is too far away.") from None


STREAMED = 262_144
"""Bytes of an entry in a stream, at most."""
_SENT: dict[str, Any] = {
    "type": "object",
    "description": "One server-sent event.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}, "id": {"type": "string"}},
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Entries as server-sent events, `data` as in the history; `progress` and `end` by those names. An "
        "entry over 256 KiB has `data: {truncated, whole}`: its size, and the address of the whole.",
        "content": {"text/event-stream": {"schema": _SENT}},
    }
}


def _following(runs: Runs) -> APIRouter:
    routes = APIRouter(prefix="/runs")

    @routes.get(
        "/{id}/stream",  # noqa: FAST003 - hot
        openapi_extra={
            **_READS,
            LIMIT: "stream",
            "parameters": [
                _id_parameter("order-17"),
                {
                    "name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"},
                    "description": "The number of the last entry seen: the stream goes on behind it.",
                },
            ],
        },
        response_class=Response,
        responses=_STREAM,
    )  # fmt: skip
    async def follow(request: Request) -> Response:
        """The history from its first entry, then live, until the run has ended."""
        by, run = caller(request), _id(request, "run")
        tenant = by.tenant
        _number(request.headers.get("last-event-id", ""))
        check_run(by, await runs.get(tenant, run))

        async def from_last(last: str) -> AsyncIterator[Sent]:
            async for entry in runs.follow(tenant, run, _number(last)):
                data = _streamed(run, entry)
                if entry.number:
                    yield Sent(data=data, id=str(entry.number))
                else:
                    yield Sent(data=data, event="progress")
            ended = await runs.get(tenant, run)
            yield Sent(data=_encode({"status": ended.status, "ended": maybe(ended.ended)}), event="end")

        return stream(request, from_last)

    return routes


def _streamed(run: str, entry: engine.Entry) -> bytes:
    """An entry as it goes into a stream: of one that is too big, where it is to be had whole (F12)."""
    values = shapes_runs.entry_values(entry)
    data = _encode(values)
    if len(data) <= STREAMED:
        return data
    place = f"/api/v1/runs/{quote(run, safe='')}/history?cursor={entry.number - 1}&limit=1" if entry.number else None
    return _encode({**values, "data": {"truncated": len(data), "whole": place}})


def _number(last: str) -> int:
    if last and not (last.isascii() and last.isdecimal() and len(last) < 10):
        raise Invalid("Last-Event-ID is the number of an entry.")
    return int(last or 0)


# Steering


def _steering(runs: Runs) -> APIRouter:
    routes = APIRouter(prefix="/runs")
    operate = permission("runs:operate", project=True)

    async def done(by: Caller, verb: Verb, id: str, how: Steer) -> shapes_runs.RunShape:
        RUN.set(id)
        return shapes_runs.RunShape.of(await runs.steer(by.tenant, by.subject, verb, id, how))

    @routes.post("/{id}/cancel", openapi_extra=operate)
    async def cancel(id: Id, by: By, given: shapes_runs.Cancel = shapes_runs.Cancel()) -> shapes_runs.RunShape:
        """End a run."""
        return await done(by, "cancel", id, Steer(compensate=given.compensate))

    @routes.post("/{id}/suspend", openapi_extra=operate)
    async def suspend(id: Id, by: By) -> shapes_runs.RunShape:
        """Hold a run: what is under way ends, nothing new begins."""
        return await done(by, "suspend", id, Steer())

    @routes.post("/{id}/resume", openapi_extra=operate)
    async def resume(id: Id, by: By) -> shapes_runs.RunShape:
        """Let a suspended run go on."""
        return await done(by, "resume", id, Steer())

    @routes.post("/{id}/retry", openapi_extra=operate)
    async def retry(id: Id, by: By, given: shapes_runs.Retry = shapes_runs.Retry()) -> shapes_runs.RunShape:
        """Enter the task that faulted, or the one at a path, again."""
        return await done(by, "retry", id, Steer(path=given.path))

    @routes.post("/{id}/skip", openapi_extra=operate)
    async def skip(id: Id, by: By, given: shapes_runs.Skip = shapes_runs.Skip()) -> shapes_runs.RunShape:
        """End the task that faulted, or the one at a path, with this output, and go on."""
        has_output = "output" in given.model_fields_set
        how = Steer(path=given.path, output=given.output, has_output=has_output, **_standing(by))
        return await done(by, "skip", id, how)

    @routes.post("/{id}/fork", status_code=201, openapi_extra=operate)
    async def fork(id: Id, by: By, given: shapes_runs.Fork = shapes_runs.Fork()) -> shapes_runs.StartedShape:
        """A new run with the history of this one up to a path, with another input or version."""
        if by.models:
            raise Denied("A key that is held to some models cannot fork a run, which may ask others.")
        RUN.set(id)
        made = await runs.fork(by.tenant, by.subject, id, path=given.path, input=given.input, version=given.version)
        return shapes_runs.StartedShape(id=made.run, workflow=made.workflow, version=made.version)

    return routes


def _standing(by: Caller) -> dict[str, Any]:
    """What questions may call the caller."""
    person = Person(subject=by.subject, roles=by.roles, email=by.email)
    return {"names": person.names, "sees_to": bool(by.roles & SEES_TO)}


def _bulk(bulk: Bulk) -> APIRouter:
    routes = APIRouter(prefix="/runs/bulk")

    @routes.post("", status_code=202, openapi_extra=permission("runs:operate", project=True))
    async def steer(given: shapes_runs.Many, by: By) -> shapes_runs.JobShape:
        """One verb for many runs. A few are done in this answer; for more, ask again until the job is `done`."""
        query = None
        if given.select is not None:
            chosen = given.select
            query = engine.Query(
                statuses=tuple(chosen.statuses), workflow=named(by, chosen.workflow), version=chosen.version,
                since=_ms(chosen.since), until=_ms(chosen.until),
            )  # fmt: skip
        has_output = "output" in given.model_fields_set
        how = Steer(
            path=given.path, output=given.output, has_output=has_output, compensate=given.compensate,
            project=by.project, **_standing(by),
        )  # fmt: skip
        job = await bulk.steer(by.tenant, by.subject, given.verb, runs=given.runs, query=query, how=how)
        return shapes_runs.JobShape.of(job)

    @routes.get("/{job}", openapi_extra=_READS)
    async def get(job: Annotated[str, InPath(max_length=64, pattern=Line)], by: By) -> shapes_runs.JobShape:
        """How far a job has come."""
        found = await bulk.get(by.tenant, job)
        if by.project and found.by != by.subject:
            raise no_job(job)
        return shapes_runs.JobShape.of(found)

    return routes
