"""Queries on conversations and what was said in them."""

from sqlalchemy import Connection, delete, select, update

from perdure.services.agents.models import Conversation, Message
from perdure.services.agents.store import add, contexts, executions, made, messages, values


def context(connection: Connection, tenant: str, id: str, *, lock: bool = False) -> Conversation | None:
    query = select(contexts).where(contexts.c.tenant == tenant, contexts.c.id == id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else made(contexts, Conversation, row)


def find_contexts(
    connection: Connection, tenant: str, *, agent: str | None, after: str, limit: int, project: str = ""
) -> list[Conversation]:
    """The newest first, those before the id `after`."""
    query = select(contexts).where(contexts.c.tenant == tenant)
    if agent is not None:
        query = query.where(contexts.c.agent == agent)
    if project:
        query = query.where(contexts.c.project == project)
    if after:
        query = query.where(contexts.c.id < after)
    rows = connection.execute(query.order_by(contexts.c.id.desc()).limit(limit)).mappings()
    return [made(contexts, Conversation, row) for row in rows]


def add_context(connection: Connection, tenant: str, found: Conversation) -> None:
    add(connection, tenant, contexts, found)


def put_context(connection: Connection, tenant: str, found: Conversation) -> None:
    this = (contexts.c.tenant == tenant, contexts.c.id == found.id)
    connection.execute(update(contexts).where(*this).values(values(contexts, found)))


def drop_context(connection: Connection, tenant: str, id: str) -> None:
    """With all that was said in it; its executions stay, without their input."""
    connection.execute(delete(messages).where(messages.c.tenant == tenant, messages.c.context == id))
    connection.execute(delete(contexts).where(contexts.c.tenant == tenant, contexts.c.id == id))
    this = (executions.c.tenant == tenant, executions.c.context == id)
    connection.execute(update(executions).where(*this).values(input="null"))


def add_message(connection: Connection, tenant: str, one: Message) -> None:
    add(connection, tenant, messages, one)


def find_messages(
    connection: Connection, tenant: str, context: str, *, after: int = 0, until: int = 2**31 - 1, limit: int = 1000
) -> list[Message]:
    """In order, those behind the number `after`, to the number `until`."""
    query = select(messages).where(
        messages.c.tenant == tenant, messages.c.context == context, messages.c.number > after,
        messages.c.number <= until,
    )  # fmt: skip
    rows = connection.execute(query.order_by(messages.c.number).limit(limit)).mappings()
    return [made(messages, Message, row) for row in rows]


def newest_messages(connection: Connection, tenant: str, context: str, limit: int) -> list[Message]:
    """The newest `limit` messages, in order."""
    query = select(messages).where(messages.c.tenant == tenant, messages.c.context == context)
    rows = connection.execute(query.order_by(messages.c.number.desc()).limit(limit)).mappings()
    return [made(messages, Message, row) for row in rows][::-1]
