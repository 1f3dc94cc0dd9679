"""Queries on webhooks and the messages that they took. Secrets are sealed before they come here."""

from sqlalchemy import Connection, delete, insert, select, update

from perdure.ports.database import EVERY
from perdure.services.workflows.models import Webhook
from perdure.services.workflows.store import made, receipts, values, webhooks


def webhook(connection: Connection, tenant: str, id: str) -> Webhook | None:
    query = select(webhooks).where(webhooks.c.tenant == tenant, webhooks.c.id == id)
    row = connection.execute(query).mappings().first()
    return None if row is None else made(webhooks, Webhook, row)


def secrets_of(connection: Connection, tenant: str, id: str) -> tuple[Webhook, bytes, bytes | None] | None:
    """A webhook with its sealed secret and the one before. For EVERY: whose it is shows only in the row itself."""
    query = select(webhooks).where(webhooks.c.id == id)
    if tenant != EVERY:
        query = query.where(webhooks.c.tenant == tenant)
    row = connection.execute(query).mappings().first()
    return None if row is None else (made(webhooks, Webhook, row), row["secret"], row["earlier"])


def find_webhooks(connection: Connection, tenant: str, *, after: str, limit: int, project: str = "") -> list[Webhook]:
    """The newest first, those before the id `after`."""
    query = select(webhooks).where(webhooks.c.tenant == tenant)
    if after:
        query = query.where(webhooks.c.id < after)
    if project:
        query = query.where(webhooks.c.workflow.startswith(f"{project}.", autoescape=True))
    rows = connection.execute(query.order_by(webhooks.c.id.desc()).limit(limit)).mappings()
    return [made(webhooks, Webhook, row) for row in rows]


def add_webhook(connection: Connection, tenant: str, found: Webhook, secret: bytes) -> None:
    connection.execute(insert(webhooks).values(values(webhooks, found, secret=secret)))


def put_webhook(connection: Connection, tenant: str, found: Webhook, secret: bytes, earlier: bytes | None) -> bool:
    this = (webhooks.c.tenant == tenant, webhooks.c.id == found.id)
    row = values(webhooks, found, secret=secret, earlier=earlier)
    return connection.execute(update(webhooks).where(*this).values(row)).rowcount > 0


def drop_webhook(connection: Connection, tenant: str, id: str) -> bool:
    connection.execute(delete(receipts).where(receipts.c.tenant == tenant, receipts.c.hook == id))
    gone = connection.execute(delete(webhooks).where(webhooks.c.tenant == tenant, webhooks.c.id == id))
    return gone.rowcount > 0


def is_received(connection: Connection, tenant: str, hook: str, message: str) -> bool:
    """Whether this attempt at a message was taken before."""
    known = select(receipts.c.at).where(
        receipts.c.tenant == tenant, receipts.c.hook == hook, receipts.c.message == message
    )
    return connection.execute(known).first() is not None


def receive(connection: Connection, tenant: str, hook: str, message: str, now: int) -> None:
    """Remember an attempt at a message. IntegrityError when it was taken meanwhile."""
    connection.execute(insert(receipts).values(tenant=tenant, hook=hook, message=message, at=now))


def forget_receipts(connection: Connection, tenant: str, before: int) -> int:
    """Drop what all tenants received before a moment: its signatures are too old by now."""
    assert tenant == EVERY
    return connection.execute(delete(receipts).where(receipts.c.at < before)).rowcount
