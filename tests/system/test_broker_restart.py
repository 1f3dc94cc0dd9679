"""RabbitMQ is killed under the outbox, and poison is fed to it (reliability.md, T12 and T15)."""

import asyncio
import random

import pytest
from sqlalchemy import Column, MetaData, Table, Text, insert, select

from perdure.adapters import outbox
from perdure.adapters.clock import SystemClock
from perdure.adapters.database import open_database
from perdure.adapters.rabbitmq_bus import RabbitBus
from perdure.adapters.relay import Relay
from perdure.ports.database import EVERY, Told
from tests.servers.rabbitmq import running

KILLS = 3
AHEAD = 200
"""Events that are told and not done yet, at most: however slow the machine is, what is left in the end is soon done."""
EXCHANGE = "workflow.events"
POISON = 100
metadata = MetaData()
effects = Table("effects", metadata, Column("tenant", Text), Column("event", Text))


@pytest.fixture(scope="module")
def broker():
    with running() as server:
        yield server


class Consumer:
    """A service that reacts once to each event: what it takes and what it does are one transaction."""

    def __init__(self, database) -> None:
        self.database = database
        self.deliveries = 0
        self.ids: set[str] = set()

    async def __call__(self, event) -> None:
        self.deliveries += 1
        self.ids.add(event["id"])

        def work(transaction) -> None:
            if transaction.once(event["id"]):
                row = {"tenant": transaction.tenant, "event": event["id"]}
                transaction.connection.execute(insert(effects), row)

        await self.database.write(event["tenant"], work)

    async def done(self) -> list[str]:
        return list(await self.database.read(EVERY, lambda c: c.execute(select(effects.c.event)).scalars().all()))


@pytest.mark.slow
async def test_nothing_is_lost_or_done_twice_when_the_broker_dies(broker, took_part, tmp_path):
    took_part(f"RabbitMQ {broker.version}, killed")
    teller = open_database(f"sqlite:///{tmp_path}/teller.db", "teller", metadata)
    consumer = Consumer(open_database(f"sqlite:///{tmp_path}/listener.db", "listener", metadata))
    bus = RabbitBus(broker.url)
    await bus.subscribe("listener", EXCHANGE, ("thing.*",), consumer)
    relay = Relay(teller, bus, EXCHANGE, clock=SystemClock(), poll=0.1)
    await relay.open()
    told: list[str] = []
    ending = asyncio.Event()

    async def tell() -> None:
        while not ending.is_set():
            if len(told) - len(consumer.ids) >= AHEAD:
                await asyncio.sleep(0.01)
                continue
            id = f"event-{len(told)}"
            told.append(id)
            event = Told(type="thing.added.v1", subject=str(len(told) % 17), data={}, id=id)
            await teller.write("acme", lambda transaction, event=event: transaction.tell(event))
            await asyncio.sleep(0.005)

    telling = asyncio.create_task(tell())
    chance = random.Random(12)
    async with asyncio.timeout(60):
        while not broker.has_kept("listener", 2):
            await asyncio.sleep(0.05)
    for _ in range(KILLS):
        seen = consumer.deliveries
        async with asyncio.timeout(60):
            while consumer.deliveries < seen + 20:
                await asyncio.sleep(0.01)
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
    ending.set()
    await telling
    async with asyncio.timeout(90):
        while len(await consumer.done()) < len(told):
            await asyncio.sleep(0.05)
        while (await teller.read(EVERY, lambda c: outbox.waiting(c, EVERY)))[0]:
            await asyncio.sleep(0.05)
    await relay.close()
    await bus.close()
    done = await consumer.done()
    await teller.close()
    await consumer.database.close()
    print(
        f"kills {broker.kills}, told {len(told)}, done {len(done)}, deliveries {consumer.deliveries}, published {relay.published}"
    )
    assert broker.kills == KILLS
    assert sorted(done) == sorted(told)


async def test_poison_is_delivered_an_exact_number_of_times_and_can_be_driven_again(broker, took_part):
    took_part(f"RabbitMQ {broker.version}")
    bus = RabbitBus(broker.url, pauses=(0.01, 0.01, 0.01))
    deliveries: dict[str, int] = {}
    is_mended = False

    async def take(event) -> None:
        deliveries[event["id"]] = deliveries.get(event["id"], 0) + 1
        if event["data"]["poison"] and not is_mended:
            raise ValueError("poison")

    await bus.subscribe("poisoned", EXCHANGE, ("poison.*",), take)
    for number in range(2 * POISON):
        event = {
            "id": str(number),
            "type": "poison.v1",
            "subject": "s",
            "tenant": "t",
            "data": {"poison": number % 2 == 0},
        }
        await bus.publish(EXCHANGE, event)
    async with asyncio.timeout(60):
        while sum(deliveries.values()) < 5 * POISON:
            await asyncio.sleep(0.02)
    assert deliveries == {str(number): 1 if number % 2 else 4 for number in range(2 * POISON)}
    is_mended = True
    driven = 0
    async with asyncio.timeout(60):
        while driven < POISON:  # the last letter may still be on its way to the others
            driven += await bus.redrive("poisoned")
        while sum(deliveries.values()) < 6 * POISON:
            await asyncio.sleep(0.02)
    assert deliveries == {str(number): 1 if number % 2 else 5 for number in range(2 * POISON)}
    assert await bus.redrive("poisoned") == 0
    await bus.close()
