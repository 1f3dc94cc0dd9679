"""What only PostgreSQL can promise: tenants kept apart by the database itself, and lost connections made good."""

import asyncio
import itertools

import psycopg
import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from perdure.adapters import database_postgres
from perdure.adapters.database import open_database
from perdure.errors import Invalid, Unavailable
from perdure.ports.database import EVERY, Told
from tests.conformance.database.conftest import metadata, things
from tests.servers.severed import severed

_numbers = itertools.count(1)


@pytest.fixture
def url(postgres_server, took_part) -> str:
    took_part(f"PostgreSQL {postgres_server.version}")
    return postgres_server.database(f"own_{next(_numbers)}")


@pytest.fixture
async def database(url):
    opened = open_database(url, "things", metadata)
    yield opened
    await opened.close()


def adding(id: str):
    def work(transaction):
        row = {"tenant": transaction.tenant, "id": id, "size": 1}
        transaction.connection.execute(insert(things).values(row))
        transaction.tell(Told(type="t.v1", subject=id, data={}))

    return work


def rows(connection):
    return [tuple(row) for row in connection.execute(select(things.c.tenant, things.c.id).order_by(things.c.id))]


async def test_a_query_that_forgot_its_filter_sees_one_tenant(database):
    await database.write("acme", adding("a"))
    await database.write("other", adding("b"))
    assert await database.read("acme", rows) == [("acme", "a")]
    assert await database.read("nobody", rows) == []
    assert await database.read("", rows) == []
    assert await database.read(EVERY, rows) == [("acme", "a"), ("other", "b")]


async def test_nothing_is_changed_or_added_for_another_tenant(database):
    await database.write("acme", adding("a"))
    changed = await database.write("other", lambda t: t.connection.execute(update(things).values(size=9)).rowcount)
    assert changed == 0
    with pytest.raises(ProgrammingError, match="row-level security"):
        row = {"tenant": "acme", "id": "b", "size": 1}
        await database.write("other", lambda t: t.connection.execute(insert(things).values(row)))


async def test_a_session_that_says_no_tenant_sees_no_row(database, url):
    await database.write("acme", adding("a"))
    with psycopg.connect(url) as connection:
        for table in ("things", "outbox", "taken"):
            assert connection.execute(f"SELECT count(*) FROM things.{table}").fetchone() == (0,), table
        connection.execute("SELECT set_config('app.tenant', 'acme', true)")
        assert connection.execute("SELECT count(*) FROM things.things").fetchone() == (1,)
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM things.things").fetchone() == (0,)


async def test_every_table_with_a_tenant_is_protected_by_force(database, url):
    with psycopg.connect(url) as connection:
        query = """
            SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
            WHERE nspname = 'things' AND relkind = 'r' AND
            EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant')
        """
        assert dict(connection.execute(query).fetchall()) == dict.fromkeys(("things", "outbox", "taken", "dead"), True)


@pytest.mark.parametrize(("tenant", "id", "size"), [("acme", "a\0", 1), ("a\0", "a", 1), ("acme", "a", 2**63)])
async def test_a_value_that_cannot_be_kept_is_whose_it_is(database, tenant, id, size):
    """Whoever asks put it there: that is no failure of ours."""

    def work(transaction):
        transaction.connection.execute(insert(things).values({"tenant": tenant, "id": id, "size": size}))

    with pytest.raises(Invalid, match="cannot be kept"):
        await database.write(tenant, work)
    with pytest.raises(Invalid, match="cannot be kept"):
        await database.read(tenant, lambda c: c.execute(select(things).where(things.c.id == id, things.c.size == size)))


def test_a_role_that_nothing_binds_is_refused(postgres_server, url):
    with pytest.raises(Invalid, match="role admin.*NOBYPASSRLS"):
        open_database(url.replace("perdure@", "admin@"), "things")
    postgres_server.ask("CREATE ROLE free_rider LOGIN BYPASSRLS")
    with pytest.raises(Invalid, match="free_rider"):
        open_database(url.replace("perdure@", "free_rider@"), "things")


def test_a_server_that_is_not_there_is_unavailable():
    with pytest.raises(Unavailable, match="cannot be reached"):
        open_database("postgresql://perdure@127.0.0.1:1/none", "things")


async def test_a_transaction_whose_connection_breaks_is_run_again_as_a_whole(database, postgres_server):
    tries = []

    def work(transaction):
        tries.append(1)
        adding(f"first-{len(tries)}")(transaction)
        if len(tries) == 1:
            mine = transaction.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            postgres_server.ask(f"SELECT pg_terminate_backend({mine})")
        transaction.connection.execute(text("SELECT 1"))

    await database.write("acme", work)
    assert await database.read("acme", rows) == [("acme", "first-2")]


async def test_a_read_whose_connection_breaks_is_run_again(database, postgres_server):
    tries = []

    def work(connection):
        tries.append(1)
        if len(tries) == 1:
            mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            postgres_server.ask(f"SELECT pg_terminate_backend({mine})")
        return rows(connection)

    assert await database.read("acme", work) == []
    assert len(tries) == 2


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(database, postgres_server, url):
    """The work makes a new id at each try: made twice, there would be two rows."""
    async with severed(postgres_server.port) as proxy:
        place = url.replace(f":{postgres_server.port}", f":{proxy.port}")
        through = await asyncio.to_thread(open_database, place, "things")
        heard, tries = [], []
        through.on_told(lambda: heard.append(1))

        def work(transaction):
            tries.append(1)
            adding(f"try-{len(tries)}")(transaction)
            return len(tries)

        proxy.cuts = 1
        assert await through.write("acme", work) == 1
        assert (proxy.cut, len(tries), len(heard)) == (1, 1, 1)
        assert await database.read("acme", rows) == [("acme", "try-1")]
        await through.close()


async def test_deadlocked_transactions_both_happen(database):
    for id in ("a", "b"):
        await database.write("acme", adding(id))
    both = asyncio.Barrier(2)
    loop = asyncio.get_running_loop()
    met = []

    def work(order):
        def change(transaction):
            for number, id in enumerate(order):
                if number == 1 and order not in met:
                    met.append(order)
                    asyncio.run_coroutine_threadsafe(both.wait(), loop).result()
                query = update(things).where(things.c.id == id).values(size=things.c.size + 1)
                transaction.connection.execute(query)

        return change

    await asyncio.gather(database.write("acme", work("ab")), database.write("acme", work("ba")))
    sizes = await database.read("acme", lambda c: c.execute(select(things.c.size)).scalars().all())
    assert sizes == [3, 3]


async def test_a_statement_that_takes_too_long_is_given_up_and_not_tried_again(database):
    tries = []

    def work(connection):
        tries.append(1)
        connection.execute(text("SELECT set_config('statement_timeout', '50', true)"))
        connection.execute(text("SELECT pg_sleep(20)"))

    with pytest.raises(Unavailable, match="took longer than 30 s"):
        await database.read("acme", work)
    assert len(tries) == 1


async def test_every_transaction_is_bounded(database):
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

    def settings(connection):
        return [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]

    assert await database.read("acme", settings) == ["30s", "10s", "1min"]
    assert await database.write("acme", lambda transaction: settings(transaction.connection)) == ["30s", "10s", "1min"]


async def test_patience_ends(database, postgres_server, monkeypatch):
    monkeypatch.setattr(database_postgres, "PATIENCE", 0.2)

    def work(transaction):
        mine = transaction.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        postgres_server.ask(f"SELECT pg_terminate_backend({mine})")
        transaction.connection.execute(text("SELECT 1"))

    with pytest.raises(Unavailable, match="things cannot be reached"):
        await database.write("acme", work)
