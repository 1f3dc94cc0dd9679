"""Queries on agents, their versions, their executions, and prompts."""

from sqlalchemy import Connection, func, select, update

from perdure.ports.database import EVERY
from perdure.services.agents.models import Agent, AgentState, Execution, Template, Version
from perdure.services.agents.store import add, agents, executions, made, prompts, values, versions


def agent(connection: Connection, tenant: str, id: str, *, lock: bool = False) -> Agent | None:
    query = select(agents).where(agents.c.tenant == tenant, agents.c.id == id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else made(agents, Agent, row)


def find_agents(
    connection: Connection, tenant: str, *, after: str, limit: int, states: tuple[AgentState, ...], project: str = ""
) -> list[Agent]:
    """In order of their names, those behind `after`."""
    query = select(agents).where(agents.c.tenant == tenant, agents.c.id > after)
    if states:
        query = query.where(agents.c.state.in_(states))
    if project:
        query = query.where(agents.c.project.in_(["", project]))
    rows = connection.execute(query.order_by(agents.c.id).limit(limit)).mappings()
    return [made(agents, Agent, row) for row in rows]


def put_agent(connection: Connection, tenant: str, found: Agent, *, is_new: bool) -> None:
    if is_new:
        add(connection, tenant, agents, found)
    else:
        this = (agents.c.tenant == tenant, agents.c.id == found.id)
        connection.execute(update(agents).where(*this).values(values(agents, found)))


def version(connection: Connection, tenant: str, agent: str, number: int) -> Version | None:
    query = select(versions).where(versions.c.tenant == tenant, versions.c.agent == agent, versions.c.number == number)
    row = connection.execute(query).mappings().first()
    return None if row is None else made(versions, Version, row)


def find_versions(connection: Connection, tenant: str, agent: str, *, before: int, limit: int) -> list[Version]:
    """The newest first, those below the number `before`."""
    query = select(versions).where(versions.c.tenant == tenant, versions.c.agent == agent, versions.c.number < before)
    rows = connection.execute(query.order_by(versions.c.number.desc()).limit(limit)).mappings()
    return [made(versions, Version, row) for row in rows]


def add_version(connection: Connection, tenant: str, found: Version) -> None:
    add(connection, tenant, versions, found)


# Executions


def execution(connection: Connection, tenant: str, run: str, *, lock: bool = False) -> Execution | None:
    query = select(executions).where(executions.c.tenant == tenant, executions.c.run == run)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else made(executions, Execution, row)


def find_executions(
    connection: Connection, tenant: str, *, agent: str | None, context: str | None, before: tuple[int, str] | None,
    limit: int, project: str = "",
) -> list[Execution]:  # fmt: skip
    """The newest first, those before (created, run)."""
    query = select(executions).where(executions.c.tenant == tenant)
    if agent is not None:
        query = query.where(executions.c.agent == agent)
    if context is not None:
        query = query.where(executions.c.context == context)
    if project:
        query = query.where(executions.c.project == project)
    if before is not None:
        at, run = before
        query = query.where((executions.c.created < at) | ((executions.c.created == at) & (executions.c.run < run)))
    ordered = query.order_by(executions.c.created.desc(), executions.c.run.desc()).limit(limit)
    return [made(executions, Execution, row) for row in connection.execute(ordered).mappings()]


def open_executions(connection: Connection, tenant: str, after: tuple[str, str], limit: int) -> list[Execution]:
    """Those of all tenants that have not ended, in a fixed order, behind (tenant, run)."""
    assert tenant == EVERY
    owner, run = after
    query = select(executions).where(
        executions.c.state == "running",
        (executions.c.tenant > owner) | ((executions.c.tenant == owner) & (executions.c.run > run)),
    )
    rows = connection.execute(query.order_by(executions.c.tenant, executions.c.run).limit(limit)).mappings()
    return [made(executions, Execution, row) for row in rows]


def add_execution(connection: Connection, tenant: str, found: Execution) -> None:
    add(connection, tenant, executions, found)


def put_execution(connection: Connection, tenant: str, found: Execution) -> None:
    this = (executions.c.tenant == tenant, executions.c.run == found.run)
    connection.execute(update(executions).where(*this).values(values(executions, found)))


# Prompts


def prompt(connection: Connection, tenant: str, name: str, version: int | None = None) -> Template | None:
    """A version; the newest without a number."""
    query = select(prompts).where(prompts.c.tenant == tenant, prompts.c.name == name)
    if version is not None:
        query = query.where(prompts.c.version == version)
    row = connection.execute(query.order_by(prompts.c.version.desc()).limit(1)).mappings().first()
    return None if row is None else made(prompts, Template, row)


def find_prompts(connection: Connection, tenant: str, *, after: str, limit: int) -> list[Template]:
    """The newest version of each, in order of their names."""
    newest = (
        select(prompts.c.name, func.max(prompts.c.version).label("version"))
        .where(prompts.c.tenant == tenant, prompts.c.name > after)
        .group_by(prompts.c.name)
        .order_by(prompts.c.name)
        .limit(limit)
        .subquery()
    )
    query = (
        select(prompts)
        .join(newest, (prompts.c.name == newest.c.name) & (prompts.c.version == newest.c.version))
        .where(prompts.c.tenant == tenant)
        .order_by(prompts.c.name)
    )
    return [made(prompts, Template, row) for row in connection.execute(query).mappings()]


def prompt_versions(connection: Connection, tenant: str, name: str, *, before: int, limit: int) -> list[Template]:
    """The newest first."""
    query = select(prompts).where(prompts.c.tenant == tenant, prompts.c.name == name, prompts.c.version < before)
    rows = connection.execute(query.order_by(prompts.c.version.desc()).limit(limit)).mappings()
    return [made(prompts, Template, row) for row in rows]


def add_prompt(connection: Connection, tenant: str, found: Template) -> None:
    add(connection, tenant, prompts, found)
