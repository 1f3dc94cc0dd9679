"""Which broker an address names. Their libraries are extras, and slow to import: only the one that is named is loaded."""

from collections.abc import Awaitable
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from perdure.errors import Invalid
from perdure.ports.bus import Bus


@runtime_checkable
class Broker(Bus, Protocol):
    """A bus that is a process of its own, and may be away."""

    def check(self) -> Awaitable[None]:
        """Unavailable when it cannot be reached now."""
        ...


def broker(url: str) -> Broker:
    """The bus at an address; it connects by itself. Invalid for one that cannot be meant, or a missing extra."""
    scheme = urlsplit(url).scheme
    if scheme in ("amqp", "amqps"):
        from perdure.adapters.rabbitmq_bus import RabbitBus

        return RabbitBus(url)
    if scheme == "kafka":
        from perdure.adapters.kafka_bus import KafkaBus

        return KafkaBus(url)
    raise Invalid(
        "PERDURE_BUS_URL is no broker that is known.", hint="Write amqp://… for RabbitMQ or kafka://HOST:PORT."
    )
