"""The bus on Kafka: a topic an exchange, a consumer group a subscription, offsets committed after the listener.

Events of one subject share a partition. What a listener cannot take goes to the topic `NAME.dead`; driven again it comes
by a topic of the subscription's own, so nobody else hears it twice. A new subscription begins with the oldest event kept.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.adapters.subscriptions import LONGEST_PAUSE, PAUSES, Subscription
from perdure.errors import Unavailable, extra, reason
from perdure.ports.bus import Exchange, Listener

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

EXCHANGES = ("workflow.events", "agent.events", "system.events")
_SECONDS = 10.0
_AT_ONCE = 20
"""Events that a process takes from the broker at a time; all their retries fit into the broker's patience."""
_log = logging.getLogger("perdure.bus")


class KafkaBus:
    """Implements `ports/bus.py`. The address is `kafka://HOST:PORT`, several hosts separated by commas."""

    def __init__(
        self,
        url: str,
        *,
        pauses: Sequence[float] = PAUSES,
        partitions: int = 6,
        replicas: int = 1,
        session: float = 10.0,
    ) -> None:
        """`session`: seconds without a sign of life after which the broker gives a process's events to another."""
        self._servers = url.removeprefix("kafka://").rstrip("/")
        self._pauses = pauses
        self._partitions = partitions
        self._replicas = replicas
        self._session_ms = round(session * 1000)
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        with extra("kafka", "Kafka"):
            import aiokafka  # noqa: F401 - heavy, and installed only with the extra

    def __repr__(self) -> str:
        return f"KafkaBus({self._servers}, {len(self._tasks)} subscriptions)"

    async def publish(self, exchange: Exchange, event: dict[str, Any]) -> None:
        await self._send(exchange, msgspec.json.encode(event), str(event.get("subject", "")))

    async def subscribe(self, name: str, exchange: Exchange, types: tuple[str, ...], listener: Listener) -> None:
        subscription = Subscription(name, exchange, types, listener)
        with _reaching():
            await self._started()
            await self._make({f"{name}.dead": 1, _again(subscription): 1})
            consumer = await self._consumer(subscription)
        task = asyncio.create_task(self._stay(subscription, consumer), name=f"bus {name} {exchange}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def keep(self, name: str, exchange: Exchange, types: tuple[str, ...]) -> None:
        return  # a topic keeps everything, and who is new begins at its beginning

    async def redrive(self, name: str, limit: int = 1000) -> int:
        from aiokafka import AIOKafkaConsumer, TopicPartition  # heavy, and installed only with the extra

        with _reaching():
            await self._started()
            await self._make({f"{name}.dead": 1})
            letters = TopicPartition(f"{name}.dead", 0)
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._servers,
                group_id=f"{name}.redrive",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
            await consumer.start()
            try:
                consumer.assign([letters])
                return await self._drive(consumer, letters, limit)
            finally:
                await consumer.stop()

    async def check(self) -> None:
        """Unavailable when the broker cannot be reached now."""
        with _reaching():
            producer = await self._started()
            await asyncio.wait_for(producer.client.fetch_all_metadata(), _SECONDS)

    async def close(self) -> None:
        """Take nothing more; a listener at work may finish for a moment, else its event comes again elsewhere."""
        self._closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_SECONDS / 2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._producer is not None:
            with contextlib.suppress(Exception):  # it is leaving; what was not confirmed stays in the outbox
                await self._producer.stop()

    # Connections.

    async def _started(self) -> "AIOKafkaProducer":
        from aiokafka import AIOKafkaProducer  # heavy, and installed only with the extra

        async with self._starting:
            if self._closed:
                raise Unavailable("The bus is closed.")
            if self._producer is None:
                await self._make(dict.fromkeys(EXCHANGES, self._partitions))
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers, acks="all", request_timeout_ms=int(_SECONDS * 1000)
                )
                await producer.start()
                self._producer = producer
            return self._producer

    async def _make(self, topics: dict[str, int]) -> None:
        """Make the topics that are missing, each with so many partitions."""
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # heavy, and installed only with the extra
        from aiokafka.errors import TopicAlreadyExistsError

        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=int(_SECONDS * 1000))
        await admin.start()
        try:
            for name in topics.keys() - set(await admin.list_topics()):
                with contextlib.suppress(TopicAlreadyExistsError):
                    await admin.create_topics([NewTopic(name, topics[name], self._replicas)])
        finally:
            await admin.close()

    async def _consumer(self, subscription: Subscription) -> "AIOKafkaConsumer":
        from aiokafka import AIOKafkaConsumer  # heavy, and installed only with the extra

        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=f"{subscription.name}.{subscription.exchange}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // 3,
        )
        await consumer.start()
        # Not given to the constructor: the start would wait until the broker has divided them, some seconds for each group.
        consumer.subscribe([subscription.exchange, _again(subscription)])
        return consumer

    async def _send(self, topic: str, body: bytes, key: str, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        with _reaching():
            producer = await self._started()
            await asyncio.wait_for(
                producer.send_and_wait(topic, body, key=key.encode() or None, headers=headers), _SECONDS
            )

    # Events.

    async def _stay(self, subscription: Subscription, consumer: "AIOKafkaConsumer") -> None:
        """Take events until the end; after an error with a new consumer, from what was committed."""
        pause = 0.1
        current: AIOKafkaConsumer | None = consumer
        try:
            while not self._closed:
                try:
                    with _reaching():
                        current = current or await self._consumer(subscription)
                        await self._take(subscription, current)
                        pause = 0.1
                except Unavailable as error:
                    _log.warning("%s waits for the broker: %s", subscription.name, error.message)
                    if current is not None:
                        await _stopped(current)
                        current = None
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            if current is not None:
                await _stopped(current)

    async def _take(self, subscription: Subscription, consumer: "AIOKafkaConsumer") -> None:
        """One helping: partitions side by side, each in order; then what was taken is committed."""
        records = await consumer.getmany(timeout_ms=200, max_records=_AT_ONCE)
        if records:
            await asyncio.gather(*(self._in_order(subscription, several) for several in records.values()))
            await consumer.commit({place: several[-1].offset + 1 for place, several in records.items()})

    async def _in_order(self, subscription: Subscription, records: "list[ConsumerRecord[bytes, bytes]]") -> None:
        for record in records:
            await self._deliver(subscription, record)

    async def _deliver(self, subscription: Subscription, record: "ConsumerRecord[bytes, bytes]") -> None:
        """Hand over until it is taken; at the end the dead letters take it."""
        body = record.value or b"null"
        for pause in (*self._pauses, None):
            try:
                await subscription.take(body)
                return
            except Exception as error:  # noqa: BLE001 - a listener may fail in any way; that is what retries are for
                level = logging.WARNING if pause is not None else logging.ERROR
                _log.log(level, "%s could not take an event: %r", subscription.name, error)
            if pause is not None:
                await asyncio.sleep(pause)
        key = (record.key or b"").decode(errors="replace")
        await self._send(f"{subscription.name}.dead", body, key, [("again", _again(subscription).encode())])

    async def _drive(self, consumer: "AIOKafkaConsumer", letters: "TopicPartition", limit: int) -> int:
        count = 0
        end = (await consumer.end_offsets([letters]))[letters]
        while count < limit and await consumer.position(letters) < end:
            for record in (await consumer.getmany(timeout_ms=1000, max_records=limit - count)).get(letters, []):
                topic = dict(record.headers).get("again", b"").decode()
                await self._send(topic, record.value or b"null", (record.key or b"").decode(errors="replace"))
                await consumer.commit({letters: record.offset + 1})
                count += 1
        return count


def _again(subscription: Subscription) -> str:
    """The topic of what is driven again."""
    return f"{subscription.name}.{subscription.exchange}.again"


async def _stopped(consumer: "AIOKafkaConsumer") -> None:
    with contextlib.suppress(Exception):  # the broker may be away; the group notices
        await consumer.stop()


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    """Errors of the library as ours."""
    from aiokafka.errors import KafkaError  # heavy, and loaded already by now

    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"Kafka cannot be reached: {reason(error)}.") from error
