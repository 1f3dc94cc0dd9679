"""Agents and their versions: checked when they are made, never changed afterwards."""

from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from perdure.errors import Conflict, Invalid, NotFound, PerdureError
from perdure.interpreter.machine import compile
from perdure.language.check import check
from perdure.language.read import Unreadable, read
from perdure.language.values import Json, canonical
from perdure.ports.database import Transaction
from perdure.services.agents import events, store_agents
from perdure.services.agents.drafting import Draft, Workflow, check_kind
from perdure.services.agents.models import (
    Agent,
    AgentState,
    Definition,
    Tool,
    Version,
    checked_line,
    checked_name,
    checked_text,
)
from perdure.services.agents.prompts import LONGEST, Prompts, filled
from perdure.services.agents.service import Ground


class Definitions:
    """The agents of all tenants."""

    def __init__(self, ground: Ground, prompts: Prompts) -> None:
        self._ground = ground
        self._prompts = prompts

    def __repr__(self) -> str:
        return f"Definitions({self._ground.database!r})"

    # Reading

    async def get(self, tenant: str, id: str) -> Agent:
        found = await self._ground.database.read(tenant, lambda c: store_agents.agent(c, tenant, id))
        if found is None:
            raise _unknown(id)
        return found

    async def find(
        self, tenant: str, *, after: str = "", limit: int = 100, states: tuple[AgentState, ...] = (), project: str = ""
    ) -> list[Agent]:
        """In order of their names; all, or those of a project and of the whole tenant."""

        def work(connection: Connection) -> list[Agent]:
            return store_agents.find_agents(
                connection, tenant, after=after, limit=limit, states=states, project=project
            )

        return await self._ground.database.read(tenant, work)

    async def version(self, tenant: str, id: str, number: int | None = None) -> Version:
        """A version; the newest without a number."""

        def work(connection: Connection) -> Version | None:
            found = store_agents.agent(connection, tenant, id)
            if found is None:
                raise _unknown(id)
            return store_agents.version(connection, tenant, id, number or found.newest)

        found = await self._ground.database.read(tenant, work)
        if found is None:
            raise NotFound(f"The agent {id} has no version {number}.")
        return found

    async def versions(self, tenant: str, id: str, *, before: int = 2**31 - 1, limit: int = 100) -> list[Version]:
        """The newest first."""
        await self.get(tenant, id)
        return await self._ground.database.read(
            tenant, lambda c: store_agents.find_versions(c, tenant, id, before=before, limit=limit)
        )

    # Writing

    async def create(
        self, tenant: str, by: str, id: str, definition: Definition, *, description: str = "", project: str = ""
    ) -> Version:
        """A new agent with its first version. Conflict when there is one of this name with another content."""
        checked_name(id, "an agent")
        checked_line(description, "description", 500)
        return await self._keep(tenant, by, id, definition, first=(description, project))

    async def add_version(self, tenant: str, by: str, id: str, definition: Definition) -> Version:
        """The next version. The newest one again is that version."""
        return await self._keep(tenant, by, id, definition, first=None)

    async def _keep(
        self, tenant: str, by: str, id: str, definition: Definition, *, first: tuple[str, str] | None
    ) -> Version:
        known = await self._ground.database.read(tenant, lambda c: store_agents.agent(c, tenant, id))
        if known is None and first is None:
            raise _unknown(id)
        number = 1 if known is None or first is not None else known.newest + 1
        document = await self._document(tenant, id, number, definition)
        made = Version(
            tenant=tenant, agent=id, number=number, definition=definition, document=document,
            created=self._ground.clock.now(), by=by,
        )  # fmt: skip
        try:
            return await self._ground.database.write(tenant, lambda tx: _add(tx, made, first))
        except IntegrityError:
            raise Conflict("Somebody else wrote this agent at the same moment.", hint="Look at it again.") from None

    async def change_state(self, tenant: str, by: str, id: str, state: AgentState) -> Agent:
        """Archive or restore. Executions under way go on."""
        now = self._ground.clock.now()

        def work(tx: Transaction) -> Agent:
            found = store_agents.agent(tx.connection, tenant, id, lock=True)
            if found is None:
                raise _unknown(id)
            changed = msgspec.structs.replace(found, state=state, updated=now)
            if changed.state != found.state:
                store_agents.put_agent(tx.connection, tenant, changed, is_new=False)
                tx.tell(events.agent_changed(changed, "archived" if state == "archived" else "restored", by))
            return changed

        return await self._ground.database.write(tenant, work)

    # What a version says

    async def _document(self, tenant: str, id: str, number: int, definition: Definition) -> dict[str, Any]:
        await self._check_instruction(tenant, definition)
        workflows: dict[tuple[str, str], Workflow] = {}
        agents: dict[tuple[str, str], Version] = {}
        await self._gather(tenant, definition, workflows, agents)
        document = Draft(workflows, agents).document(id, number, definition)
        _check(document, self._ground.functions)
        return document

    async def _check_instruction(self, tenant: str, definition: Definition) -> None:
        if bool(definition.instruction.strip()) == (definition.prompt is not None):
            raise Invalid("An agent has an `instruction`, or a `prompt` in its place.")
        checked_text(definition.instruction, "instruction", LONGEST)
        if definition.prompt is not None:
            await self._prompts.get(tenant, definition.prompt.name, definition.prompt.version)
        if not 0 <= definition.memory.messages <= 1_000:
            raise Invalid("`memory.messages` is 0 to 1,000.")

    async def _gather(
        self, tenant: str, definition: Definition, workflows: dict[tuple[str, str], Workflow],
        agents: dict[tuple[str, str], Version],
    ) -> None:  # fmt: skip
        """Find what tools name, and what those name in turn. Versions name only what was there before: this ends."""
        wanted = [tool for tool in definition.tools if isinstance(tool, Tool)]
        wanted += [Tool(agent=name) for name in definition.handover]
        for tool in wanted:
            check_kind(tool)
            if tool.workflow:
                version, document = await self._ground.workflow(tenant, tool.workflow, tool.version or None)
                workflows[tool.workflow, tool.version] = Workflow(tool.workflow, version, document)
            elif tool.agent and (tool.agent, tool.version) not in agents:
                if tool.version and not (tool.version.isascii() and tool.version.isdecimal()):
                    raise Invalid(f"The version of an agent is a number, not {tool.version[:40]!r}.")
                found = await self.version(tenant, tool.agent, int(tool.version) if tool.version else None)
                text = await self.instruction(tenant, found.definition, {})
                whole = msgspec.structs.replace(found.definition, instruction=text, prompt=None)
                agents[tool.agent, tool.version] = msgspec.structs.replace(found, definition=whole)
                await self._gather(tenant, found.definition, workflows, agents)

    async def instruction(self, tenant: str, definition: Definition, values: Json) -> str:
        """What an agent is told to do, its prompt filled in."""
        if definition.prompt is None:
            return definition.instruction
        template = await self._prompts.get(tenant, definition.prompt.name, definition.prompt.version)
        return filled(template.text, values)


def _check(document: dict[str, Any], functions: Any) -> None:
    """Invalid with the first thing that is wrong, in words of the agent."""
    try:
        findings = check(read(canonical(document)), functions=functions)
    except Unreadable as error:
        raise Invalid(f"The agent cannot be read: {error.message}", hint=error.hint) from None
    # The specification has no way to pass a whole input on to a workflow; our machine has (`interpreter/tasks/run.py`).
    wrong = [
        finding
        for finding in findings
        if finding.severity == "error" and not finding.pointer.endswith("/run/workflow/input")
    ]
    if wrong:
        place = wrong[0].pointer.rpartition("/with/")[2] or wrong[0].pointer
        raise Invalid(f"The agent does not fit at {place}: {wrong[0].message}", hint=wrong[0].hint)
    try:
        compile(document, {}, functions)
    except PerdureError as error:
        raise Invalid(f"The agent does not fit: {error.message}", hint=error.hint) from None


def _add(tx: Transaction, made: Version, first: tuple[str, str] | None) -> Version:
    tenant, now = made.tenant, made.created
    found = store_agents.agent(tx.connection, tenant, made.agent, lock=True)
    newest = None if found is None else store_agents.version(tx.connection, tenant, made.agent, found.newest)
    if found is not None and newest is not None:
        if first is not None and (found.newest != 1 or newest.definition != made.definition):
            raise Conflict(f"There is an agent {made.agent}.", hint="Add a version to it, or choose another name.")
        if found.state == "archived":
            raise Conflict(f"The agent {made.agent} is archived.", hint="Restore it first.")
        if newest.definition == made.definition:
            return newest
        agent = msgspec.structs.replace(found, newest=made.number, updated=now)
    else:
        description, project = first or ("", "")
        agent = Agent(
            tenant=tenant, id=made.agent, newest=1, description=description, project=project, created=now, updated=now
        )
    store_agents.add_version(tx.connection, tenant, made)
    store_agents.put_agent(tx.connection, tenant, agent, is_new=found is None)
    tx.tell(events.agent_changed(agent, "created" if found is None else "version", made.by))
    return made


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no agent {id[:80]!r}.")
