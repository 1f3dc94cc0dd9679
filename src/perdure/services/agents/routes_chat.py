"""Talking to agents over HTTP: chat, executions and contexts."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as InPath

from perdure.errors import Invalid, NotFound
from perdure.ports.edge import IDEMPOTENCY, LIMIT, Caller, Sent, caller, permission, stream
from perdure.ports.shapes import Line
from perdure.services.agents import shapes
from perdure.services.agents.agents import Definitions
from perdure.services.agents.contexts import Contexts
from perdure.services.agents.executions import Executions, Question
from perdure.services.agents.models import Execution, Version
from perdure.services.agents.within import Within

By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=200, pattern=Line, description="`next` of the page before.")]
Id = Annotated[str, InPath(min_length=1, max_length=64, pattern=Line, examples=["researcher"])]
Run = Annotated[str, InPath(min_length=1, max_length=200, pattern=Line)]
_READ, _RUN = permission("agents:read", project=True), permission("agents:run", project=True)
_SENT: dict[str, Any] = {
    "type": "object",
    "description": "One server-sent event: `begin` {run, context, ...}, `text` {turn, text}, `reset` {turn, text}, `tool` {tool, state}, `end`.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}, "id": {"type": "string"}},
}
_STREAM: dict[str, Any] = {"text/event-stream": {"schema": _SENT}}
_LAST: dict[str, Any] = {
    "name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 256},
    "description": "The id of the last event seen: the stream goes on behind it.",
}  # fmt: skip
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key", "in": "header", "required": False, "description": "The same key is the same execution.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}  # fmt: skip


def router(definitions: Definitions, executions: Executions, contexts: Contexts, within: Within) -> APIRouter:
    """Everything about conversations."""
    all_routes = APIRouter(tags=["agents"])
    for part in (_chat(definitions, executions, within), _executions(definitions, executions), _contexts(contexts)):
        all_routes.include_router(part)
    return all_routes


def _chat(definitions: Definitions, executions: Executions, within: Within) -> APIRouter:
    routes = APIRouter(prefix="/agents")

    @routes.post(
        "/{id}/chat",
        response_model=shapes.Outcome,
        responses={200: {"description": "The answer, or its events.", "content": _STREAM}},
        openapi_extra={**_RUN, LIMIT: "run", IDEMPOTENCY: "own", "parameters": [_KEY, _LAST]},
    )
    async def chat(id: Id, given: shapes.Chat, by: By, request: Request) -> Response | shapes.Outcome:
        """Say something to an agent. When this answers or streams, the answer comes to its end, whatever happens."""
        once = request.headers.get("idempotency-key", "")
        if len(once) > 255 or not once.isprintable():
            raise Invalid("An idempotency key has 255 printable characters at most.")
        await within.check_context(by, given.context or "")
        question = Question(
            agent=id, message=given.message, version=given.version, context=given.context, values=given.values,
            by=by.subject, key=by.key or by.subject, project=by.project, models=by.models, once=once,
        )  # fmt: skip
        begun = await executions.begin(by.tenant, question)
        if given.stream:
            version = await definitions.version(by.tenant, begun.agent, begun.version)
            return _followed(executions, begun, version, request)
        if not given.wait:
            return shapes.Outcome(
                run=begun.run, agent=begun.agent, version=begun.version, context=begun.context, state=begun.state
            )
        return shapes.Outcome(**await executions.outcome(by.tenant, begun.run))

    return routes


def _followed(executions: Executions, one: Execution, version: Version, request: Request) -> Response:
    def follow(last: str) -> AsyncIterator[Sent]:
        return executions.follow(one, version, last)

    return stream(request, follow)


def _executions(definitions: Definitions, executions: Executions) -> APIRouter:
    routes = APIRouter(prefix="/agents/{id}/executions")

    @routes.get("", openapi_extra=_READ)
    async def find(
        id: Id,
        by: By,
        context: Annotated[str, Query(max_length=64, pattern=Line)] = "",
        limit: Limit = 100,
        cursor: Cursor = "",
    ) -> shapes.Executions:
        """What the agent answered, the newest first."""
        await definitions.get(by.tenant, id)
        before = _place(cursor) if cursor else None
        found = await executions.find(
            by.tenant, agent=id, context=context or None, project=by.project, before=before, limit=limit
        )
        next = f"{found[-1].created}:{found[-1].run}" if len(found) == limit else None
        return shapes.Executions(items=[shapes.ExecutionShape.of(one) for one in found], next=next)

    @routes.get("/{run}", openapi_extra=_READ)
    async def get(id: Id, run: Run, by: By) -> shapes.ExecutionShape:
        """One execution. Its history is that of the run with the same id."""
        return shapes.ExecutionShape.of(await _of(executions, by.tenant, id, run))

    @routes.get(
        "/{run}/stream",
        openapi_extra={**_READ, LIMIT: "stream", "parameters": [_LAST]},
        response_class=Response,
        responses={200: {"description": "What it says and does.", "content": _STREAM}},
    )
    async def follow(id: Id, run: Run, by: By, request: Request) -> Response:
        """Everything that the agent says, from the beginning or behind `Last-Event-ID`, until its end."""
        found = await _of(executions, by.tenant, id, run)
        version = await definitions.version(by.tenant, found.agent, found.version)
        return _followed(executions, found, version, request)

    return routes


async def _of(executions: Executions, tenant: str, agent: str, run: str) -> Execution:
    found = await executions.get(tenant, run)
    if found.agent != agent:
        raise NotFound(f"There is no execution {run[:80]!r} of {agent}.")
    return found


def _place(cursor: str) -> tuple[int, str]:
    at, colon, run = cursor.partition(":")
    if not (colon and at.isascii() and at.isdecimal() and len(at) < 16):
        raise Invalid("That is no cursor of this list.", hint="Use `next` of the page before.")
    return int(at), run


def _contexts(contexts: Contexts) -> APIRouter:
    routes = APIRouter(prefix="/contexts")

    @routes.get("", openapi_extra=_READ)
    async def find(
        by: By,
        agent: Annotated[str, Query(max_length=64, pattern=Line)] = "",
        limit: Limit = 100,
        cursor: Cursor = "",
    ) -> shapes.Contexts:
        """Conversations, the newest first."""
        found = await contexts.find(by.tenant, agent=agent or None, project=by.project, after=cursor, limit=limit)
        next = found[-1].id if len(found) == limit else None
        return shapes.Contexts(items=[shapes.ContextShape.of(one) for one in found], next=next)

    @routes.get("/{id}", openapi_extra=_READ)
    async def get(id: Id, by: By) -> shapes.ContextShape:
        """One conversation."""
        return shapes.ContextShape.of(await contexts.get(by.tenant, id))

    @routes.get("/{id}/messages", openapi_extra=_READ)
    async def messages(
        id: Id,
        by: By,
        limit: Limit = 100,
        cursor: Annotated[int, Query(ge=0, le=2**31 - 1, description="The number of the last message seen.")] = 0,
    ) -> shapes.Messages:
        """What was said, in order."""
        found = await contexts.messages(by.tenant, id, after=cursor, limit=limit)
        next = str(found[-1].number) if len(found) == limit else None
        return shapes.Messages(items=[shapes.MessageShape.of(one) for one in found], next=next)

    @routes.post("/{id}/branch", status_code=201, openapi_extra=_RUN)
    async def branch(id: Id, given: shapes.Branch, by: By) -> shapes.ContextShape:
        """A conversation of its own with what was said up to a message."""
        made = await contexts.branch(by.tenant, by.subject, id, given.message, given.title)
        return shapes.ContextShape.of(made)

    @routes.delete("/{id}", status_code=204, openapi_extra=_RUN)
    async def delete(id: Id, by: By) -> None:
        """Delete what was said. Histories of runs end by their own retention."""
        await contexts.delete(by.tenant, by.subject, id)

    return routes
