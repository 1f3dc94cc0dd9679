"""The tables of the agents service, and how models become rows. `store_agents.py`, `store_contexts.py` and
`store_spending.py` hold the queries: each takes a connection and a tenant. Values that are JSON are kept as text.
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
    MetaData,
    RowMapping,
    Table,
    Text,
    UniqueConstraint,
    insert,
)

metadata = MetaData()

agents = Table(
    "agents", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("newest", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
)  # fmt: skip
versions = Table(
    "versions", metadata,
    Column("tenant", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("definition", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
)  # fmt: skip
executions = Table(
    "executions", metadata,
    Column("tenant", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("context", Text, nullable=False),
    Column("message", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("models", Text, nullable=False, server_default="[]"),
)  # fmt: skip
Index("executions_agent", executions.c.tenant, executions.c.agent, executions.c.created)
Index("executions_state", executions.c.state)
contexts = Table(
    "contexts", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("origin_message", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("run", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
)  # fmt: skip
Index("contexts_agent", contexts.c.tenant, contexts.c.agent)
messages = Table(
    "messages", metadata,
    Column("tenant", Text, primary_key=True),
    Column("context", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip
prompts = Table(
    "prompts", metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
)  # fmt: skip
usage = Table(
    "usage", metadata,
    Column("tenant", Text, primary_key=True),
    Column("call", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("day", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("input", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("cached", BigInteger, nullable=False),
    Column("cost", BigInteger),
    Column("price", Text, nullable=False),
)  # fmt: skip
Index("usage_at", usage.c.tenant, usage.c.at)
Index("usage_run", usage.c.tenant, usage.c.run)
sums = Table(
    "sums", metadata,
    Column("tenant", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("input", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("cached", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
)  # fmt: skip
"""The rows of `usage`, added up by day as they come."""
budgets = Table(
    "budgets", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("per", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("warn", Integer, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
)  # fmt: skip
marks = Table(
    "marks", metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("budget", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("extra", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    UniqueConstraint("tenant", "budget", "subject", "window", "kind", "round", name="marks_once"),
)  # fmt: skip
stopped = Table(
    "stopped", metadata,
    Column("tenant", Text, primary_key=True),
    Column("mark", Text, primary_key=True),
    Column("run", Text, primary_key=True),
)  # fmt: skip
"""Runs that were refused a request while a person was asked about a budget."""

PLAIN: dict[str, frozenset[str]] = {
    table.name: frozenset(
        column.name for column in table.columns
        if not isinstance(column.type, Text) or column.name not in {"definition", "document", "input", "models", "price"}
    )
    for table in metadata.tables.values()
}  # fmt: skip
"""Columns that hold the value itself; every other one holds its JSON."""

_Model = TypeVar("_Model", bound=msgspec.Struct)


def values(table: Table, model: msgspec.Struct) -> dict[str, Any]:
    """The row of a model."""
    plain = PLAIN[table.name]
    return {
        field: getattr(model, field) if field in plain else msgspec.json.encode(getattr(model, field)).decode()
        for field in model.__struct_fields__
    }


def made(table: Table, model: type[_Model], row: RowMapping) -> _Model:
    """The model of a row."""
    plain = PLAIN[table.name]
    return msgspec.convert(
        {field: row[field] if field in plain else msgspec.json.decode(row[field]) for field in model.__struct_fields__},
        model,
    )


def add(connection: Connection, tenant: str, table: Table, model: msgspec.Struct) -> None:
    """A new row of this tenant."""
    row = values(table, model)
    assert row["tenant"] == tenant
    connection.execute(insert(table).values(row))
