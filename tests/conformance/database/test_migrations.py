"""Histories of tables, on both databases: they lead to what the metadata say, once, and lose nothing."""

import itertools
import subprocess
import sys
import textwrap
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, inspect, text

from perdure.adapters import database_sqlite
from perdure.adapters.database import address, open_database
from perdure.errors import Invalid, Unavailable
from perdure.migrations import alembic_steps, generate, histories
from tests.servers.postgres import of_services

_numbers = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path, took_part) -> str:
    return of_services(request, tmp_path, took_part, "history")


def seen(url: str, service: str) -> dict:
    """Everything about the tables that could differ."""
    with histories.opened(address(url, service), service) as connection, histories.alone(connection, service):
        found = inspect(connection)
        return {
            name: (
                [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns(name)],
                found.get_pk_constraint(name)["constrained_columns"],
                sorted(str(one["column_names"]) for one in found.get_unique_constraints(name)),
                sorted((one["name"], str(one["column_names"]), one["unique"]) for one in found.get_indexes(name)),
                sorted(str(sorted(one.items(), key=str)) for one in found.get_foreign_keys(name)),
                sorted(one["sqltext"] for one in found.get_check_constraints(name)),
            )
            for name in found.get_table_names()
            if name != "alembic_version"
        }


def step_by_step(url: str, service: str) -> None:
    """From nothing to the newest version by Alembic alone."""
    place = address(url, service)
    with histories.opened(place, service) as connection, histories.alone(connection, service):
        alembic_steps.upgrade(connection, service)


def differences(url: str, service: str) -> list:
    with histories.opened(address(url, service), service) as connection, histories.alone(connection, service):
        return alembic_steps.differences(connection, service)


@pytest.mark.parametrize("service", histories.STORES)
def test_the_steps_lead_to_what_the_metadata_say(url, service):
    step_by_step(url, service)
    assert differences(url, service) == [], "run `make migration`"
    assert histories.standing(url, service).is_current


@pytest.mark.parametrize("service", histories.STORES)
def test_a_new_database_is_the_same_without_the_steps(url, service, tmp_path):
    step_by_step(url, service)
    by_steps = seen(url, service)
    assert "outbox" in by_steps
    if url.startswith("sqlite"):
        other = f"sqlite:///{tmp_path}/other-{{service}}.db"
    else:
        other = url
        with histories.opened(address(url, service), service) as connection:
            connection.execute(text(f"DROP SCHEMA {service} CASCADE"))
            connection.commit()
    assert histories.migrate(other, service).found == ""
    assert seen(other, service) == by_steps
    assert differences(other, service) == []


@pytest.mark.parametrize("service", histories.STORES)
def test_to_migrate_twice_changes_nothing(url, service):
    assert str(histories.standing(url, service)) == f"{service}: empty, needs {histories.head(service)}"
    histories.migrate(url, service)
    before = seen(url, service)
    assert histories.migrate(url, service).is_current
    assert seen(url, service) == before


@pytest.mark.parametrize("service", histories.STORES)
def test_replicas_that_migrate_at_once_do_it_once(url, service):
    with ThreadPoolExecutor(6) as replicas:
        found = [one.found for one in replicas.map(lambda _: histories.migrate(url, service), range(6))]
    assert sorted(found) == ["", *[histories.head(service)] * 5]


@pytest.mark.parametrize("service", histories.STORES)
async def test_a_service_can_open_what_was_migrated(url, service):
    histories.migrate(url, service)
    database = open_database(url, service)
    assert await database.write("acme", lambda transaction: transaction.once("event-1"))
    assert not await database.write("acme", lambda transaction: transaction.once("event-1"))
    await database.close()


def test_every_table_with_a_tenant_is_protected(postgres_server):
    url = postgres_server.database(f"protected_{next(_numbers)}")
    for service in histories.STORES:
        histories.migrate(url, service)
        with histories.opened(address(url, service), service) as connection:
            query = text("""
                SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class
                WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind = 'r' AND EXISTS
                (SELECT 1 FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant' AND NOT attisdropped)
            """)
            protected = {row[0]: row[1] for row in connection.execute(query, {"schema": service})}
        own = {
            table.name
            for metadata in histories.tables(service)
            for table in metadata.tables.values()
            if "tenant" in table.c
        }
        assert protected == dict.fromkeys(own, True)


def test_a_start_makes_a_file_and_refuses_a_server_that_is_behind(url):
    if url.startswith("sqlite"):
        assert [one.found for one in histories.prepare(url)] == [""] * len(histories.STORES)
    else:
        with pytest.raises(Unavailable, match=r"not up to date.*perdure migrate"):
            histories.prepare(url)
        for service in histories.STORES:
            histories.migrate(url, service)
    assert all(one.is_current for one in histories.prepare(url))


def test_a_look_at_what_is_current_needs_no_alembic(url):
    for service in histories.STORES:
        histories.migrate(url, service)
    program = f"""
        import sys
        from perdure.migrations import histories
        assert all(one.is_current for one in histories.prepare({url!r}))
        sys.exit("alembic" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60).returncode == 0


# A history of our own, with a step that changes a table.

STEP = """
import sqlalchemy as sa
from alembic import op
revision = "{revision}"
down_revision = {before}
def upgrade():
{body}
"""
FIRST = """
    op.create_table("notes", sa.Column("tenant", sa.Text, primary_key=True), sa.Column("id", sa.Text, primary_key=True),
                    sa.Column("text", sa.Text, nullable=True))
    op.create_table("links", sa.Column("tenant", sa.Text, primary_key=True), sa.Column("note", sa.Text, primary_key=True),
                    sa.ForeignKeyConstraint(["tenant", "note"], ["notes.tenant", "notes.id"], ondelete="CASCADE"))
"""
SECOND = """
    with op.batch_alter_table("notes") as batch:
        batch.alter_column("text", existing_type=sa.Text(), nullable=False)
        batch.add_column(sa.Column("size", sa.BigInteger(), nullable=False, server_default="0"))
"""


@pytest.fixture
def own(url, tmp_path, monkeypatch) -> str:
    """The history `own` with its first step done and a row in each table; the second step is there to be done."""
    folder = tmp_path / "history"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "0001_first.py").write_text(STEP.format(revision="0001", before=None, body=FIRST))
    module = types.ModuleType("own_store")
    module.metadata = MetaData()
    monkeypatch.setitem(sys.modules, "own_store", module)
    monkeypatch.setitem(histories.STORES, "own", "own_store")
    monkeypatch.setattr(histories, "FOLDER", folder)
    monkeypatch.setattr(alembic_steps, "FOLDER", folder)
    step_by_step(url, "own")
    with histories.opened(address(url, "own"), "own") as connection, histories.alone(connection, "own"):
        connection.execute(text("INSERT INTO notes VALUES ('acme', 'one', 'hello')"))
        connection.execute(text("INSERT INTO links VALUES ('acme', 'one')"))
    (folder / "own" / "0002_second.py").write_text(STEP.format(revision="0002", before='"0001"', body=SECOND))
    return url


def rows(url: str, table: str) -> list:
    with histories.opened(address(url, "own"), "own") as connection, histories.alone(connection, "own"):
        return [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]


def test_a_step_that_makes_a_table_anew_keeps_its_rows_and_theirs_who_refer_to_it(own):
    assert histories.standing(own, "own") == ("own", "0001", "0002")
    histories.migrate(own, "own")
    assert rows(own, "notes") == [("acme", "one", "hello", 0)]
    assert rows(own, "links") == [("acme", "one")]
    assert histories.standing(own, "own").is_current


def test_a_step_that_fails_leaves_everything_as_it_was(own):
    path = histories.FOLDER / "own" / "0002_second.py"
    path.write_text(path.read_text() + '    op.execute("UPDATE nothing_here SET x = 1")\n')
    with pytest.raises(Exception, match="nothing_here"):
        histories.migrate(own, "own")
    assert rows(own, "notes") == [("acme", "one", "hello")]
    assert histories.standing(own, "own").found == "0001"


def test_a_database_that_is_ahead_is_used(own):
    histories.migrate(own, "own")
    (histories.FOLDER / "own" / "0002_second.py").unlink()
    (found,) = histories.prepare(own, "own")
    assert str(found) == "own: version 0002, newer than this program (0001)"
    assert histories.migrate(own, "own").is_ahead
    assert rows(own, "notes") == [("acme", "one", "hello", 0)]


def test_the_next_step_is_written_from_the_difference(own, tmp_path):
    (histories.FOLDER / "own" / "0002_second.py").unlink()
    metadata = sys.modules["own_store"].metadata
    Table("notes", metadata, Column("tenant", Text, primary_key=True), Column("id", Text, primary_key=True),
          Column("text", Text), Column("at", BigInteger, nullable=False, server_default="0"))  # fmt: skip
    made = generate.generate("own", "add_time", histories.FOLDER)
    assert made is not None
    assert made.name == "0002_add_time.py"
    assert 'down_revision = "0001"' in made.read_text()
    assert '"at"' in made.read_text().replace("'", '"')
    histories.migrate(own, "own")
    assert generate.generate("own", "nothing", histories.FOLDER) is None


@pytest.mark.parametrize("name", ["", "X", "a b", "../x"])
def test_a_step_has_a_plain_name(name):
    with pytest.raises(Invalid, match="does not name a migration"):
        generate.generate("workflows", name)


def test_a_service_that_does_not_exist_is_named():
    with pytest.raises(Invalid, match=r"no service 'nope'.*workflows"):
        histories.head("nope")


def test_a_temporary_database_has_no_history():
    with pytest.raises(Invalid, match="temporary"):
        histories.migrate("sqlite://", "workflows")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "workflows.db").write_bytes(b"nothing" * 1000)
    with pytest.raises(Unavailable, match="damaged or no SQLite"):
        histories.standing(f"sqlite:///{tmp_path}/workflows.db", "workflows")


def test_an_empty_file_is_a_new_database(tmp_path):
    (tmp_path / "workflows.db").touch()
    url = f"sqlite:///{tmp_path}/workflows.db"
    histories.prepare(url, "workflows")
    assert histories.standing(url, "workflows").is_current
    assert database_sqlite.PRAGMAS["synchronous"] == ("FULL", 2)
