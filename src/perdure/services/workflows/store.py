"""The tables of the workflows service, and the queries on workflows and their versions. Each takes a connection and a tenant.

`store_schedules.py`, `store_webhooks.py`, `store_inbox.py` and `store_jobs.py` hold the queries on the other tables.
Values that are JSON are kept as text. Rows of all tenants are read for the tenant EVERY only.
"""

from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    Table,
    Text,
    UniqueConstraint,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from perdure.ports.database import EVERY
from perdure.services.workflows.models import Version, Workflow, WorkflowState

metadata = MetaData()

workflows = Table(
    "workflows", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("default", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
)  # fmt: skip
versions = Table(
    "versions", metadata,
    Column("tenant", Text, primary_key=True),
    Column("workflow", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("resources", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("media", Text, nullable=False),
    Column("lints", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
)  # fmt: skip
schedules = Table(
    "schedules", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("version", Text),
    Column("kind", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("read", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("catch_up", Text, nullable=False),
    Column("window", BigInteger, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_held", Boolean, nullable=False),
    Column("of_document", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("due", BigInteger),
    Column("last_run", Text),
    Column("memory", Text, nullable=False),
    Column("by", Text, nullable=False, server_default=""),
    Column("project", Text, nullable=False, server_default=""),
)  # fmt: skip
Index("schedules_due", schedules.c.due)
Index("schedules_workflow", schedules.c.tenant, schedules.c.workflow)
firings = Table(
    "firings", metadata,
    Column("tenant", Text, primary_key=True),
    Column("schedule", Text, primary_key=True),
    Column("due", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("input", Text, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("free", BigInteger),
)  # fmt: skip
"""`free`: when somebody may look at it (again); NULL once it is settled."""
Index("firings_free", firings.c.free)
webhooks = Table(
    "webhooks", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text),
    Column("event", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("rotated", BigInteger),
    Column("until", BigInteger),
    Column("secret", LargeBinary, nullable=False),
    Column("earlier", LargeBinary),
    Column("project", Text, nullable=False, server_default=""),
    UniqueConstraint("id", name="webhooks_id"),
)  # fmt: skip
receipts = Table(
    "receipts", metadata,
    Column("tenant", Text, primary_key=True),
    Column("hook", Text, primary_key=True),
    Column("message", Text, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
)  # fmt: skip
"""Attempts at messages that webhooks took within the window of their signatures: each once."""
items = Table(
    "items", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("to", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("deadline", BigInteger),
    Column("delegations", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("look", BigInteger),
    Column("asker", Text, nullable=False, server_default=""),
    UniqueConstraint("tenant", "source", "request", name="items_request"),
)  # fmt: skip
"""`look`: when to see whether its run still waits; NULL once it is settled."""
Index("items_look", items.c.look)
Index("items_run", items.c.tenant, items.c.run)
addressees = Table(
    "addressees", metadata,
    Column("tenant", Text, primary_key=True),
    Column("who", Text, primary_key=True),
    Column("item", Text, primary_key=True),
)  # fmt: skip
"""Who may decide an item now; `*` is everybody."""
Index("addressees_item", addressees.c.tenant, addressees.c.item)
jobs = Table(
    "jobs", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("verb", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("runs", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("before", Text),
    Column("state", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("answers", Text, nullable=False),
    Column("free", BigInteger),
)  # fmt: skip
Index("jobs_free", jobs.c.free)
cursors = Table(
    "cursors", metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)  # fmt: skip
"""How far a reader of the engine has come; of the installation, not of a tenant."""

PLAIN: dict[str, frozenset[str]] = {
    table.name: frozenset(
        column.name for column in table.columns if column.name in {
            "tenant", "id", "namespace", "name", "state", "default", "title", "summary", "workflow", "version", "hash",
            "text", "media", "by", "kind", "read", "zone", "catch_up", "overlap", "last_run", "schedule", "run", "detail",
            "event", "request", "source", "asker", "task", "verb", "before",
        } or not isinstance(column.type, Text)
    )
    for table in metadata.tables.values()
}  # fmt: skip
"""Columns that hold the value itself; every other one holds its JSON."""

_Model = TypeVar("_Model", bound=msgspec.Struct)


def values(table: Table, model: msgspec.Struct, **more: Any) -> dict[str, Any]:
    """The row of a model; `more` are columns that the model does not show."""
    plain = PLAIN[table.name]
    row = {
        field: getattr(model, field) if field in plain else msgspec.json.encode(getattr(model, field)).decode()
        for field in model.__struct_fields__
    }
    return row | more


def made(table: Table, model: type[_Model], row: RowMapping) -> _Model:
    """The model of a row."""
    plain = PLAIN[table.name]
    return msgspec.convert(
        {field: row[field] if field in plain else msgspec.json.decode(row[field]) for field in model.__struct_fields__},
        model,
    )


# Workflows and versions


def workflow(connection: Connection, tenant: str, id: str, *, lock: bool = False) -> Workflow | None:
    query = select(workflows).where(workflows.c.tenant == tenant, workflows.c.id == id)
    if lock:
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    return None if row is None else made(workflows, Workflow, row)


def find_workflows(
    connection: Connection,
    tenant: str,
    *,
    after: str,
    limit: int,
    states: tuple[WorkflowState, ...] = (),
    project: str = "",
) -> list[Workflow]:
    """In order of their names, those behind `after`; of a project those of the namespace that is called like it."""
    query = select(workflows).where(workflows.c.tenant == tenant, workflows.c.id > after)
    if states:
        query = query.where(workflows.c.state.in_(states))
    if project:
        query = query.where(workflows.c.namespace == project)
    rows = connection.execute(query.order_by(workflows.c.id).limit(limit)).mappings()
    return [made(workflows, Workflow, row) for row in rows]


def put_workflow(connection: Connection, tenant: str, found: Workflow, *, is_new: bool) -> None:
    if is_new:
        connection.execute(insert(workflows).values(values(workflows, found)))
    else:
        this = (workflows.c.tenant == tenant, workflows.c.id == found.id)
        connection.execute(update(workflows).where(*this).values(values(workflows, found)))


def version(connection: Connection, tenant: str, workflow: str, version: str) -> Version | None:
    query = select(versions).where(
        versions.c.tenant == tenant, versions.c.workflow == workflow, versions.c.version == version
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else made(versions, Version, row)


def version_names(connection: Connection, tenant: str, workflow: str) -> list[str]:
    query = select(versions.c.version).where(versions.c.tenant == tenant, versions.c.workflow == workflow)
    return list(connection.execute(query).scalars())


def versions_named(connection: Connection, tenant: str, workflow: str, names: list[str]) -> list[Version]:
    query = select(versions).where(
        versions.c.tenant == tenant, versions.c.workflow == workflow, versions.c.version.in_(names)
    )
    return [made(versions, Version, row) for row in connection.execute(query).mappings()]


def add_version(connection: Connection, tenant: str, made: Version) -> None:
    connection.execute(insert(versions).values(values(versions, made)))


def drop_version(connection: Connection, tenant: str, workflow: str, version: str) -> None:
    """Take back what was never published: the engine refused it."""
    connection.execute(
        versions.delete().where(
            versions.c.tenant == tenant, versions.c.workflow == workflow, versions.c.version == version
        )
    )


def drop_workflow(connection: Connection, tenant: str, workflow: str) -> None:
    """Take back a workflow whose only version was taken back."""
    connection.execute(workflows.delete().where(workflows.c.tenant == tenant, workflows.c.id == workflow))


def position(connection: Connection, tenant: str, name: str) -> int:
    """How far the reader of this name has come."""
    return connection.execute(select(cursors.c.position).where(cursors.c.name == name)).scalar() or 0


def set_position(connection: Connection, tenant: str, name: str, position: int) -> None:
    changed = connection.execute(update(cursors).where(cursors.c.name == name).values(position=position)).rowcount
    if not changed:
        connection.execute(insert(cursors).values(name=name, position=position))


def all_versions(connection: Connection, tenant: str, after: tuple[str, str, str], limit: int) -> list[Version]:
    """Versions of all tenants in a fixed order, those behind (tenant, workflow, version)."""
    assert tenant == EVERY
    place = tuple_(versions.c.tenant, versions.c.workflow, versions.c.version)
    query = (
        select(versions)
        .where(place > tuple_(*(literal(part) for part in after)))
        .order_by(versions.c.tenant, versions.c.workflow, versions.c.version)
        .limit(limit)
    )
    return [made(versions, Version, row) for row in connection.execute(query).mappings()]
