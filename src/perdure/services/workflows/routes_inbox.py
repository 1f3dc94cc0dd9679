"""The inbox over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath

from perdure.ports.edge import Caller, caller, permission
from perdure.ports.shapes import Line, page
from perdure.services.workflows import shapes_inbox
from perdure.services.workflows.inbox import Inbox, Person, Verdict
from perdure.services.workflows.models import ItemState
from perdure.services.workflows.projects import chosen
from perdure.services.workflows.shapes import Project

By = Annotated[Caller, Depends(caller)]
Id = Annotated[str, InPath(min_length=1, max_length=64, pattern=Line)]


def router(inbox: Inbox) -> APIRouter:
    """Everything about questions to people."""
    routes = APIRouter(prefix="/inbox", tags=["inbox"])

    @routes.get("", openapi_extra=permission("inbox:read", project=True))
    async def find(
        by: By,
        state: Annotated[list[ItemState], Query(default_factory=list)],
        mine: Annotated[bool, Query(description="Only what you may decide.")] = False,
        run: Annotated[str | None, Query(max_length=200, pattern=Line)] = None,
        project: Project = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
        cursor: Annotated[str, Query(max_length=200, pattern=Line)] = "",
    ) -> shapes_inbox.Items:
        """Questions of runs to people, the newest first."""
        found = await inbox.find(
            by.tenant,
            after=cursor,
            limit=limit,
            states=tuple(state),
            person=_person(by) if mine else None,
            run=run,
            project=chosen(by, project),
        )
        return shapes_inbox.Items(items=[shapes_inbox.ItemShape.of(item) for item in found], next=page(found, limit))

    @routes.get("/{id}", openapi_extra=permission("inbox:read", project=True))
    async def get(id: Id, by: By) -> shapes_inbox.ItemShape:
        """One question, as it is shown, with its hash."""
        return shapes_inbox.ItemShape.of(await inbox.get(by.tenant, id))

    @routes.post("/{id}/decide", openapi_extra=permission("inbox:decide", project=True))
    async def decide(id: Id, given: shapes_inbox.Decide, by: By) -> shapes_inbox.ItemShape:
        """Decide, once and for all, about what was shown under the hash."""
        verdict = Verdict(hash=given.hash, approved=given.approved, reason=given.reason, data=given.data)
        return shapes_inbox.ItemShape.of(await inbox.decide(by.tenant, _person(by), id, verdict))

    @routes.post("/{id}/delegate", openapi_extra=permission("inbox:decide", project=True))
    async def delegate(id: Id, given: shapes_inbox.Delegate, by: By) -> shapes_inbox.ItemShape:
        """Give a question to others. From then on they decide."""
        return shapes_inbox.ItemShape.of(await inbox.delegate(by.tenant, _person(by), id, given.to, given.reason))

    return routes


def _person(by: Caller) -> Person:
    return Person(subject=by.subject, roles=by.roles, email=by.email)
