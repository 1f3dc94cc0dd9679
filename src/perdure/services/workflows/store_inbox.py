"""Queries on the questions to people, and on who may answer them."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, insert, select, update

from perdure.ports.database import EVERY
from perdure.services.workflows.models import Item, ItemState
from perdure.services.workflows.store import addressees, items, made, values

EVERYBODY = "*"


def item(connection: Connection, tenant: str, id: str, *, lock: bool = False) -> Item | None:
    query = select(items).where(items.c.tenant == tenant, items.c.id == id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else made(items, Item, row)


def item_of(connection: Connection, tenant: str, source: str, request: str) -> Item | None:
    """By the event that asked."""
    query = select(items).where(items.c.tenant == tenant, items.c.source == source, items.c.request == request)
    row = connection.execute(query).mappings().first()
    return None if row is None else made(items, Item, row)


def find_items(
    connection: Connection,
    tenant: str,
    *,
    after: str,
    limit: int,
    states: tuple[ItemState, ...] = (),
    whose: Iterable[str] | None = None,
    run: str | None = None,
    project: str = "",
) -> list[Item]:
    """The newest first, those before the id `after`; only those that one of `whose` may decide."""
    query = select(items).where(items.c.tenant == tenant)
    if after:
        query = query.where(items.c.id < after)
    if states:
        query = query.where(items.c.state.in_(states))
    if run is not None:
        query = query.where(items.c.run == run)
    if project:
        query = query.where(items.c.source.startswith(f"/{project}/", autoescape=True))
    if whose is not None:
        mine = select(addressees.c.item).where(addressees.c.tenant == tenant, addressees.c.who.in_([*whose, EVERYBODY]))
        query = query.where(items.c.id.in_(mine))
    rows = connection.execute(query.order_by(items.c.id.desc()).limit(limit)).mappings()
    return [made(items, Item, row) for row in rows]


def add_item(connection: Connection, tenant: str, found: Item, look: int | None) -> None:
    connection.execute(insert(items).values(values(items, found, look=look)))
    address(connection, tenant, found.id, found.to)


def put_item(connection: Connection, tenant: str, found: Item, states: frozenset[ItemState], look: int | None) -> bool:
    """Write an item that was in one of these states. False: somebody else was faster."""
    this = (items.c.tenant == tenant, items.c.id == found.id, items.c.state.in_(states))
    return connection.execute(update(items).where(*this).values(values(items, found, look=look))).rowcount > 0


def address(connection: Connection, tenant: str, item: str, to: tuple[str, ...]) -> None:
    """From now on these may decide it."""
    connection.execute(delete(addressees).where(addressees.c.tenant == tenant, addressees.c.item == item))
    rows = [{"tenant": tenant, "item": item, "who": who} for who in dict.fromkeys(to or (EVERYBODY,))]
    connection.execute(insert(addressees), rows)


def next_moment(connection: Connection, tenant: str) -> int | None:
    """When an open item is to be looked at."""
    assert tenant == EVERY
    return connection.execute(_MOMENT).scalar()


_MOMENT = select(func.min(items.c.look)).where(items.c.state == "open")
"""Built once: it is asked every second, beside requests."""


def claim_items(connection: Connection, tenant: str, now: int, again: int, limit: int) -> list[Item]:
    """Open items of all tenants that are to be looked at; the next look is at `again`, or at their deadline."""
    assert tenant == EVERY
    query = (
        select(items)
        .where(items.c.look <= now, items.c.state == "open")
        .order_by(items.c.look)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [made(items, Item, row) for row in connection.execute(query).mappings()]
    for one in found:
        look = again if one.deadline is None or one.deadline <= now else min(again, one.deadline)
        this = (items.c.tenant == one.tenant, items.c.id == one.id)
        connection.execute(update(items).where(*this).values(look=look))
    return found
