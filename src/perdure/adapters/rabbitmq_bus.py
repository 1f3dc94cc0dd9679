"""The bus on RabbitMQ: publisher confirms, quorum queues with a delivery limit, dead letters by the exchange `dlx`.

`workflow.events` and `agent.events` are topic exchanges, `system.events` is a fanout. Each subscription is one queue,
`NAME@EXCHANGE`, shared by all processes of that name; what its listener cannot take ends in `NAME.dead`. A lost
connection is made anew for as long as it takes.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.adapters.subscriptions import LONGEST_PAUSE, PAUSES, Subscription, type_of
from perdure.errors import PerdureError, Unavailable, extra, reason
from perdure.ports.bus import Exchange, Listener

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

KINDS = {"workflow.events": "topic", "agent.events": "topic", "system.events": "fanout"}
DEAD = "dlx"
_SECONDS = 10.0
_FEWEST_SECONDS = 0.5
"""Between two tries to connect, however many want to publish."""
_AT_ONCE = 50
"""Events of one subscription that a process works on at the same time."""
_log = logging.getLogger("perdure.bus")


class RabbitBus:
    """Implements `ports/bus.py`."""

    def __init__(self, url: str, *, pauses: Sequence[float] = PAUSES) -> None:
        self._url = url
        self._pauses = pauses
        self._connection: AbstractConnection | None = None
        self._publishing: AbstractChannel | None = None
        self._connecting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_work: set[asyncio.Task[None]] = set()
        self._closed = False
        self._not_before = 0.0
        self._reason = ""
        with extra("rabbitmq", "RabbitMQ"):
            import aio_pika  # noqa: F401 - heavy, and installed only with the extra

    def __repr__(self) -> str:
        return f"RabbitBus({len(self._tasks)} subscriptions)"

    async def publish(self, exchange: Exchange, event: dict[str, Any]) -> None:
        async with self._reaching():
            channel = await self._channel()
            target = await channel.get_exchange(exchange, ensure=False)
            await target.publish(self._message(event), type_of(event), mandatory=False, timeout=_SECONDS)

    async def subscribe(self, name: str, exchange: Exchange, types: tuple[str, ...], listener: Listener) -> None:
        subscription = Subscription(name, exchange, types, listener)
        async with self._reaching():
            channel = await self._consume(subscription)
        task = asyncio.create_task(self._stay(subscription, channel), name=f"bus {_queue(subscription)}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def keep(self, name: str, exchange: Exchange, types: tuple[str, ...]) -> None:
        async with self._reaching():
            channel = await (await self._connected()).channel()
            try:
                await self._declare(channel, name, exchange, types)
            finally:
                await _closed(channel)

    async def redrive(self, name: str, limit: int = 1000) -> int:
        async with self._reaching():
            channel = await self._channel()
            letters = await self._dead(channel, name)
        count = 0
        while count < limit:
            async with self._reaching():
                letter = await letters.get(fail=False, timeout=_SECONDS)
                if letter is None:
                    break
                origin = str(letter.headers.get("x-first-death-queue", ""))
                message = self._message(msgspec.json.decode(letter.body))
                await channel.default_exchange.publish(message, origin, mandatory=True, timeout=_SECONDS)
                await letter.ack()
                count += 1
        return count

    async def check(self) -> None:
        """Unavailable when the broker cannot be reached now."""
        async with self._reaching():
            await self._channel()

    async def close(self) -> None:
        """Take nothing more; a listener at work may finish for a moment, else its event comes again elsewhere."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=_SECONDS / 2)
        await self._drop()

    # Connections.

    async def _connected(self) -> "AbstractConnection":
        import aio_pika  # heavy, and installed only with the extra

        async with self._connecting:
            if self._closed:
                raise Unavailable("The bus is closed.")
            if self._connection is None or not self._connection.connected.is_set():
                await self._drop()
                if asyncio.get_running_loop().time() < self._not_before:
                    raise ConnectionError(self._reason)
                connection = aio_pika.Connection(aio_pika.connection.make_url(self._url))
                try:
                    await connection.connect(timeout=_SECONDS)
                except _lost() as error:
                    await connection.close()  # else it would be closed when it is forgotten, in whatever thread that is
                    self._reason = str(error)
                    self._not_before = asyncio.get_running_loop().time() + _FEWEST_SECONDS
                    raise
                self._connection = connection
                async with connection.channel() as channel:
                    for name, kind in {**KINDS, DEAD: "direct"}.items():
                        await channel.declare_exchange(name, aio_pika.ExchangeType(kind), durable=True)
            return self._connection

    async def _drop(self) -> None:
        lost, self._connection, self._publishing = self._connection, None, None
        if lost is not None:
            with contextlib.suppress(Exception):  # it is gone; what was not acknowledged comes again
                await asyncio.wait_for(lost.close(), _SECONDS / 2)

    async def _channel(self) -> "AbstractChannel":
        """The channel for publishing, whose every message is confirmed."""
        connection = await self._connected()
        async with self._connecting:
            if self._publishing is None or self._publishing.is_closed:
                self._publishing = await connection.channel(publisher_confirms=True)
            return self._publishing

    async def _dead(self, channel: "AbstractChannel", name: str) -> "AbstractQueue":
        queue = await channel.declare_queue(f"{name}.dead", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(DEAD, name)
        return queue

    async def _declare(
        self, channel: "AbstractChannel", name: str, exchange: Exchange, types: tuple[str, ...]
    ) -> "AbstractQueue":
        """The queue of a name, bound; it is there for good."""
        await self._dead(channel, name)
        queue = await channel.declare_queue(
            f"{name}@{exchange}",
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": len(self._pauses),
                "x-dead-letter-exchange": DEAD,
                "x-dead-letter-routing-key": name,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",  # which that strategy asks for
            },
        )
        for pattern in types:
            await queue.bind(exchange, binding(pattern))
        return queue

    async def _consume(self, subscription: Subscription) -> "AbstractChannel":
        """Declare the queue, bind it and begin to take from it."""
        channel = await (await self._connected()).channel()
        try:
            await self._begin(subscription, channel)
        except BaseException:  # also when it takes too long: nobody else must find this channel half made
            await _closed(channel)
            raise
        return channel

    async def _begin(self, subscription: Subscription, channel: "AbstractChannel") -> None:
        await channel.set_qos(prefetch_count=_AT_ONCE)
        queue = await self._declare(channel, subscription.name, subscription.exchange, subscription.types)

        async def take(message: "AbstractIncomingMessage") -> None:
            task = asyncio.current_task()
            assert task is not None
            self._at_work.add(task)
            try:
                await self._take(subscription, message)
            finally:
                self._at_work.discard(task)

        await queue.consume(take)

    async def _stay(self, subscription: Subscription, channel: "AbstractChannel") -> None:
        """Subscribe anew whenever the channel is lost."""
        while True:
            await channel.closed()
            pause = 0.1
            while True:
                try:
                    async with self._reaching():
                        channel = await self._consume(subscription)
                    break
                except Unavailable as error:
                    _log.warning("%s waits for the broker: %s", _queue(subscription), error.message)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)

    # Events.

    async def _take(self, subscription: Subscription, message: "AbstractIncomingMessage") -> None:
        """Acknowledge what the listener took; give back, after a pause, what it did not. The broker counts."""
        try:
            await subscription.take(message.body)
        except Exception as error:  # noqa: BLE001 - a listener may fail in any way; that is what retries are for
            before = int(str(message.headers.get("x-delivery-count", 0)))
            level = logging.WARNING if before < len(self._pauses) else logging.ERROR
            _log.log(level, "%s could not take event %s: %r", _queue(subscription), message.message_id, error)
            if before < len(self._pauses):
                await asyncio.sleep(self._pauses[before])
            with contextlib.suppress(*_lost()):  # then the broker gives it back by itself
                await message.reject(requeue=True)
            return
        with contextlib.suppress(*_lost()):  # it comes again, and the listener knows it
            await message.ack()

    def _message(self, event: dict[str, Any]) -> Any:
        from aio_pika import DeliveryMode, Message  # heavy, and installed only with the extra

        return Message(
            msgspec.json.encode(event),
            delivery_mode=DeliveryMode.PERSISTENT,
            content_type="application/cloudevents+json",
            message_id=str(event.get("id", "")),
            type=type_of(event),
        )

    @contextlib.asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        """Errors of the library as ours, and no wait for ever: a broker that has just started may leave a question about
        a quorum queue without an answer."""
        try:
            async with asyncio.timeout(_SECONDS):
                yield
        except PerdureError:
            raise
        except Exception as error:  # the library says some of what happens to a connection by a bare Exception
            raise Unavailable(f"RabbitMQ cannot be reached: {reason(error)}.") from error


def binding(pattern: str) -> str:
    """A pattern of event types as a routing pattern of RabbitMQ that lets at least the same through."""
    if pattern.endswith(".*") and "*" not in pattern[:-1]:
        return pattern[:-1] + "#"
    return "#" if "*" in pattern else pattern


def _queue(subscription: Subscription) -> str:
    return f"{subscription.name}@{subscription.exchange}"


async def _closed(channel: "AbstractChannel") -> None:
    with contextlib.suppress(Exception):  # it may be gone already
        await asyncio.wait_for(channel.close(), 1.0)


def _lost() -> tuple[type[BaseException], ...]:
    """What the library raises when the broker is away or has closed a channel."""
    from aio_pika.exceptions import AMQPError, ChannelInvalidStateError  # heavy, and loaded already by now

    return (
        AMQPError,
        ChannelInvalidStateError,
        ConnectionError,
        OSError,
        TimeoutError,
        asyncio.TimeoutError,
        RuntimeError,
    )
