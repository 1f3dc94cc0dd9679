"""The workflows service over HTTP: publishing here, the other nouns in the modules beside.

The hot routes (start and read a run, events in, messages of webhooks) take the request itself, so that nothing stands
between them and their use case; what they take and give is described for OpenAPI by hand.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as InPath

from perdure.ports.edge import Caller, caller, permission
from perdure.ports.shapes import Line, page
from perdure.services.workflows import routes_events, routes_inbox, routes_runs, routes_schedules, shapes
from perdure.services.workflows.definitions import Definitions
from perdure.services.workflows.models import WorkflowState
from perdure.services.workflows.projects import chosen
from perdure.services.workflows.within import Within
from perdure.services.workflows.workflows import Workflows

By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=200, pattern=Line, description="`next` of the page before.")]
Id = Annotated[str, InPath(min_length=1, max_length=140, pattern=Line, examples=["shop.orders"])]
Number = Annotated[str, InPath(min_length=1, max_length=100, pattern=Line, examples=["1.0.0"])]

_DOCUMENT = """\
document: {dsl: 1.0.3, namespace: shop, name: orders, version: 1.0.0}
do:
  - greet: {set: {text: "${ \\"Hello \\" + .name }"}}
"""
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The document as it is written.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": _DOCUMENT},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}

_ANY_BODY: dict[str, Any] = {
    "requestBody": {
        **_BODY["requestBody"],
        "content": {
            "application/yaml": {"schema": {}, "example": _DOCUMENT},
            "application/json": {"schema": {}, "example": {"do": []}},
        },
    }
}
"""What is to be checked may be anything; that it is no document is a finding."""


def router(service: Workflows) -> APIRouter:
    """Everything of the service under one prefix."""
    all_routes = APIRouter()
    for part in (
        _publishing(service.definitions),
        _reading(service.definitions),
        routes_runs.router(service.runs, service.bulk),
        routes_schedules.router(service.schedules),
        routes_events.kept(service.webhooks),
        routes_inbox.router(service.inbox),
    ):
        all_routes.include_router(
            part, dependencies=[Depends(Within(service.runs, service.schedules, service.webhooks, service.inbox))]
        )
    for hot in (routes_runs.hot(service.runs), routes_events.router(service.webhooks, service.intake)):
        all_routes.include_router(hot)
    return all_routes


def _publishing(definitions: Definitions) -> APIRouter:
    routes = APIRouter(prefix="/workflows", tags=["workflows"])
    write = permission("workflows:write", project=True)

    @routes.post(
        "",
        status_code=201,
        openapi_extra={**write, **_BODY},
        responses={200: {"model": shapes.PublishedShape, "description": "The very same was published before."}},
    )
    async def publish(request: Request, response: Response, by: By) -> shapes.PublishedShape:
        """Publish a document as a version of its workflow. A version never changes: the same again is the same answer."""
        media = request.headers.get("content-type", "application/yaml").partition(";")[0].strip().lower()
        made = await definitions.publish(by.tenant, by.subject, await request.body(), media, project=by.project)
        if not made.is_new:
            response.status_code = 200
        return shapes.PublishedShape(
            workflow=shapes.WorkflowShape.of(made.workflow), version=shapes.VersionShape.of(made.version),
            is_new=made.is_new,
        )  # fmt: skip

    @routes.post("/validate", openapi_extra={**permission("workflows:read", project=True), **_ANY_BODY})
    async def validate(request: Request, by: By) -> shapes.Findings:
        """Everything that is wrong or doubtful about a document. Nothing is kept and nothing is fetched."""
        findings = definitions.validate(await request.body())
        is_valid = not any(finding.severity == "error" for finding in findings)
        return shapes.Findings(valid=is_valid, findings=[shapes.FindingShape.of(finding) for finding in findings])

    for verb, said in (
        ("enable", "Let runs start."),
        ("disable", "Let no more runs start; those under way go on, schedules are held."),
        ("archive", "Put the workflow away, with its versions and runs."),
        ("restore", "Take it out of the archive. It is disabled then."),
    ):
        routes.add_api_route(
            "/{id}/" + verb, _changing(definitions, verb), methods=["POST"], openapi_extra=write, description=said,
            name=verb, operation_id=f"{verb}_workflow", response_model=shapes.WorkflowShape,
        )  # fmt: skip
    return routes


def _changing(definitions: Definitions, verb: str) -> Any:
    async def change(id: Id, by: By) -> shapes.WorkflowShape:
        return shapes.WorkflowShape.of(await definitions.change(by.tenant, by.subject, id, verb))

    return change


def _reading(definitions: Definitions) -> APIRouter:
    routes = APIRouter(prefix="/workflows", tags=["workflows"])
    read = permission("workflows:read", project=True)

    @routes.get("", openapi_extra=read)
    async def find(
        by: By,
        state: Annotated[list[WorkflowState], Query(default_factory=list)],
        project: shapes.Project = "",
        limit: Limit = 100,
        cursor: Cursor = "",
    ) -> shapes.Workflows:
        """The workflows of your tenant, or of a project, in order of their names."""
        within = chosen(by, project)
        found = await definitions.find(by.tenant, after=cursor, limit=limit, states=tuple(state), project=within)
        items = [shapes.WorkflowShape.of(one) for one in found]
        return shapes.Workflows(items=items, next=page(found, limit))

    @routes.get("/{id}", openapi_extra=read)
    async def get(id: Id, by: By) -> shapes.WorkflowShape:
        """One workflow."""
        return shapes.WorkflowShape.of(await definitions.get(by.tenant, id))

    @routes.get("/{id}/versions", openapi_extra=read)
    async def versions(id: Id, by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Versions:
        """Its versions, the highest first."""
        found = await definitions.versions(by.tenant, id, after=cursor, limit=limit)
        next = found[-1].version if len(found) == limit else None
        return shapes.Versions(items=[shapes.VersionShape.of(one) for one in found], next=next)

    @routes.get("/{id}/versions/{version}", openapi_extra=read)
    async def version(id: Id, version: Number, by: By) -> shapes.WholeVersion:
        """One version with its document."""
        return shapes.WholeVersion.of(await definitions.version(by.tenant, id, version))

    @routes.get("/{id}/diff", openapi_extra=read)
    async def diff(
        id: Id,
        by: By,
        since: Annotated[str, Query(alias="from", max_length=100, pattern=Line, examples=["1.0.0"])],
        to: Annotated[str | None, Query(max_length=100, pattern=Line, examples=["1.1.0"])] = None,
    ) -> shapes.DifferencesShape:
        """What is different between two versions: in structure, tasks by name, and in text."""
        found = await definitions.differences(by.tenant, id, since, to)
        return shapes.DifferencesShape(
            changes=[shapes.ChangeShape.of(change) for change in found.changes], text=found.text
        )

    return routes
