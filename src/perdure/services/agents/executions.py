"""Executions: an agent answers. Each is a run of the engine, so it survives whatever happens to this process.

What was said and the execution are one transaction, and the run is started after it: whoever is killed in between finds
the execution when it comes back, and starts the same run. When a run ends its answer becomes a message of its context.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from perdure.errors import Conflict, Invalid, NotFound, PerdureError, Unavailable
from perdure.language.values import Json, canonical
from perdure.ports.database import EVERY, Transaction
from perdure.ports.edge import Sent
from perdure.ports.engine import Run
from perdure.ports.spending import MODELS, account
from perdure.services.agents import events, store_agents, store_contexts
from perdure.services.agents.agents import Definitions
from perdure.services.agents.contexts import unknown
from perdure.services.agents.live import Live
from perdure.services.agents.models import Conversation, Execution, Message, Version, checked_text, run_id
from perdure.services.agents.service import Ground

_log = logging.getLogger("perdure.agents")
LONGEST = 200_000
"""Characters of one message."""
_PAUSE = 15.0
_PAGE = 100
_TITLE = 80


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says to an agent."""

    agent: str
    message: str
    version: int | None = None
    context: str = ""
    """Empty: a new one."""
    values: Json = None
    """For the expressions of the agent's prompt."""
    by: str = ""
    key: str = ""
    """The API key, or the user, on whose account it is."""
    project: str = ""
    models: tuple[str, ...] = ()
    """Patterns of the models that the key may use; empty: every model."""
    once: str = ""
    """An idempotency key: the same key is the same execution, in one project."""


class Answer(NamedTuple):
    """What came of an execution."""

    execution: Execution
    run: Run


class Executions:
    """The executions of all tenants."""

    def __init__(self, ground: Ground, definitions: Definitions, live: Live | None) -> None:
        self._ground = ground
        self._definitions = definitions
        self._live = live
        self._watched: dict[tuple[str, str], asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"Executions({len(self._watched)} under way here)"

    # Beginning

    async def begin(self, tenant: str, question: Question) -> Execution:
        """Let an agent answer. When this returns, the run is on disk and comes to its end, whatever happens."""
        checked_text(question.message, "message", LONGEST)
        if not question.message.strip():
            raise Invalid("There is nothing in the message.")
        once = [question.agent, question.once, *filter(None, [question.project])] if question.once else []
        id = run_id(tenant, *(once or [self._ground.id("exe")]))
        known = await self._find(tenant, id) if question.once else None
        version = await self._version(tenant, question, known)
        text = await self._definitions.instruction(tenant, version.definition, question.values or {})
        if known is None:
            known = await self._ground.database.write(tenant, lambda tx: self._record(tx, question, version, id, text))
        elif not await self._is_same(tenant, known, question):
            raise Conflict("Something else was said with this idempotency key.", hint="Choose another key.")
        if known.state == "running":
            await self._start(known, version)
        return known

    async def _version(self, tenant: str, question: Question, known: Execution | None) -> Version:
        if known is not None:
            return await self._definitions.version(tenant, known.agent, known.version)
        found = await self._definitions.get(tenant, question.agent)
        if found.state == "archived":
            raise Conflict(f"The agent {found.id} is archived.", hint="Restore it first.")
        return await self._definitions.version(tenant, question.agent, question.version)

    async def _is_same(self, tenant: str, known: Execution, question: Question) -> bool:
        said = await self._ground.database.read(
            tenant,
            lambda c: store_contexts.find_messages(
                c, tenant, known.context, after=known.message - 1, until=known.message
            ),
        )
        if not said:
            raise Conflict("The context of this execution was deleted.")
        is_there = question.context in {"", known.context} and question.version in {None, known.version}
        return is_there and said[0].content == question.message

    def _record(self, tx: Transaction, question: Question, version: Version, id: str, text: str) -> Execution:
        tenant, now = version.tenant, self._ground.clock.now()
        again = store_agents.execution(tx.connection, tenant, id)
        if again is not None:
            return again
        context = self._context(tx, question, version)
        number = context.size + 1
        told = store_contexts.newest_messages(tx.connection, tenant, context.id, version.definition.memory.messages)
        memory = [{"role": one.role, "content": one.content} for one in told]
        made = Execution(
            tenant=tenant, run=id, agent=version.agent, version=version.number, context=context.id, message=number,
            input={"instruction": text, "input": question.message, "memory": memory}, key=question.key,
            project=question.project or context.project, models=question.models, created=now,
        )  # fmt: skip
        said = Message(
            tenant=tenant, context=context.id, number=number, role="user", content=question.message, run=id, at=now
        )
        store_contexts.add_message(tx.connection, tenant, said)
        store_agents.add_execution(tx.connection, tenant, made)
        changed = msgspec.structs.replace(context, size=number, run=id, updated=now)
        store_contexts.put_context(tx.connection, tenant, changed)
        return made

    def _context(self, tx: Transaction, question: Question, version: Version) -> Conversation:
        tenant, now = version.tenant, self._ground.clock.now()
        if question.context:
            found = store_contexts.context(tx.connection, tenant, question.context, lock=True)
            if found is None:
                raise unknown(question.context)
            if found.agent != version.agent:
                raise Conflict(f"That is a conversation with {found.agent}.", hint="Begin a new context.")
            if found.run:
                raise Conflict("The agent is still answering in this context.", hint="Wait for it, or branch.")
            return found
        line = " ".join(question.message.split())
        title = "".join(letter for letter in line if letter.isprintable())[:_TITLE]
        made = Conversation(
            tenant=tenant, id=self._ground.id("ctx"), agent=version.agent, title=title, project=question.project,
            by=question.by, created=now, updated=now,
        )  # fmt: skip
        store_contexts.add_context(tx.connection, tenant, made)
        return made

    async def _start(self, execution: Execution, version: Version) -> None:
        tenant, run = execution.tenant, execution.run
        try:
            held = account(agent=execution.agent, key=execution.key, project=execution.project)
            if execution.models:
                held[MODELS] = list(execution.models)
            await self._ground.engine.start(tenant, version.document, execution.input, run=run, resources=held)
        except (Invalid, NotFound, Conflict):
            # A function that it calls is gone, say: it will never begin, and its context must not wait for it.
            await self._ground.database.write(tenant, lambda tx: _given_up(tx, execution, self._ground.clock.now()))
            raise
        self._watch(execution, version)

    # Looking

    async def get(self, tenant: str, run: str) -> Execution:
        found = await self._find(tenant, run)
        if found is None:
            raise NotFound(f"There is no execution {run[:80]!r}.")
        return found

    async def _find(self, tenant: str, run: str) -> Execution | None:
        return await self._ground.database.read(tenant, lambda c: store_agents.execution(c, tenant, run))

    async def find(
        self, tenant: str, *, agent: str | None = None, context: str | None = None,
        project: str = "", before: tuple[int, str] | None = None, limit: int = 100,
    ) -> list[Execution]:  # fmt: skip
        """The newest first."""

        def work(connection: Connection) -> list[Execution]:
            return store_agents.find_executions(
                connection, tenant, agent=agent, context=context, project=project, before=before, limit=limit
            )

        return await self._ground.database.read(tenant, work)

    async def wait(self, tenant: str, run: str) -> Answer:
        """Return when it has ended and its answer is in its context."""
        ended = await self._ground.engine.wait(tenant, run)
        return Answer(await self._end(tenant, ended), ended)

    # Ending

    async def _end(self, tenant: str, run: Run) -> Execution:
        """Put the answer into the context, once."""
        now = self._ground.clock.now()

        def work(tx: Transaction) -> Execution:
            found = store_agents.execution(tx.connection, tenant, run.id, lock=True)
            if found is None:
                raise NotFound(f"There is no execution {run.id!r}.")
            if found.state != "running" or run.status not in {"completed", "faulted", "cancelled"}:
                return found
            ended = msgspec.structs.replace(found, state=run.status, ended=run.ended or now)
            if run.status == "completed":
                ended = msgspec.structs.replace(ended, input=None)
            store_agents.put_execution(tx.connection, tenant, ended)
            context = store_contexts.context(tx.connection, tenant, found.context, lock=True)
            if context is not None:
                _answer(tx.connection, context, run, now)
            tx.tell(events.execution_ended(ended))
            return ended

        return await self._ground.database.write(tenant, work)

    def _watch(self, execution: Execution, version: Version) -> None:
        """See to its end in the background, and keep what it says meanwhile."""
        place = (execution.tenant, execution.run)
        if place not in self._watched:
            if self._live is not None:
                self._live.listen(*place, frozenset(version.definition.handover))
            task = self._watched[place] = asyncio.create_task(self._see_to(*place))
            task.add_done_callback(lambda _task: self._watched.pop(place, None))

    async def _see_to(self, tenant: str, run: str) -> None:
        try:
            await self.wait(tenant, run)
        except PerdureError as error:
            _log.info("The execution %s is looked at again later: %s", run, error)

    async def reopened(self, tenant: str, runs: list[str]) -> None:
        """Somebody let faulted runs go on: their answers are waited for again."""
        for run in runs:

            def work(tx: Transaction, run: str = run) -> Execution | None:
                found = store_agents.execution(tx.connection, tenant, run, lock=True)
                if found is None or found.state != "faulted":
                    return None
                opened = msgspec.structs.replace(found, state="running", ended=None)
                store_agents.put_execution(tx.connection, tenant, opened)
                context = store_contexts.context(tx.connection, tenant, found.context, lock=True)
                if context is not None and not context.run:
                    store_contexts.put_context(tx.connection, tenant, msgspec.structs.replace(context, run=run))
                return opened

            if await self._is_faulted(tenant, run):
                continue
            opened = await self._ground.database.write(tenant, work)
            if opened is not None:
                self._watch(opened, await self._definitions.version(tenant, opened.agent, opened.version))

    async def _is_faulted(self, tenant: str, run: str) -> bool:
        try:
            return (await self._ground.engine.describe(tenant, run)).status == "faulted"
        except NotFound:
            return True

    async def run(self) -> None:
        """Take up what a process that died has left, until cancelled. In any number of processes."""
        try:
            while True:
                try:
                    await self.sweep()
                except PerdureError as error:
                    _log.warning("Executions wait: %s", error)
                await self._ground.clock.sleep(_PAUSE)
        finally:
            tasks = list(self._watched.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def sweep(self) -> int:
        """Look at every execution that has not ended; how many there are."""
        count, after = 0, ("", "")
        while found := await self._ground.database.read(
            EVERY,
            lambda c, a=after: store_agents.open_executions(c, EVERY, a, _PAGE),  # type: ignore[misc]
        ):
            for one in found:
                try:
                    await self._take_up(one)
                except Unavailable:
                    raise
                except PerdureError as error:
                    _log.warning("The execution %s cannot be taken up: %s", one.run, error)
            count, after = count + len(found), (found[-1].tenant, found[-1].run)
        return count

    async def _take_up(self, execution: Execution) -> None:
        if (execution.tenant, execution.run) in self._watched:
            return
        version = await self._definitions.version(execution.tenant, execution.agent, execution.version)
        try:
            run = await self._ground.engine.describe(execution.tenant, execution.run)
        except NotFound:
            if execution.input is not None:  # else its context was deleted before it began
                await self._start(execution, version)
            return
        if run.ended is not None:
            await self._end(execution.tenant, run)
        else:
            self._watch(execution, version)

    async def follow(self, execution: Execution, version: Version, last: str) -> AsyncIterator[Sent]:
        """Which execution it is, and what it says behind the event `last`, until it has ended."""
        told = {
            "run": execution.run, "agent": execution.agent, "version": execution.version, "context": execution.context,
        }  # fmt: skip
        yield Sent(data=msgspec.json.encode(told), event="begin")

        async def end() -> dict[str, Any]:
            return await self.outcome(execution.tenant, execution.run)

        assert self._live is not None
        handover = frozenset(version.definition.handover)
        async for sent in self._live.follow(execution.tenant, execution.run, handover, last, end):
            yield sent

    async def outcome(self, tenant: str, run: str) -> dict[str, Any]:
        """How it ended, as clients are told."""
        ended = await self.wait(tenant, run)
        usage = usage_of(await self._ground.engine.history(tenant, run))
        execution = ended.execution
        return {
            "run": run, "agent": execution.agent, "version": execution.version, "context": execution.context,
            "state": execution.state, "output": ended.run.output, "error": ended.run.error, "usage": usage,
        }  # fmt: skip


def _given_up(tx: Transaction, execution: Execution, now: int) -> None:
    found = store_agents.execution(tx.connection, execution.tenant, execution.run, lock=True)
    if found is None or found.state != "running":
        return
    ended = msgspec.structs.replace(found, state="faulted", ended=now)
    store_agents.put_execution(tx.connection, execution.tenant, ended)
    context = store_contexts.context(tx.connection, execution.tenant, found.context, lock=True)
    if context is not None and context.run == found.run:
        store_contexts.put_context(tx.connection, execution.tenant, msgspec.structs.replace(context, run=""))
    tx.tell(events.execution_ended(ended))


def _answer(connection: Connection, context: Conversation, run: Run, now: int) -> None:
    size = context.size
    if run.status == "completed":
        size += 1
        store_contexts.add_message(
            connection, context.tenant,
            Message(
                tenant=context.tenant, context=context.id, number=size, role="assistant", content=said(run.output),
                run=run.id, at=now,
            ),
        )  # fmt: skip
    left = "" if context.run == run.id else context.run
    changed = msgspec.structs.replace(context, size=size, run=left, updated=now)
    store_contexts.put_context(connection, context.tenant, changed)


def said(output: Json) -> str:
    """A final answer as a message: a text as it is, all else as JSON."""
    return output if isinstance(output, str) else canonical(output).decode()


def usage_of(entries: list[Any]) -> dict[str, Any]:
    """What the requests of a history took together."""
    total: dict[str, Any] = {"inputTokens": 0, "outputTokens": 0, "cost": 0.0}
    for entry in entries:
        told = entry.data.get("usage") if entry.type == "task.completed.v1" else None
        if not isinstance(told, dict):
            continue
        for key in total:
            number = told.get(key)
            total[key] += number if isinstance(number, int | float) else 0
    return {**total, "cost": round(total["cost"], 9)}
