"""What `ports/bus.py` promises, on every bus."""

import asyncio

import pytest

from perdure.errors import Unavailable
from tests.conformance.bus.conftest import DELIVERIES, Ear

EXCHANGE = "workflow.events"


async def test_an_event_arrives_as_it_was_published(place, bus):
    ear = Ear()
    await bus.subscribe(place.name("a"), EXCHANGE, place.types("*"), ear)
    event = place.event(1, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await bus.publish(EXCHANGE, event)
    await ear.until(lambda: ear.heard)
    assert ear.heard == [event]


@pytest.mark.parametrize("exchange", ["workflow.events", "agent.events", "system.events"])
async def test_only_what_matches_arrives(place, bus, exchange):
    one, every, exact = Ear(), Ear(), Ear()
    await asyncio.gather(
        bus.subscribe(place.name("one"), exchange, place.types("approval.*"), one),
        bus.subscribe(place.name("every"), exchange, place.types("*"), every),
        bus.subscribe(place.name("exact"), exchange, place.types("thing.added.v1", "thing.gone.v1"), exact),
    )
    types = ["approval.requested.v1", "thing.added.v1", "approval.decided.v1", "thing.gone.v1", "thing.added.v12"]
    for number, type in enumerate(types):
        await bus.publish(exchange, place.event(number, type))
    await every.until(lambda: len(every.heard) == 5)
    await one.until(lambda: len(one.heard) == 2)
    await exact.until(lambda: len(exact.heard) == 2)
    assert (one.numbers, every.numbers, exact.numbers) == ([0, 2], [0, 1, 2, 3, 4], [1, 3])


async def test_what_is_kept_for_a_name_waits_for_who_subscribes_under_it(place, bus):
    if not place.is_broker:
        pytest.skip("in one process everybody subscribes before anything is published")
    await bus.keep(place.name("late"), EXCHANGE, place.types("thing.*"))
    await bus.publish(EXCHANGE, place.event(1))
    ear = Ear()
    other = await place.bus()
    await other.subscribe(place.name("late"), EXCHANGE, place.types("thing.*"), ear)
    await ear.until(lambda: ear.heard)
    assert ear.numbers == [1]


async def test_exchanges_are_apart(place, bus):
    ear = Ear()
    await bus.subscribe(place.name("a"), EXCHANGE, place.types("*"), ear)
    await bus.publish("agent.events", place.event(1))
    await bus.publish(EXCHANGE, place.event(2))
    await ear.until(lambda: ear.heard)
    assert ear.numbers == [2]


async def test_who_shares_a_name_shares_the_events(place, bus):
    other = await place.bus() if place.is_broker else bus
    ears = Ear(), Ear()
    await bus.subscribe(place.name("a"), EXCHANGE, place.types("*"), ears[0])
    await other.subscribe(place.name("a"), EXCHANGE, place.types("*"), ears[1])
    both = Ear()

    async def count(event) -> None:
        await both(event)

    await bus.subscribe(place.name("b"), EXCHANGE, place.types("*"), count)
    await asyncio.gather(*(bus.publish(EXCHANGE, place.event(number)) for number in range(30)))
    await both.until(lambda: len(both.heard) == 30)
    async with asyncio.timeout(30):
        while len(ears[0].heard) + len(ears[1].heard) < 30:
            await asyncio.sleep(0.01)
    assert sorted(ears[0].numbers + ears[1].numbers) == list(range(30))


async def test_a_listener_that_fails_is_asked_again(place, bus):
    ear = Ear(failures=DELIVERIES - 1)
    await bus.subscribe(place.name("a"), EXCHANGE, place.types("*"), ear)
    await bus.publish(EXCHANGE, place.event(1))
    await ear.until(lambda: ear.heard)
    assert ear.deliveries == DELIVERIES


async def test_a_listener_that_fails_disturbs_no_other(place, bus):
    bad, good = Ear(failures=10_000), Ear()
    await asyncio.gather(
        bus.subscribe(place.name("bad"), EXCHANGE, place.types("*"), bad),
        bus.subscribe(place.name("good"), EXCHANGE, place.types("*"), good),
    )
    for number in range(5):
        await bus.publish(EXCHANGE, place.event(number))
    await good.until(lambda: len(good.heard) == 5)
    await bad.until(lambda: bad.deliveries == 5 * DELIVERIES)


async def test_a_poison_event_becomes_a_dead_letter_and_can_be_driven_again(place, bus):
    ear = Ear(failures=3 * DELIVERIES)
    name = place.name("a")
    await bus.subscribe(name, EXCHANGE, place.types("*"), ear)
    for number in range(3):
        await bus.publish(EXCHANGE, place.event(number))
    await ear.until(lambda: ear.deliveries == 3 * DELIVERIES)
    assert ear.heard == []
    await bus.publish(EXCHANGE, place.event(3))
    await ear.until(lambda: ear.heard)
    assert ear.numbers == [3]
    assert await redriven(bus, name, 2, limit=2) == 2
    await ear.until(lambda: len(ear.heard) == 3)
    assert await redriven(bus, name, 1) == 1
    await ear.until(lambda: len(ear.heard) == 4)
    assert ear.numbers == [0, 1, 2, 3]
    assert await bus.redrive(name) == 0
    assert await bus.redrive(place.name("nobody")) == 0


async def redriven(bus, name: str, wanted: int, limit: int = 1000) -> int:
    """A broker may need a moment to move the last letter to the others."""
    total = 0
    async with asyncio.timeout(30):
        while total < wanted:
            total += await bus.redrive(name, limit=limit - total)
    return total


async def test_an_event_to_nobody_is_confirmed(place, bus):
    await bus.publish(EXCHANGE, place.event(1))


async def test_a_closed_bus_says_so(place, bus):
    await bus.close()
    with pytest.raises(Unavailable):
        await bus.publish(EXCHANGE, place.event(1))
