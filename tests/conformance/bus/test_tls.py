"""RabbitMQ over TLS: with the broker's own authority named in the address, and with nobody trusted who is not."""

import pytest

from perdure.adapters.rabbitmq_bus import RabbitBus
from perdure.errors import Unavailable
from tests.conformance.bus.conftest import Ear

EVENT = {"specversion": "1.0", "id": "1", "source": "/perdure/test", "type": "dev.test.secured.v1"}


@pytest.fixture
async def opened():
    made = []

    def bus(url):
        made.append(RabbitBus(url))
        return made[-1]

    yield bus
    for one in made:
        await one.close()


async def test_events_travel_sealed(rabbit_server, opened, took_part):
    took_part(f"RabbitMQ {rabbit_server.version} over TLS")
    bus, ear = opened(rabbit_server.secure_url), Ear()
    await bus.subscribe("secured", "workflow.events", (EVENT["type"],), ear)
    await bus.publish("workflow.events", EVENT)
    await ear.until(lambda: ear.heard)
    assert ear.heard == [EVENT]


async def test_a_certificate_of_nobody_that_is_trusted_is_refused(rabbit_server, opened):
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await opened(rabbit_server.secure_url.partition("?")[0]).check()


async def test_a_server_that_speaks_no_tls_is_refused(rabbit_server, opened):
    with pytest.raises(Unavailable, match="RabbitMQ cannot be reached"):
        await opened(rabbit_server.url.replace("amqp:", "amqps:")).check()
