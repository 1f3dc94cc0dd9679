"""Queries on schedules and their firings. A claim passes over rows that others hold (`FOR UPDATE SKIP LOCKED`)."""

from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from perdure.ports.database import EVERY
from perdure.services.workflows.models import Firing, FiringState, Schedule
from perdure.services.workflows.store import firings, made, schedules, values


def schedule(connection: Connection, tenant: str, id: str, *, lock: bool = False) -> Schedule | None:
    query = select(schedules).where(schedules.c.tenant == tenant, schedules.c.id == id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else made(schedules, Schedule, row)


def find_schedules(
    connection: Connection, tenant: str, *, after: str, limit: int, workflow: str | None = None, project: str = ""
) -> list[Schedule]:
    """The newest first, those before the id `after`."""
    query = select(schedules).where(schedules.c.tenant == tenant)
    if after:
        query = query.where(schedules.c.id < after)
    if workflow is not None:
        query = query.where(schedules.c.workflow == workflow)
    if project:
        query = query.where(schedules.c.workflow.startswith(f"{project}.", autoescape=True))
    rows = connection.execute(query.order_by(schedules.c.id.desc()).limit(limit)).mappings()
    return [made(schedules, Schedule, row) for row in rows]


def schedules_of(connection: Connection, tenant: str, workflow: str) -> list[Schedule]:
    """All of a workflow, locked until the end of the transaction."""
    query = select(schedules).where(schedules.c.tenant == tenant, schedules.c.workflow == workflow)
    rows = connection.execute(query.order_by(schedules.c.id).with_for_update()).mappings()
    return [made(schedules, Schedule, row) for row in rows]


def listening(connection: Connection, tenant: str) -> list[Schedule]:
    """Those that wait for events."""
    query = select(schedules).where(
        schedules.c.tenant == tenant, schedules.c.kind == "on", schedules.c.state == "active", ~schedules.c.is_held
    )
    return [made(schedules, Schedule, row) for row in connection.execute(query.order_by(schedules.c.id)).mappings()]


def add_schedule(connection: Connection, tenant: str, found: Schedule) -> None:
    connection.execute(insert(schedules).values(values(schedules, found)))


def put_schedule(connection: Connection, tenant: str, found: Schedule) -> None:
    this = (schedules.c.tenant == tenant, schedules.c.id == found.id)
    connection.execute(update(schedules).where(*this).values(values(schedules, found)))


def set_due(connection: Connection, tenant: str, id: str, due: int | None) -> None:
    this = (schedules.c.tenant == tenant, schedules.c.id == id)
    connection.execute(update(schedules).where(*this).values(due=due))


def set_last_run(connection: Connection, tenant: str, id: str, run: str) -> None:
    this = (schedules.c.tenant == tenant, schedules.c.id == id)
    connection.execute(update(schedules).where(*this).values(last_run=run))


def drop_schedule(connection: Connection, tenant: str, id: str) -> bool:
    """With its firings."""
    connection.execute(delete(firings).where(firings.c.tenant == tenant, firings.c.schedule == id))
    gone = connection.execute(delete(schedules).where(schedules.c.tenant == tenant, schedules.c.id == id))
    return gone.rowcount > 0


def claim_due(connection: Connection, tenant: str, now: int, limit: int) -> list[Schedule]:
    """Schedules of all tenants that are due, locked until the end of the transaction."""
    assert tenant == EVERY
    query = (
        select(schedules)
        .where(schedules.c.due <= now, schedules.c.state == "active", ~schedules.c.is_held)
        .order_by(schedules.c.due)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [made(schedules, Schedule, row) for row in connection.execute(query).mappings()]


def claim_firings(connection: Connection, tenant: str, now: int, until: int, limit: int) -> list[Firing]:
    """Firings of all tenants that nobody works on; nobody else gets them before `until`. The oldest first."""
    assert tenant == EVERY
    query = (
        select(firings)
        .where(firings.c.free <= now)
        .order_by(firings.c.free, firings.c.due)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [made(firings, Firing, row) for row in connection.execute(query).mappings()]
    for one in found:
        connection.execute(update(firings).where(*_this(one.tenant, one.schedule, one.due)).values(free=until))
    return found


def next_moment(connection: Connection, tenant: str) -> int | None:
    """When the next schedule is due, or the next firing is to be looked at."""
    assert tenant == EVERY
    moments = [connection.execute(query).scalar() for query in _MOMENTS]
    return min((moment for moment in moments if moment is not None), default=None)


_MOMENTS = (
    select(func.min(schedules.c.due)).where(schedules.c.state == "active", ~schedules.c.is_held),
    select(func.min(firings.c.free)),
)
"""Built once: they are asked every second, beside requests."""


def _this(tenant: str, schedule: str, due: int) -> tuple[Any, ...]:
    return (firings.c.tenant == tenant, firings.c.schedule == schedule, firings.c.due == due)


def firing(connection: Connection, tenant: str, schedule: str, due: int) -> Firing | None:
    row = connection.execute(select(firings).where(*_this(tenant, schedule, due))).mappings().first()
    return None if row is None else made(firings, Firing, row)


def add_firing(connection: Connection, tenant: str, found: Firing, free: int | None) -> bool:
    """False when this schedule has fired at this time before."""
    if firing(connection, tenant, found.schedule, found.due) is not None:
        return False
    connection.execute(insert(firings).values(values(firings, found, free=free)))
    return True


def settle(
    connection: Connection, tenant: str, found: Firing, states: frozenset[FiringState], free: int | None
) -> bool:
    """Write a firing that was in one of these states. False: somebody else was faster."""
    this = (*_this(tenant, found.schedule, found.due), firings.c.state.in_(states))
    changed = connection.execute(update(firings).where(*this).values(values(firings, found, free=free)))
    return changed.rowcount > 0


def ahead(connection: Connection, tenant: str, schedule: str, due: int) -> FiringState | None:
    """The state of an earlier firing of the schedule that has not started yet: `open` where there is such a one."""
    query = select(firings.c.state).where(
        firings.c.tenant == tenant, firings.c.schedule == schedule, firings.c.due < due,
        firings.c.state.in_(("open", "queued")), firings.c.free.is_not(None),
    )  # fmt: skip
    found: FiringState | None = connection.execute(query.order_by(firings.c.state).limit(1)).scalar()
    return found


def last_started(connection: Connection, tenant: str, schedule: str) -> Firing | None:
    query = select(firings).where(
        firings.c.tenant == tenant, firings.c.schedule == schedule, firings.c.state == "started"
    )
    row = connection.execute(query.order_by(firings.c.due.desc()).limit(1)).mappings().first()
    return None if row is None else made(firings, Firing, row)


def find_firings(connection: Connection, tenant: str, schedule: str, *, before: int | None, limit: int) -> list[Firing]:
    """The newest first."""
    query = select(firings).where(firings.c.tenant == tenant, firings.c.schedule == schedule)
    if before is not None:
        query = query.where(firings.c.due < before)
    rows = connection.execute(query.order_by(firings.c.due.desc()).limit(limit)).mappings()
    return [made(firings, Firing, row) for row in rows]


def forget_firings(connection: Connection, tenant: str, before: int) -> int:
    """Drop settled firings of all tenants that came due before a moment; how many."""
    assert tenant == EVERY
    gone = delete(firings).where(firings.c.due < before, firings.c.free.is_(None))
    return connection.execute(gone).rowcount
