"""Every engine, in every configuration that its promise must hold in (`reliability.md` T4)."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from perdure.adapters.clock import SystemClock, TestClock
from perdure.engines.embedded.records import Tuning
from tests.conformance.engine.place import TENANT, Place  # noqa: F401 - TENANT for the tests
from tests.conformance.engine.temporal_place import TEMPORAL, temporal_place
from tests.conformance.engine.world import World

EMBEDDED = {
    "default": Tuning(),
    "evict-each-step": Tuning(evict="step"),
    "replay-each-step": Tuning(evict="replay"),
    "one-call": Tuning(calls=1),
    "one-timer": Tuning(timers=1, idle=0.0),
    "writer-thread": Tuning(commit="thread", snapshot_every=1),
}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=[*EMBEDDED, *TEMPORAL])
async def place(request: pytest.FixtureRequest, tmp_path: Path, world: World) -> AsyncIterator[Place]:
    made: Place
    if request.param in TEMPORAL:
        made = temporal_place(request, tmp_path, world, TEMPORAL[request.param])
    else:
        made = Place(tmp_path, world, SystemClock(), EMBEDDED[request.param])
    await made.engine.open()
    yield made
    await made.engine.close()


@pytest.fixture(params=["default", "evict-each-step", "replay-each-step", "one-timer"])
async def still_place(request: pytest.FixtureRequest, tmp_path: Path, world: World) -> AsyncIterator[Place]:
    """A place where time stands still until the test lets it pass, and where everything happens in the loop's thread."""
    tuning = msgspec.structs.replace(EMBEDDED[request.param], commit="inline")
    made = Place(tmp_path, world, TestClock(), tuning)
    await made.engine.open()
    yield made
    await made.engine.close()
