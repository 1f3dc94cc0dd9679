"""What requests to models cost, recorded many at once, on each database: every request once, and sums that agree."""

import pytest
from sqlalchemy import select

from perdure.adapters.database import open_database
from perdure.services.agents.models import Usage
from perdure.services.agents.store import metadata, sums, usage
from perdure.services.agents.store_spending import add_usages, find_usage


@pytest.fixture
async def database(url, taking_part):
    opened = open_database(url, "agents", metadata)
    yield opened
    await opened.close()


def used(call, model="m", cost=10):
    return Usage(tenant="a", call=call, at=1, day="2026-01-01", model=model, input=3, output=2, cost=cost)


async def test_each_is_recorded_once_and_added_up(database):
    def record(*given):
        return lambda tx: add_usages(tx.connection, "a", given)

    assert await database.write("a", record(used("1"), used("1", cost=99), used("2", "n"))) == [True, False, True]
    many = [used(str(number)) for number in range(1200)]
    made = await database.write("a", record(*many, used("x", cost=None)))
    assert [one.call for one, is_new in zip(many, made, strict=False) if not is_new] == ["1", "2"]
    assert await database.write("a", record(*many)) == [False] * 1200
    totals = await database.read("a", lambda c: c.execute(select(sums).order_by(sums.c.model)).mappings().all())
    told = [tuple(row[name] for name in ("model", "requests", "input", "output", "cost", "unpriced")) for row in totals]
    assert told == [("m", 1200, 3600, 2400, 11990, 1), ("n", 1, 3, 2, 10, 0)]
    assert len(await database.read("a", lambda c: c.execute(select(usage.c.call)).all())) == 1201


async def test_many_at_once_are_written_as_each_alone(database):
    prices = (None, {"input": 1.25, "tiers": [{"above": 200_000}]}, 0.1, "é\u2028\"'", [])
    given = [
        Usage(
            tenant="a", call=f"{way}{number}", at=2**40 + number, day="2026-01-01", run="r", path="/do/0", agent="ä",
            key="k", project="p", model="m\u00e9/\"x'", provider="p", input=2**53 - 1, output=1, cached=number,
            cost=None if number % 2 else number * 10**12, price=price,
        )
        for way in ("together", "alone") for number, price in enumerate([*prices, *prices])
    ]  # fmt: skip
    half = len(given) // 2
    assert all(await database.write("a", lambda tx: add_usages(tx.connection, "a", given[:half])))
    together = await database.read("a", lambda c: c.execute(select(sums)).mappings().all())
    for one in given[half:]:
        assert await database.write("a", lambda tx, one=one: add_usages(tx.connection, "a", [one])) == [True]
    found = await database.read(
        "a", lambda c: find_usage(c, "a", where={}, since=None, until=None, before=None, limit=100)
    )
    assert sorted(found, key=lambda one: one.call) == sorted(given, key=lambda one: one.call)
    both = await database.read("a", lambda c: c.execute(select(sums)).mappings().all())
    added = ("requests", "input", "output", "cached", "cost", "unpriced")
    assert [{name: 2 * row[name] for name in added} for row in together] == [
        {name: row[name] for name in added} for row in both
    ]
