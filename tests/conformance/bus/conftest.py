"""The buses that the suite runs on. Exchanges are what they are in an installation; names are each test's own."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import MetaData

from perdure.adapters.database import open_database
from perdure.adapters.kafka_bus import KafkaBus
from perdure.adapters.memory_bus import MemoryBus
from perdure.adapters.rabbitmq_bus import RabbitBus

PAUSES = (0.01, 0.02, 0.03)
DELIVERIES = len(PAUSES) + 1


class Place:
    """A bus, and how to make another one as a second process would."""

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        self._make = make
        self.mark = uuid.uuid4().hex[:12]
        self.open: list[Any] = []

    async def bus(self) -> Any:
        made = await self._make()
        self.open.append(made)
        return made

    def name(self, of: str) -> str:
        return f"{of}-{self.mark}"

    def event(self, number: int, type: str = "thing.added.v1", **more: Any) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": f"{self.mark}-{number}",
            "source": "/perdure/test",
            "type": f"dev.perdure.{self.mark}.{type}",
            "subject": f"subject-{number % 3}",
            "tenant": "acme",
            "data": {"number": number, "text": "grüß \u0000 你好"},
            **more,
        }

    def types(self, *patterns: str) -> tuple[str, ...]:
        return tuple(f"dev.perdure.{self.mark}.{pattern}" for pattern in patterns)


class Ear:
    """A listener that keeps what it hears, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.heard: list[dict[str, Any]] = []
        self.failures = failures
        self.deliveries = 0
        self._more = asyncio.Event()

    async def __call__(self, event: dict[str, Any]) -> None:
        self.deliveries += 1
        self._more.set()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        self.heard.append(event)

    @property
    def numbers(self) -> list[int]:
        return sorted(event["data"]["number"] for event in self.heard)

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Return as soon as the condition holds; it is looked at after each delivery."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._more.clear()
                await self._more.wait()
                await asyncio.sleep(0)


async def memory(request):
    async def make() -> MemoryBus:
        return MemoryBus(pauses=PAUSES)

    return make, False


async def memory_database(request):
    database = open_database("sqlite://", "things", MetaData())
    request.node.closing.append(database)

    async def make() -> MemoryBus:
        return MemoryBus(pauses=PAUSES, database=database)

    return make, False


async def rabbitmq(request):
    server = request.getfixturevalue("rabbit_server")
    request.getfixturevalue("took_part")(f"RabbitMQ {server.version}")

    async def make() -> RabbitBus:
        return RabbitBus(server.url, pauses=PAUSES)

    return make, True


async def kafka(request):
    server = request.getfixturevalue("kafka_server")
    request.getfixturevalue("took_part")(f"Kafka protocol (Tansu {server.version})")

    async def make() -> KafkaBus:
        return KafkaBus(server.url, pauses=PAUSES, partitions=2, session=1.0)

    return make, True


BUSES = {"memory": memory, "memory-database": memory_database, "rabbitmq": rabbitmq, "kafka": kafka}


@pytest.fixture(params=BUSES)
async def place(request):
    request.node.closing = []
    make, is_broker = await BUSES[request.param](request)
    made = Place(make)
    made.is_broker = is_broker
    yield made
    for one in [*made.open, *request.node.closing]:
        await one.close()


@pytest.fixture
async def bus(place):
    return await place.bus()
