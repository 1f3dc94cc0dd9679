"""The agents service over HTTP: agents and prompts here, the other nouns in the modules beside."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath

from perdure.ports.edge import Caller, caller, permission
from perdure.ports.shapes import Line
from perdure.services.agents import routes_chat, routes_spending, shapes
from perdure.services.agents.agents import Definitions
from perdure.services.agents.models import AgentState
from perdure.services.agents.prompts import Prompts
from perdure.services.agents.whole import Agents
from perdure.services.agents.within import Within

By = Annotated[Caller, Depends(caller)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=200, pattern=Line, description="`next` of the page before.")]
Below = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="`next` of the page before.")]
Id = Annotated[str, InPath(min_length=1, max_length=64, pattern=Line, examples=["researcher"])]
Version = Annotated[int, InPath(ge=1, le=2**31 - 1)]
_READ, _WRITE = permission("agents:read"), permission("agents:write")
_READ_WITHIN, _WRITE_WITHIN = permission("agents:read", project=True), permission("agents:write", project=True)
_LAST = 2**31 - 1


def router(service: Agents) -> APIRouter:
    """Everything of the service under one prefix."""
    all_routes = APIRouter()
    within = Within(service.definitions, service.executions, service.contexts)
    for part in (
        _agents(service.definitions, within),
        _versions(service.definitions, within),
        routes_chat.router(service.definitions, service.executions, service.contexts, within),
    ):
        all_routes.include_router(part, dependencies=[Depends(within)])
    money = routes_spending.router(service.records, service.budgets, service.accounts.bills)
    for part in (_prompts(service.prompts), money):
        all_routes.include_router(part)
    return all_routes


def _agents(definitions: Definitions, within: Within) -> APIRouter:
    routes = APIRouter(prefix="/agents", tags=["agents"])

    @routes.get("", openapi_extra=_READ_WITHIN)
    async def find(
        by: By, state: Annotated[list[AgentState], Query(default_factory=list)], limit: Limit = 100, cursor: Cursor = ""
    ) -> shapes.Agents:
        """Agents in order of their names."""
        found = await definitions.find(by.tenant, after=cursor, limit=limit, states=tuple(state), project=by.project)
        next = found[-1].id if len(found) == limit else None
        return shapes.Agents(items=[shapes.AgentShape.of(one) for one in found], next=next)

    @routes.post("", status_code=201, openapi_extra=_WRITE_WITHIN)
    async def create(given: shapes.NewAgent, by: By) -> shapes.WholeVersion:
        """Make an agent, with its first version."""
        await within.check_tools(by, given.definition())
        made = await definitions.create(
            by.tenant, by.subject, given.name, given.definition(), description=given.description, project=by.project
        )
        return shapes.WholeVersion.of(made)

    @routes.get("/{id}", openapi_extra=_READ_WITHIN)
    async def get(id: Id, by: By) -> shapes.AgentShape:
        """One agent."""
        return shapes.AgentShape.of(await definitions.get(by.tenant, id))

    @routes.post("/{id}/archive", openapi_extra=_WRITE_WITHIN)
    async def archive(id: Id, by: By) -> shapes.AgentShape:
        """Let it answer no more. Executions under way go on."""
        return shapes.AgentShape.of(await definitions.change_state(by.tenant, by.subject, id, "archived"))

    @routes.post("/{id}/restore", openapi_extra=_WRITE_WITHIN)
    async def restore(id: Id, by: By) -> shapes.AgentShape:
        """Let it answer again."""
        return shapes.AgentShape.of(await definitions.change_state(by.tenant, by.subject, id, "active"))

    return routes


def _versions(definitions: Definitions, within: Within) -> APIRouter:
    routes = APIRouter(prefix="/agents", tags=["agents"])

    @routes.get("/{id}/versions", openapi_extra=_READ_WITHIN)
    async def versions(id: Id, by: By, limit: Limit = 100, cursor: Below = None) -> shapes.Versions:
        """Its versions, the newest first."""
        found = await definitions.versions(by.tenant, id, before=cursor or _LAST, limit=limit)
        next = str(found[-1].number) if len(found) == limit else None
        return shapes.Versions(items=[shapes.VersionShape.of(one) for one in found], next=next)

    @routes.post("/{id}/versions", status_code=201, openapi_extra=_WRITE_WITHIN)
    async def add(id: Id, given: shapes.DefinitionShape, by: By) -> shapes.WholeVersion:
        """The next version. Earlier ones stay as they are."""
        await within.check_tools(by, given.definition())
        return shapes.WholeVersion.of(await definitions.add_version(by.tenant, by.subject, id, given.definition()))

    @routes.get("/{id}/versions/{version}", openapi_extra=_READ_WITHIN)
    async def version(id: Id, version: Version, by: By) -> shapes.WholeVersion:
        """One version, with the document that its executions run."""
        return shapes.WholeVersion.of(await definitions.version(by.tenant, id, version))

    return routes


def _prompts(prompts: Prompts) -> APIRouter:
    routes = APIRouter(prefix="/prompts", tags=["agents"])

    @routes.get("", openapi_extra=_READ)
    async def find(by: By, limit: Limit = 100, cursor: Cursor = "") -> shapes.Prompts:
        """The newest version of each prompt, in order of their names."""
        found = await prompts.find(by.tenant, after=cursor, limit=limit)
        next = found[-1].name if len(found) == limit else None
        return shapes.Prompts(items=[shapes.PromptShape.of(one) for one in found], next=next)

    @routes.post("", status_code=201, openapi_extra=_WRITE)
    async def write(given: shapes.NewPrompt, by: By) -> shapes.PromptShape:
        """A prompt, or its next version."""
        return shapes.PromptShape.of(await prompts.write(by.tenant, by.subject, given.name, given.text))

    @routes.get("/{id}", openapi_extra=_READ)
    async def get(id: Id, by: By) -> shapes.PromptShape:
        """Its newest version."""
        return shapes.PromptShape.of(await prompts.get(by.tenant, id))

    @routes.get("/{id}/versions", openapi_extra=_READ)
    async def versions(id: Id, by: By, limit: Limit = 100, cursor: Below = None) -> shapes.Prompts:
        """Its versions, the newest first."""
        found = await prompts.versions(by.tenant, id, before=cursor or _LAST, limit=limit)
        next = str(found[-1].version) if len(found) == limit else None
        return shapes.Prompts(items=[shapes.PromptShape.of(one) for one in found], next=next)

    @routes.get("/{id}/versions/{version}", openapi_extra=_READ)
    async def version(id: Id, version: Version, by: By) -> shapes.PromptShape:
        """One version."""
        return shapes.PromptShape.of(await prompts.get(by.tenant, id, version))

    return routes
