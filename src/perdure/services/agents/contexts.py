"""Contexts: conversations with an agent, read, branched and deleted. They grow by executions (`executions.py`)."""

import msgspec
from sqlalchemy import Connection

from perdure.errors import Conflict, Invalid, NotFound
from perdure.ports.database import Transaction
from perdure.services.agents import events, store_contexts
from perdure.services.agents.models import Conversation, Message, checked_line
from perdure.services.agents.service import Ground

_PAGE = 1_000


class Contexts:
    """The conversations of all tenants."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def __repr__(self) -> str:
        return f"Contexts({self._ground.database!r})"

    async def get(self, tenant: str, id: str) -> Conversation:
        found = await self._ground.database.read(tenant, lambda c: store_contexts.context(c, tenant, id))
        if found is None:
            raise unknown(id)
        return found

    async def find(
        self, tenant: str, *, agent: str | None = None, project: str = "", after: str = "", limit: int = 100
    ) -> list[Conversation]:
        """The newest first."""
        return await self._ground.database.read(
            tenant,
            lambda c: store_contexts.find_contexts(c, tenant, agent=agent, project=project, after=after, limit=limit),
        )

    async def messages(self, tenant: str, id: str, *, after: int = 0, limit: int = 100) -> list[Message]:
        """In order, those behind the number `after`."""

        def work(connection: Connection) -> list[Message]:
            if store_contexts.context(connection, tenant, id) is None:
                raise unknown(id)
            return store_contexts.find_messages(connection, tenant, id, after=after, limit=limit)

        return await self._ground.database.read(tenant, work)

    async def branch(self, tenant: str, by: str, id: str, message: int | None = None, title: str = "") -> Conversation:
        """A new context with what was said up to and with a message (the last one by default); both go on apart."""
        checked_line(title, "title", 200)
        now, new = self._ground.clock.now(), self._ground.id("ctx")

        def work(tx: Transaction) -> Conversation:
            found = store_contexts.context(tx.connection, tenant, id)
            if found is None:
                raise unknown(id)
            last = found.size if message is None else message
            if not 0 < last <= found.size:
                raise Invalid(f"The context has {found.size} messages; it cannot be branched from number {last}.")
            made = Conversation(
                tenant=tenant, id=new, agent=found.agent, title=title or found.title, project=found.project, by=by,
                origin=id, origin_message=last, size=last, created=now, updated=now,
            )  # fmt: skip
            store_contexts.add_context(tx.connection, tenant, made)
            after = 0
            while some := store_contexts.find_messages(tx.connection, tenant, id, after=after, until=last, limit=_PAGE):
                for one in some:
                    store_contexts.add_message(tx.connection, tenant, msgspec.structs.replace(one, context=new))
                after = some[-1].number
            return made

        return await self._ground.database.write(tenant, work)

    async def delete(self, tenant: str, by: str, id: str) -> None:
        """Delete what was said. An answer under way is cancelled; histories of runs end by their own retention."""
        found = await self.get(tenant, id)
        if found.run:
            try:
                await self._ground.engine.cancel(tenant, found.run)
            except (Conflict, NotFound):
                pass  # it has ended, or never began

        def work(tx: Transaction) -> None:
            store_contexts.drop_context(tx.connection, tenant, id)
            tx.tell(events.context_deleted(found, by))

        await self._ground.database.write(tenant, work)


def unknown(id: str) -> NotFound:
    return NotFound(f"There is no context {id[:80]!r}.")
