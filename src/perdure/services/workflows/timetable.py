"""What happens to schedules inside a transaction of somebody else: they follow the document and the state of their
workflow, and get firings.

A schedule of a document keeps its id, its policies and its time zone from version to version.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection

from perdure.language.values import Json, same
from perdure.ports.database import Transaction
from perdure.services.workflows import due, events, store_schedules
from perdure.services.workflows.models import Firing, Schedule, ScheduleKind, Workflow, run_id

KINDS: tuple[ScheduleKind, ...] = ("cron", "every", "after", "on")


def follow(connection: Connection, tenant: str, workflow: Workflow, written: Json, by: str = "") -> None:
    """The default version's document, published by somebody, says this about when it runs (language.md A5); None: nothing."""
    known = [one for one in store_schedules.schedules_of(connection, tenant, workflow.id) if one.of_document]
    if not isinstance(written, dict):
        for one in known:
            store_schedules.drop_schedule(connection, tenant, one.id)
        return
    kind = next(kind for kind in KINDS if kind in written)
    spec = due.checked_spec(kind, written[kind])
    read = written.get("read", "data")
    now = workflow.updated
    if not known:
        made = Schedule(
            tenant=tenant, id=_id(tenant, workflow.id), workflow=workflow.id, kind=kind, spec=spec, read=read,
            is_held=workflow.state != "enabled", of_document=True, created=now, updated=now, by=by,
            overlap="allow" if kind == "on" else "skip",  # every event counts; it is not made up for at the next time
        )  # fmt: skip
        store_schedules.add_schedule(connection, tenant, msgspec.structs.replace(made, due=due.armed(made, now)))
        return
    one = known[0]
    if (one.kind, one.read) == (kind, read) and same(one.spec, spec):
        return
    changed = msgspec.structs.replace(one, kind=kind, spec=spec, read=read, updated=now, created=now, memory=None)
    store_schedules.put_schedule(connection, tenant, msgspec.structs.replace(changed, due=due.armed(changed, now)))


def hold(connection: Connection, tenant: str, workflow: Workflow, now: int) -> None:
    """Schedules of a workflow that is not enabled are held; what would have come meanwhile is not made up for."""
    is_held = workflow.state != "enabled"
    for one in store_schedules.schedules_of(connection, tenant, workflow.id):
        if one.is_held == is_held:
            continue
        changed: Any = msgspec.structs.replace(one, is_held=is_held, memory=None)
        store_schedules.put_schedule(connection, tenant, msgspec.structs.replace(changed, due=due.armed(changed, now)))


def add_firing(tx: Transaction, one: Schedule, moment: int, now: int, input: Json = None) -> Firing:
    """A firing at the first free moment from `moment` on: what events and people cause may coincide."""
    while True:
        made = Firing(
            tenant=one.tenant, schedule=one.id, due=moment, state="open", run=run_id("firing", one.tenant, one.id, moment),
            at=now, input=input,
        )  # fmt: skip
        if store_schedules.add_firing(tx.connection, one.tenant, made, now):
            return made
        moment += 1


def failed_firing(tx: Transaction, one: Schedule, now: int, detail: str) -> None:
    """On record: something kept a run from starting."""
    made = add_firing(tx, one, now, now)
    settled = msgspec.structs.replace(made, state="failed", detail=detail[:1000])
    store_schedules.settle(tx.connection, one.tenant, settled, frozenset({"open"}), None)
    tx.tell(events.schedule_fired(one.workflow, settled))


def _id(tenant: str, workflow: str) -> str:
    """One schedule a document: its id says whose it is, so that a second one cannot be made at the same time."""
    return f"sch_{run_id('schedule', tenant, workflow).replace('-', '')[:26]}"
