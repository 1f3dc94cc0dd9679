"""The tables that every service's database has besides its own: what is to be told, what was taken, what was committed.

An event is written in the transaction of the change it tells of. `relay.py` publishes it. No policy here, only rows.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from perdure.ports.database import EVERY, Told

metadata = MetaData()

outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("free", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent", BigInteger),
    sqlite_autoincrement=True,
)
"""`free`: nobody claims the row before this moment. `sent`: when the broker confirmed it; NULL until then."""

Index("outbox_waiting", outbox.c.seq, sqlite_where=outbox.c.sent.is_(None), postgresql_where=outbox.c.sent.is_(None))
Index("outbox_sent", outbox.c.sent)

taken = Table(
    "taken",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("event", Text, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
)
"""Events that a listener of this service has taken: each once."""

committed = Table(
    "committed",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
)
"""One row a transaction on PostgreSQL, so that a commit whose answer was lost is not made twice."""

dead = Table(
    "dead",
    metadata,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, index=True),
    Column("tenant", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
"""Dead letters of the bus in this process; brokers keep their own."""


class Waiting(msgspec.Struct, frozen=True):
    """An event claimed for publication."""

    seq: int
    attempts: int
    event: dict[str, Any]


def envelope(told: Told, *, tenant: str, service: str, now: int, trace: str = "") -> dict[str, Any]:
    """The CloudEvent (structured JSON form) of what a service tells."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": told.id or f"{now:012x}{secrets.token_hex(10)}",
        "source": f"/perdure/{service}",
        "type": told.type,
        "subject": told.subject,
        "time": datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "tenant": tenant,
    }
    if trace:
        event["traceparent"] = trace
    event["data"] = told.data
    return event


def put(connection: Connection, tenant: str, events: Sequence[dict[str, Any]], now: int) -> None:
    """Add events to be published. One whose id is there already is left as it is."""
    rows = [
        {
            "id": event["id"],
            "tenant": tenant,
            "subject": event["subject"],
            "event": msgspec.json.encode(event).decode(),
            "at": now,
            "free": 0,
            "attempts": 0,
        }
        for event in events
    ]
    connection.execute(_insert(connection, outbox).on_conflict_do_nothing(), rows)


def take_once(connection: Connection, tenant: str, event: str, now: int) -> bool:
    """Remember an event. False when it was here before."""
    row = {"tenant": tenant, "event": event, "at": now}
    adding = _insert(connection, taken).values(row).on_conflict_do_nothing().returning(taken.c.event)
    return connection.execute(adding).first() is not None


def claim(connection: Connection, now: int, until: int, limit: int) -> list[Waiting]:
    """Claim the oldest events that wait: nobody else gets them before `until`. Rows that others claim are passed over."""
    query = (
        select(outbox.c.seq, outbox.c.attempts, outbox.c.event)
        .where(outbox.c.sent.is_(None), outbox.c.free <= now)
        .order_by(outbox.c.seq)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(query).all()
    if rows:
        mine = outbox.c.seq.in_([row.seq for row in rows])
        connection.execute(update(outbox).where(mine).values(free=until, attempts=outbox.c.attempts + 1))
    return [Waiting(row.seq, row.attempts + 1, msgspec.json.decode(row.event)) for row in rows]


def next_due(connection: Connection) -> int | None:
    """From when on the next event can be claimed, or None when none waits."""
    due: int | None = connection.execute(_DUE).scalar_one()
    return due


_DUE = select(func.min(outbox.c.free)).where(outbox.c.sent.is_(None))
"""Built once: it is asked every second, beside requests."""


def mark_sent(connection: Connection, numbers: Sequence[int], now: int) -> None:
    """The broker has confirmed these."""
    connection.execute(update(outbox).where(outbox.c.seq.in_(numbers)).values(sent=now))


def release(connection: Connection, numbers: Sequence[int], free: int) -> None:
    """Give claimed events back, to be tried again from `free` on."""
    still = outbox.c.seq.in_(numbers), outbox.c.sent.is_(None)
    connection.execute(update(outbox).where(*still).values(free=free))


def release_all(connection: Connection, now: int) -> None:
    """Let everything that was not sent be claimed at once: whoever had claimed it is dead."""
    connection.execute(update(outbox).where(outbox.c.sent.is_(None), outbox.c.free > now).values(free=now))


def tell_again(connection: Connection, since: int) -> int:
    """Publish anew what was sent since then; how many events."""
    return connection.execute(update(outbox).where(outbox.c.sent >= since).values(sent=None, free=0)).rowcount


def again(connection: Connection, name: str, limit: int, now: int) -> int:
    """Put dead letters of a name back among what waits to be published; how many."""
    query = select(dead.c.seq, dead.c.tenant, dead.c.event).where(dead.c.name == name).order_by(dead.c.seq).limit(limit)
    letters = connection.execute(query).all()
    for letter in letters:
        event = msgspec.json.decode(letter.event)
        waits = update(outbox).where(outbox.c.id == event["id"]).values(sent=None, free=0)
        if connection.execute(waits).rowcount == 0:  # it was told by another service, or is cleaned away
            put(connection, letter.tenant, [event], now)
    connection.execute(delete(dead).where(dead.c.seq.in_([letter.seq for letter in letters])))
    return len(letters)


def clean(connection: Connection, *, sent: int, seen: int, made: int) -> int:
    """Forget what was sent before `sent`, taken before `seen` and committed before `made`; how many rows."""
    gone = connection.execute(delete(outbox).where(outbox.c.sent < sent)).rowcount
    gone += connection.execute(delete(taken).where(taken.c.at < seen)).rowcount
    return gone + connection.execute(delete(committed).where(committed.c.at < made)).rowcount


def waiting(connection: Connection, tenant: str) -> tuple[int, int | None]:
    """How many events are not sent yet, and since when the oldest waits."""
    query = select(func.count(), func.min(outbox.c.at)).where(outbox.c.sent.is_(None))
    if tenant != EVERY:
        query = query.where(outbox.c.tenant == tenant)
    count, since = connection.execute(query).one()
    return count, since


def _insert(connection: Connection, table: Table) -> Any:
    """An insert that can say `on_conflict_do_nothing`, which both databases spell the same."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
