"""What one process tells is heard by another one at once, and where that cannot be it is found by looking."""

import asyncio
import itertools

import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.database import open_database
from perdure.adapters.database_notices import Notices
from perdure.adapters.memory_bus import MemoryBus
from perdure.adapters.relay import Relay
from perdure.ports.database import Told
from tests.conformance.database.conftest import metadata

_numbers = itertools.count(1)


@pytest.fixture
def place(postgres_server, took_part) -> str:
    took_part(f"PostgreSQL {postgres_server.version}")
    return postgres_server.database(f"notices_{next(_numbers)}")


@pytest.fixture
async def opened(place):
    """Opens the database as often as there are processes."""
    made = []

    def opening(at: str = place):
        made.append(open_database(at, "things", metadata if not made else None))
        return made[-1]

    yield opening
    for database in made:
        await database.close()


def telling(subject: str):
    return lambda transaction: transaction.tell(Told(type="t.v1", subject=subject, data={}))


async def heard(database) -> None:
    await asyncio.wait_for(database._notices.is_heard.wait(), 20)


async def rung(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 20)
    event.clear()


async def test_another_process_hears_of_what_nobody_hears_here(opened):
    one, other = opened(), opened()
    ear = asyncio.Event()
    other.on_told(ear.set, others=True)
    await heard(other)
    ear.clear()
    await one.write("acme", telling("a"))
    await rung(ear)
    await one.write("acme", lambda transaction: None)
    with pytest.raises(ZeroDivisionError):
        await one.write("acme", lambda transaction: (telling("b")(transaction), 1 / 0))
    await other._notify("not ours")
    await one.write("acme", telling("c"))
    await rung(ear)
    assert not ear.is_set()


async def test_whoever_hears_it_himself_tells_nobody_else(opened):
    one, other = opened(), opened()
    mine, theirs = [], []
    one.on_told(lambda: mine.append(1))
    other.on_told(lambda: theirs.append(1), others=True)
    await heard(other)
    before = len(theirs)
    await one.write("acme", telling("a"))
    await one._notify("and this comes behind it")
    await one._notify("")
    while len(theirs) == before:
        await asyncio.sleep(0.001)
    assert (len(mine), len(theirs)) == (1, before + 1)


async def test_a_relay_sends_at_once_what_another_process_told(opened):
    gateway, worker = opened(), opened()
    bus, got = MemoryBus(clock=SystemClock(), database=worker), asyncio.Event()

    async def listener(event):
        got.set()

    await bus.subscribe("all", "workflow.events", ("t.v1",), listener)
    relay = Relay(worker, bus, "workflow.events", clock=SystemClock(), poll=60, others=True)
    await relay.open()
    await heard(worker)
    await gateway.write("acme", telling("a"))
    await asyncio.wait_for(got.wait(), 20)
    await relay.close()
    await bus.close()


async def test_a_lost_connection_is_made_again_and_what_was_missed_is_looked_for(opened, postgres_server):
    one, other = opened(), opened()
    ear = asyncio.Event()
    other.on_told(ear.set, others=True)
    await heard(other)
    ear.clear()
    assert postgres_server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await rung(ear)  # as it listens again, it looks
    await heard(other)
    ear.clear()
    await one.write("acme", telling("a"))
    await rung(ear)


async def test_behind_a_pooler_it_gives_up_and_looks(
    opened, place, request, postgres_server, took_part, monkeypatch, caplog
):
    took_part("PgBouncer in transaction mode")
    monkeypatch.setattr("perdure.adapters.database_notices._ECHO", 0.3)
    port = request.getfixturevalue("pgbouncer_port")
    opened()
    pooled = opened(place.replace(f":{postgres_server.port}/", f":{port}/"))
    rings = []
    pooled.on_told(lambda: rings.append(1), others=True)
    notices: Notices = pooled._notices
    await asyncio.wait_for(notices.given_up(), 20)
    assert "given up" in repr(notices) and "do not arrive" in caplog.text
    await pooled.write("acme", telling("a"))
    assert rings
