"""What `ports/database.py` promises, on every database."""

import asyncio
import inspect

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from perdure.adapters import outbox
from perdure.errors import NotFound, Unavailable
from perdure.ports.database import EVERY, Told
from tests.conformance.database.conftest import things


def adding(id: str, size: int = 1, told: str = ""):
    def work(transaction):
        transaction.connection.execute(insert(things).values(tenant=transaction.tenant, id=id, size=size))
        if told:
            transaction.tell(Told(type="dev.perdure.thing.added.v1", subject=id, data={"size": size}, id=told))
        return size

    return work


def names(connection) -> list[str]:
    return list(connection.execute(select(things.c.id).order_by(things.c.id)).scalars())


def events(connection) -> list[dict]:
    return [one.event for one in outbox.claim(connection, now=1, until=2, limit=100)]


async def test_what_was_written_is_read(database):
    assert await database.write("acme", adding("one", 7)) == 7
    assert await database.read("acme", names) == ["one"]


async def test_many_writes_at_once_are_all_there(database):
    made = await asyncio.gather(*(database.write("acme", adding(f"{number:03}")) for number in range(200)))
    assert made == [1] * 200
    assert len(await database.read("acme", names)) == 200


async def test_a_write_that_fails_takes_nobody_with_it(database):
    await database.write("acme", adding("twin"))
    writes = [database.write("acme", adding(id)) for id in ("before", "twin", "after")]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in results] == [int, IntegrityError, int]
    assert await database.read("acme", names) == ["after", "before", "twin"]


async def test_an_error_of_the_work_leaves_nothing_and_passes_through(database):
    def work(transaction):
        adding("half", told="never")(transaction)
        raise NotFound("the other half")

    results = await asyncio.gather(
        database.write("acme", work), database.write("acme", adding("whole")), return_exceptions=True
    )
    assert isinstance(results[0], NotFound)
    assert await database.read("acme", names) == ["whole"]
    assert await database.write(EVERY, lambda transaction: events(transaction.connection)) == []


async def test_a_read_cannot_write(database):
    with pytest.raises(Exception, match=r"read-?only|query_only|readonly"):
        await database.read(
            "acme", lambda connection: connection.execute(insert(things), {"tenant": "a", "id": "x", "size": 1})
        )
    assert await database.read("acme", names) == []


async def test_what_is_told_goes_out_with_the_change_and_once(database):
    await database.write("acme", adding("one", 3, told="event-1"))
    with pytest.raises(IntegrityError):
        await database.write("acme", adding("one", 3, told="event-2"))
    told = await database.write(EVERY, lambda transaction: events(transaction.connection))
    assert [event["id"] for event in told] == ["event-1"]
    (event,) = told
    assert event | {"time": ""} == {
        "specversion": "1.0",
        "id": "event-1",
        "source": "/perdure/things",
        "type": "dev.perdure.thing.added.v1",
        "subject": "one",
        "time": "",
        "datacontenttype": "application/json",
        "tenant": "acme",
        "data": {"size": 3},
    }


async def test_an_event_without_an_id_gets_one_of_its_own(database):
    def work(transaction):
        for _ in range(2):
            transaction.tell(Told(type="t.v1", subject="s", data={}))

    await database.write("acme", work)
    told = await database.write(EVERY, lambda transaction: events(transaction.connection))
    assert len({event["id"] for event in told}) == 2


async def test_an_event_is_taken_once_by_each_tenant(database):
    first = await asyncio.gather(*(database.write("acme", lambda t: t.once("event-1")) for _ in range(10)))
    assert sorted(first) == [False] * 9 + [True]
    assert await database.write("other", lambda t: t.once("event-1"))


async def test_an_event_of_a_failed_transaction_was_not_taken(database):
    def work(transaction):
        assert transaction.once("event-1")
        raise NotFound

    with pytest.raises(NotFound):
        await database.write("acme", work)
    assert await database.write("acme", lambda t: t.once("event-1"))


async def test_the_ear_hears_each_commit_that_told_something(database):
    heard = []
    database.on_told(lambda: heard.append(1))
    await database.write("acme", adding("silent"))
    assert heard == []
    await database.write("acme", adding("loud", told="e"))
    assert heard == [1]


async def test_a_writer_who_stops_waiting_disturbs_nobody(database):
    leaving = asyncio.ensure_future(database.write("acme", adding("left")))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await database.write("acme", adding("stayed")) == 1
    assert "stayed" in await database.read("acme", names)


async def test_the_tenant_reaches_the_work(database):
    assert await database.write("acme", lambda transaction: transaction.tenant) == "acme"


async def test_claims_of_two_at_once_share_no_row(database):
    for number in range(20):
        await database.write("acme", adding(str(number), told=f"event-{number}"))

    def claim(transaction):
        return [one.seq for one in outbox.claim(transaction.connection, now=1000, until=2000, limit=7)]

    claimed = await asyncio.gather(*(database.write(EVERY, claim) for _ in range(5)))
    numbers = [number for some in claimed for number in some]
    assert len(numbers) == len(set(numbers))
    rest = [number for _ in range(3) for number in await database.write(EVERY, claim)]
    assert sorted(numbers + rest) == list(range(1, 21))


async def test_a_closed_database_says_so(database):
    await database.close()
    with pytest.raises(Unavailable, match="closed"):
        made = database.write("acme", adding("late"))
        assert inspect.isawaitable(made)
        await made
    with pytest.raises(Unavailable, match="closed"):
        await database.read("acme", names)


async def test_counts_are_exact_under_contention(database):
    await database.write("acme", adding("counter", 0))

    def add_one(transaction):
        query = select(things.c.size).where(things.c.id == "counter").with_for_update()
        size = transaction.connection.execute(query).scalar_one()
        transaction.connection.execute(things.update().where(things.c.id == "counter").values(size=size + 1))

    await asyncio.gather(*(database.write("acme", add_one) for _ in range(50)))
    total = await database.read("acme", lambda c: c.execute(select(func.sum(things.c.size))).scalar_one())
    assert total == 50
