"""What only the SQLite adapter can get wrong: pragmas, group commit, damaged files."""

import asyncio
import stat

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError

from perdure.adapters.database import open_database
from perdure.errors import Invalid, Unavailable
from tests.conformance.database.conftest import metadata, things


@pytest.fixture
async def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path}/things.db", "things", metadata)
    yield opened
    await opened.close()


def pragmas(connection) -> tuple:
    names = ("journal_mode", "synchronous", "foreign_keys")
    return tuple(connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in names)


async def test_every_connection_is_fully_synchronous(database):
    barrier = asyncio.Barrier(4)
    loop = asyncio.get_running_loop()

    def looking(connection):
        asyncio.run_coroutine_threadsafe(barrier.wait(), loop).result()  # so that each reader opens one
        return pragmas(connection)

    seen = await asyncio.gather(*(database.read("acme", looking) for _ in range(4)))
    seen.append(await database.write("acme", lambda transaction: pragmas(transaction.connection)))
    with database.making() as connection:
        seen.append(pragmas(connection))
    assert set(seen) == {("wal", 2, 1)}
    assert len(database._reading) == 4


async def test_writes_that_wait_together_share_a_commit(database):
    def adding(number):
        row = {"tenant": "acme", "id": str(number), "size": 1}
        return lambda t: t.connection.execute(insert(things), row).rowcount

    await asyncio.gather(*(database.write("acme", adding(number)) for number in range(100)))
    assert database.commits <= 20


async def test_a_file_is_for_its_owner_only(database):
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600


async def test_wrong_sql_is_no_matter_of_the_disk(database):
    with pytest.raises(OperationalError, match="no such table"):
        await database.write("acme", lambda t: t.connection.execute(text("SELECT * FROM absent")))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "things.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable, match=r"things\.db is damaged or no SQLite"):
        open_database(f"sqlite:///{tmp_path}/things.db", "things")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Unavailable, match=r"none/things\.db cannot be opened"):
        open_database(f"sqlite:///{tmp_path}/none/things.db", "things")


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite+aiosqlite:///x", "", "://", "sqlite://host/x"])
def test_an_address_of_another_kind_is_refused(url):
    with pytest.raises(Invalid, match="Write postgresql://"):
        open_database(url, "things")


def test_a_service_is_a_word():
    with pytest.raises(Invalid, match="name of a service"):
        open_database("sqlite://", "x; DROP")


async def test_a_temporary_file_is_gone_afterwards():
    database = open_database("sqlite://", "things", metadata)
    await database.write("acme", lambda t: t.once("x"))
    assert database.path.exists()
    await database.close()
    assert not database.path.parent.exists()


async def test_a_commit_that_the_disk_refuses_is_refused_to_all(database):
    """The page limit makes the disk full for one file."""

    def limit(transaction):
        pages = transaction.connection.execute(text("PRAGMA page_count")).scalar_one()
        transaction.connection.execute(text(f"PRAGMA max_page_count = {pages + 2}"))

    def big(transaction):
        transaction.connection.execute(insert(things).values(tenant="a", id="x" * 100_000, size=1))

    await database.write("acme", limit)
    with pytest.raises(Unavailable, match="full"):
        await database.write("acme", big)
    assert await database.write("acme", lambda t: t.once("small"))


async def test_after_a_commit_that_failed_the_next_one_is_made(database):
    """Where the disk is full is often first seen at the commit. (A key that points nowhere is, too.)"""

    def tables(transaction):
        for statement in ("CREATE TABLE p (id INTEGER PRIMARY KEY)",
                          "CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)"):  # fmt: skip
            transaction.connection.execute(text(statement))

    await database.write("acme", tables)
    for _ in range(2):
        with pytest.raises(Unavailable, match="The database of things cannot be written: FOREIGN KEY") as caught:
            await database.write("acme", lambda t: t.connection.execute(text("INSERT INTO c VALUES (1)")).rowcount)
        assert str(database.path) not in str(caught.value)
        assert await database.write("acme", lambda t: t.once(str(t.connection.execute(text("SELECT 1")).scalar())))
        await database.write("acme", lambda t: t.connection.execute(text("DELETE FROM taken")).rowcount)
