"""What is asked of Alembic: to do the steps of a history, and to tell how tables and metadata differ.

The steps of one service are one transaction, on both databases. SQLite changes tables by making them anew (batch mode).
"""

from typing import Any

from alembic import autogenerate
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from perdure.migrations.histories import FOLDER, tables

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}
"""For constraints that have none, so that batch mode can speak of them."""


def history(service: str) -> ScriptDirectory:
    """The steps of a service. Their ids are `0001`, `0002`, ..."""
    return ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER / service)])


def upgrade(connection: Connection, service: str) -> None:
    """Do the steps that are missing, in the transaction of the caller."""
    script = history(service)

    def missing(found: Any, context: Any) -> Any:
        return script._upgrade_revs("head", found)

    with EnvironmentContext(Config(), script, fn=missing, destination_rev="head") as environment:
        environment.configure(connection, target_metadata=tables(service), **_options())
        environment.run_migrations()


def differences(connection: Connection, service: str) -> list[Any]:
    """What the metadata have and the tables do not, and the other way round, as Alembic tells it."""
    context = MigrationContext.configure(connection, opts={"target_metadata": tables(service), **_options()})
    return list(autogenerate.compare_metadata(context, tables(service)))  # type: ignore[arg-type]  # a list is fine


def wanted(connection: Connection, service: str) -> ops.UpgradeOps | None:
    """The steps that would make the tables as the metadata have them."""
    context = MigrationContext.configure(connection, opts={"target_metadata": tables(service), **_options()})
    return autogenerate.produce_migrations(context, tables(service)).upgrade_ops  # type: ignore[arg-type]  # as above


def written(connection: Connection, service: str) -> str:
    """The same as the body of a step's `upgrade`; empty when nothing differs."""
    context = MigrationContext.configure(connection, opts={"target_metadata": tables(service), **_options()})
    steps = wanted(connection, service)
    if steps is None or steps.is_empty():
        return ""
    return autogenerate.render_python_code(steps, render_as_batch=True, migration_context=context)


def _options() -> dict[str, Any]:
    return {
        "render_as_batch": True,
        "compare_type": True,
        "compare_server_default": _differs,
        "user_module_prefix": "sa.",
    }


def _differs(*given: Any) -> bool:
    """Whether a column's default in the database is another than in the metadata. (Alembic's own finds one in `''`.)"""
    return _plain(given[3]) != _plain(given[5])


def _plain(default: str | None) -> str | None:
    """Without quotes and without PostgreSQL's cast; the number of a sequence is no default that metadata know."""
    if default is None or default.startswith("nextval("):
        return None
    return default.split("::")[0].strip("()").strip("'")
