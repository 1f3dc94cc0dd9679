"""Queries on verbs for many runs that are under way or done."""

from sqlalchemy import Connection, func, insert, select, update

from perdure.ports.database import EVERY
from perdure.services.workflows.models import Job
from perdure.services.workflows.store import jobs, made, values


def job(connection: Connection, tenant: str, id: str) -> Job | None:
    row = connection.execute(select(jobs).where(jobs.c.tenant == tenant, jobs.c.id == id)).mappings().first()
    return None if row is None else made(jobs, Job, row)


def add_job(connection: Connection, tenant: str, found: Job, free: int | None) -> None:
    connection.execute(insert(jobs).values(values(jobs, found, free=free)))


def put_job(connection: Connection, tenant: str, found: Job, free: int | None) -> None:
    this = (jobs.c.tenant == tenant, jobs.c.id == found.id)
    connection.execute(update(jobs).where(*this).values(values(jobs, found, free=free)))


def next_moment(connection: Connection, tenant: str) -> int | None:
    """When a job may be worked on."""
    assert tenant == EVERY
    return connection.execute(_MOMENT).scalar()


_MOMENT = select(func.min(jobs.c.free))
"""Built once: it is asked every second, beside requests."""


def claim_jobs(connection: Connection, tenant: str, now: int, until: int, limit: int) -> list[Job]:
    """Jobs of all tenants that nobody works on; nobody else gets them before `until`."""
    assert tenant == EVERY
    query = select(jobs).where(jobs.c.free <= now).order_by(jobs.c.free).limit(limit)
    found = [made(jobs, Job, row) for row in connection.execute(query.with_for_update(skip_locked=True)).mappings()]
    for one in found:
        this = (jobs.c.tenant == one.tenant, jobs.c.id == one.id)
        connection.execute(update(jobs).where(*this).values(free=until))
    return found
