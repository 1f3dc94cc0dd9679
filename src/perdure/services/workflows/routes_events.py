"""Events in over HTTP: CloudEvents of callers, and signed messages of webhooks."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as InPath

from perdure.errors import Denied
from perdure.ports.edge import BODY, IDEMPOTENCY, Caller, caller, permission, public
from perdure.ports.log import RUN
from perdure.ports.shapes import Line, page
from perdure.services.workflows import cloud_events, shapes_events
from perdure.services.workflows.intake import Intake
from perdure.services.workflows.projects import check_workflow, chosen
from perdure.services.workflows.shapes import Project
from perdure.services.workflows.webhooks import Webhooks

By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=200, pattern=Line, description="`next` of the page before.")]
Id = Annotated[str, InPath(min_length=1, max_length=64, pattern=Line)]
_READ, _WRITE = permission("webhooks:read", project=True), permission("webhooks:write", project=True)
_SHOWS_SECRET = {**_WRITE, IDEMPOTENCY: "secret"}
_encode = msgspec.json.Encoder().encode
_MESSAGE_BYTES = 1024 * 1024

_TEXT = {"type": "string", "minLength": 1}
_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {"specversion": {"const": "1.0"}, "id": _TEXT, "source": _TEXT, "type": _TEXT, "data": {}},
}
_EXAMPLE = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "com.example.paid", "data": {"order": 17}}
_ANY: dict[str, Any] = {"schema": {}}
_CONTENT: dict[str, Any] = {
    "application/json": {"schema": _EVENT, "example": _EXAMPLE},
    cloud_events.STRUCTURED: {"schema": _EVENT, "example": _EXAMPLE},
    cloud_events.BATCH: {"schema": {"type": "array", "items": _EVENT}, "example": [_EXAMPLE]},
    "*/*": _ANY,
}
_MESSAGE: dict[str, Any] = {"application/json": {**_ANY, "example": {"order": 17}}, "*/*": _ANY}


def router(webhooks: Webhooks, intake: Intake) -> APIRouter:
    """How events come in. An event is for the whole tenant: nobody who is bound to a project sends one."""
    all_routes = APIRouter()
    for part in (_events(intake), _hooks(webhooks)):
        all_routes.include_router(part)
    return all_routes


def _events(intake: Intake) -> APIRouter:
    routes = APIRouter(tags=["events"])

    @routes.post(
        "/events",
        status_code=202,
        response_model=shapes_events.EventsTaken,
        openapi_extra={
            **permission("events:write"),
            IDEMPOTENCY: "own",
            "requestBody": {"required": True, "content": _CONTENT},
        },
    )
    async def take(request: Request) -> Response:
        """CloudEvents for the runs and schedules that wait for them: structured, binary (`ce-` headers) or a batch."""
        tenant = caller(request).tenant
        media = request.headers.get("content-type", "")
        events = cloud_events.parse(media, request.headers, await request.body())
        taken = 0
        for event in events:
            taken += await intake.take(tenant, event)
        content = _encode({"taken": taken, "seen": len(events) - taken})
        return Response(content, 202, media_type="application/json")

    return routes


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}


def _hooks(webhooks: Webhooks) -> APIRouter:
    routes = APIRouter(tags=["webhooks"])

    @routes.post(
        "/hooks/{id}",  # noqa: FAST003 - hot
        status_code=202,
        response_model=shapes_events.TakenShape,
        openapi_extra={
            **public("Each message is signed with the webhook's own secret (standardwebhooks.com)."),
            IDEMPOTENCY: "own",
            BODY: _MESSAGE_BYTES,
            "requestBody": {"required": True, "content": _MESSAGE},
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}},
                _header("webhook-id"),
                _header("webhook-timestamp"),
                _header("webhook-signature"),
            ],
        },
    )
    async def take(request: Request) -> Response:
        """A signed message for a webhook. Each counts once."""
        made = await webhooks.take(request.path_params["id"], request.headers, await request.body())
        RUN.set(made.run or "")
        return Response(_encode({"message": made.message, "run": made.run}), 202, media_type="application/json")

    return routes


def kept(webhooks: Webhooks) -> APIRouter:
    """The webhooks themselves."""
    routes = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @routes.get("", openapi_extra=_READ)
    async def find(by: By, project: Project = "", limit: Limit = 100, cursor: Cursor = "") -> shapes_events.Webhooks:
        """The webhooks of your tenant, or of a project, the newest first, without their secrets."""
        found = await webhooks.find(by.tenant, after=cursor, limit=limit, project=chosen(by, project))
        return shapes_events.Webhooks(
            items=[shapes_events.WebhookShape.of(one) for one in found], next=page(found, limit)
        )

    @routes.post("", status_code=201, openapi_extra={**_WRITE, IDEMPOTENCY: "secret"})
    async def create(given: shapes_events.NewWebhook, by: By) -> shapes_events.WebhookOnce:
        """A new webhook. Its secret is in this answer and nowhere else."""
        if by.project and given.event:
            raise Denied("An event is for the whole tenant, and you are bound to a project.", hint="Name a workflow.")
        check_workflow(by, given.workflow)
        made, secret = await webhooks.create(
            by.tenant, by.subject, given.name, workflow=given.workflow, version=given.version, event=given.event,
            project=by.project,
        )  # fmt: skip
        return shapes_events.WebhookOnce(webhook=shapes_events.WebhookShape.of(made), secret=secret)

    @routes.get("/{id}", openapi_extra=_READ)
    async def get(id: Id, by: By) -> shapes_events.WebhookShape:
        """One webhook, without its secret."""
        return shapes_events.WebhookShape.of(await webhooks.get(by.tenant, id))

    @routes.delete("/{id}", status_code=204, openapi_extra=_WRITE)
    async def delete(id: Id, by: By) -> None:
        """End a webhook."""
        await webhooks.delete(by.tenant, by.subject, id)

    @routes.post("/{id}/rotate", openapi_extra={**_WRITE, IDEMPOTENCY: "secret"})
    async def rotate(
        id: Id, by: By, given: shapes_events.Rotation = shapes_events.Rotation()
    ) -> shapes_events.WebhookOnce:
        """Another secret. The one before is good for a while."""
        made, secret = await webhooks.rotate(by.tenant, by.subject, id, grace=given.grace * 1000)
        return shapes_events.WebhookOnce(webhook=shapes_events.WebhookShape.of(made), secret=secret)

    return routes
