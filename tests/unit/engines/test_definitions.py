"""Published workflows: written once, found by version."""

import pytest

from perdure.adapters.blobs_memory import MemoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.engines.temporal.codec import Codec
from perdure.engines.temporal.definitions import Definitions, order
from perdure.errors import Conflict, NotFound


def definition(text):
    return {"document": {"do": text}, "resources": {}}


@pytest.fixture
def definitions():
    blobs = MemoryBlobs(SystemClock())
    return Definitions(blobs, Codec(blobs))


async def test_a_version_is_written_once(definitions):
    await definitions.publish("acme", ("test", "demo", "1.0.0"), definition("a"))
    await definitions.publish("acme", ("test", "demo", "1.0.0"), definition("a"))
    with pytest.raises(Conflict, match="is published with another content"):
        await definitions.publish("acme", ("test", "demo", "1.0.0"), definition("b"))
    assert await definitions.find("acme", ("test", "demo", "1.0.0")) == definition("a")


async def test_the_latest_is_the_highest_version(definitions):
    for version in ("1.9.0", "1.10.0", "1.10.0-rc.1", "0.99.99"):
        await definitions.publish("acme", ("test", "demo", version), definition(version))
    assert await definitions.find("acme", ("test", "demo", "latest")) == definition("1.10.0")


@pytest.mark.parametrize("identity", [("test", "demo", "2.0.0"), ("test", "other", "1.0.0"), ("..", "demo", "1.0.0")])
async def test_what_is_not_there_is_said_with_what_is(definitions, identity):
    await definitions.publish("acme", ("test", "demo", "1.0.0"), definition("a"))
    with pytest.raises(NotFound) as error:
        await definitions.find("acme", identity)
    assert identity[1] in str(error.value)
    with pytest.raises(NotFound):
        await definitions.find("another", ("test", "demo", "1.0.0"))


def test_versions_are_in_the_order_of_semantic_versioning():
    versions = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-rc.2",
        "1.0.0-rc.11",
        "1.0.0",
        "1.0.1",
        "1.11.0",
    ]
    assert sorted(set(versions), key=order) == versions
