"""The relay between an outbox and a bus, on a temporary database and a clock that jumps."""

import asyncio

import pytest
from sqlalchemy import MetaData, func, select

from perdure.adapters import outbox
from perdure.adapters.clock import SystemClock, TestClock
from perdure.adapters.database import open_database
from perdure.adapters.memory_bus import MemoryBus
from perdure.adapters.relay import Relay
from perdure.errors import Unavailable
from perdure.ports.database import EVERY, Told


class Broker:
    """A bus that is told when to be away."""

    def __init__(self) -> None:
        self.away = 0
        self.got: list[dict] = []
        self.more = asyncio.Event()

    async def publish(self, exchange, event) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise Unavailable("The broker is away.")
        self.got.append(event)
        self.more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.got) < count:
                self.more.clear()
                await self.more.wait()


@pytest.fixture
async def database():
    opened = open_database("sqlite://", "things", MetaData())
    yield opened
    await opened.close()


@pytest.fixture
async def broker():
    return Broker()


@pytest.fixture
async def relay(database, broker):
    made = Relay(database, broker, "workflow.events", clock=SystemClock(), poll=60)
    await made.open()
    yield made
    await made.close()


def telling(*subjects: str):
    def work(transaction):
        for number, subject in enumerate(subjects):
            transaction.tell(Told(type="t.v1", subject=subject, data={"number": number}))

    return work


async def left(database) -> int:
    return (await database.read(EVERY, lambda connection: outbox.waiting(connection, EVERY)))[0]


async def settled(database) -> None:
    async with asyncio.timeout(20):
        while await left(database):
            await asyncio.sleep(0.005)


async def test_what_is_told_goes_out_at_once_and_is_marked(database, broker, relay):
    await database.write("acme", telling("a", "b"))
    await broker.until(2)
    assert {event["tenant"] for event in broker.got} == {"acme"}
    await settled(database)
    assert relay.published == 2


async def test_events_of_a_subject_go_out_in_order(database, broker, relay):
    for _ in range(20):
        await database.write("acme", telling("a", "a", "b", "a"))
    await broker.until(80)
    mine = [event["data"]["number"] for event in broker.got if event["subject"] == "a"]
    assert mine == [0, 1, 3] * 20


async def test_a_broker_that_was_away_gets_everything_in_order(database, broker, relay):
    broker.away = 3
    for _ in range(5):
        await database.write("acme", telling("a", "a"))
    await broker.until(10)
    await settled(database)
    assert [event["data"]["number"] for event in broker.got] == [0, 1] * 5
    assert relay.failed >= 1


async def test_what_lay_there_goes_out_at_the_start(database, broker):
    await database.write("acme", telling("a", "b", "c"))
    relay = Relay(database, broker, "workflow.events", clock=SystemClock(), poll=60)
    await relay.open()
    await broker.until(3)
    await relay.close()
    assert await left(database) == 0


async def test_what_a_dead_relay_claimed_goes_out_later(database, broker):
    clock = TestClock(now=1_000_000)
    await database.write("acme", telling("a"))
    await database.write(EVERY, lambda t: len(outbox.claim(t.connection, clock.now(), clock.now() + 60_000, 10)))
    relay = Relay(database, broker, "workflow.events", clock=clock, poll=0.01)
    await relay.open()
    await asyncio.sleep(0.05)
    assert broker.got == []
    clock.advance(61)
    await broker.until(1)
    await relay.close()


async def test_a_relay_that_is_alone_does_not_wait_for_the_dead(database, broker):
    clock = TestClock(now=1_000_000)
    await database.write("acme", telling("a"))
    await database.write(EVERY, lambda t: len(outbox.claim(t.connection, clock.now(), clock.now() + 60_000, 10)))
    relay = Relay(database, broker, "workflow.events", clock=clock, alone=True)
    await relay.open()
    await broker.until(1)
    await relay.close()


async def test_two_relays_publish_each_event_once(database, broker):
    relays = [Relay(database, broker, "workflow.events", clock=SystemClock(), poll=0.01) for _ in range(2)]
    for relay in relays:
        await relay.open()
    for number in range(50):
        await database.write("acme", telling(str(number)))
    await broker.until(50)
    await settled(database)
    assert len(broker.got) == 50
    for relay in relays:
        await relay.close()


async def test_old_rows_are_cleaned_away(database, broker):
    clock = TestClock(now=1_000_000_000_000)
    await database.write("acme", telling("a"))
    await database.write("acme", lambda t: t.once("event-1"))
    await database.write(EVERY, lambda t: outbox.mark_sent(t.connection, [1], clock.now() - 8 * 86_400_000))
    await database.write("acme", telling("b"))
    relay = Relay(database, broker, "workflow.events", clock=clock, poll=0.01)
    await relay.open()
    await broker.until(1)
    await relay.close()
    rows = await database.read(EVERY, lambda c: c.execute(select(func.count()).select_from(outbox.outbox)).scalar())
    assert rows == 1


async def test_an_event_that_a_listener_cannot_take_yet_stays_in_the_outbox(database):
    bus = MemoryBus(pauses=(0.0,) * 50)
    heard = asyncio.Event()

    async def slow(event) -> None:
        heard.set()
        await asyncio.Event().wait()

    await bus.subscribe("slow", "workflow.events", ("*",), slow)
    relay = Relay(database, bus, "workflow.events", clock=SystemClock())
    await relay.open()
    await database.write("acme", telling("a"))
    await asyncio.wait_for(heard.wait(), 5)
    await relay.close(patience=0.01)
    assert await left(database) == 1


async def test_where_the_trace_leads_travels_with_the_event(broker):
    database = open_database("sqlite://", "things", MetaData(), trace=lambda: "00-1-2-01")
    await database.write("acme", telling("a"))
    (event,) = await database.write(EVERY, lambda t: outbox.claim(t.connection, 1, 2, 10))
    assert event.event["traceparent"] == "00-1-2-01"
    await database.close()


async def test_what_is_being_claimed_at_the_end_goes_out(database, broker):
    """Else it would wait for the end of a claim that nobody holds any more."""

    class Slow:
        def __init__(self) -> None:
            self.claimed, self.go = asyncio.Event(), asyncio.Event()

        def __getattr__(self, name):
            return getattr(database, name)

        async def write(self, tenant, work):
            found = await database.write(tenant, work)
            if isinstance(found, list) and found and not self.claimed.is_set():
                self.claimed.set()
                await self.go.wait()
            return found

    slow = Slow()
    await database.write("acme", telling("a", "b"))
    relay = Relay(slow, broker, "workflow.events", clock=SystemClock())
    await relay.open()
    await asyncio.wait_for(slow.claimed.wait(), 5)
    closing = asyncio.create_task(relay.close())
    await asyncio.sleep(0)
    slow.go.set()
    await closing
    assert len(broker.got) == 2
    assert await left(database) == 0
