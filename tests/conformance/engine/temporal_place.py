"""The same installation on a real Temporal server, with a worker in this process."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.ports.engine import Entry
from tests.conformance.engine.place import Place
from tests.conformance.engine.world import World


class Driving(msgspec.Struct, frozen=True):
    """How hard it is made."""

    calls: int = 500
    """A new execution after so many calls."""
    cached: int = 1000
    """Workflows that a worker keeps in memory; 0: each of its tasks replays the whole history."""


TEMPORAL = {
    "temporal": Driving(),
    "temporal-new-execution-each-call": Driving(calls=1),
    "temporal-replay-each-task": Driving(cached=0),
}


class TemporalPlace(Place):
    """An engine and a worker, which come and go together; the server stays."""

    patience = 60.0
    """The server gives a decision that it had given to a worker that is gone to another one after five seconds."""

    def __init__(self, target: str, folder: Path, world: World, driving: Driving) -> None:
        # Only where a test asks for it: these libraries may be absent.
        from perdure.engines.temporal.connection import Address
        from perdure.engines.temporal.engine import TemporalEngine
        from perdure.engines.temporal.protocol import Limits

        self.world = world
        self.clock = SystemClock()
        self._driving = driving
        self._blobs = DirectoryBlobs(folder)
        self._installation = f"test-{uuid.uuid4()}"
        limits = Limits(heartbeat=2.0, redelivery=0.05, calls=driving.calls, depth=8)
        self._make = lambda: TemporalEngine(
            Address(target=target), world, self._blobs, installation=self._installation, limits=limits
        )
        self.engine: Any = Opening(self._make(), self)

    async def open_worker(self) -> None:
        from perdure.engines.temporal.worker import TemporalWorker

        self.worker = TemporalWorker(
            self.engine.client, self._installation, self._blobs, self.world, clock=self.clock,
            cached=self._driving.cached,
        )  # fmt: skip
        await self.worker.open()

    async def reopen(self) -> None:
        # What the server has just given to a worker that leaves, it gives to another one after five seconds.
        await self.turn()
        await self.engine.close()
        self.engine = Opening(self._make(), self)
        await self.engine.open()

    def settled(self, entries: list[Entry]) -> list[Entry]:
        """The moment of what no worker has decided yet is known when one has."""
        return [msgspec.structs.replace(entry, at=0) for entry in entries]

    async def turn(self) -> None:
        await asyncio.sleep(0.1)

    @property
    def tally(self) -> Any:
        return self.worker.tally

    async def standing(self) -> dict[tuple[str, ...], float]:
        await self.engine.standing.look()
        return self.engine.standing.open()

    async def calls_end(self) -> None:
        for _ in range(500):
            if self.worker.calls.under_way == 0:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"calls are still under way: {self.worker!r}")


class Opening:
    """The engine, with its worker opened and closed along with it."""

    def __init__(self, engine: Any, place: TemporalPlace) -> None:
        self._engine = engine
        self._place = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def open(self) -> None:
        await self._engine.open()
        await self._place.open_worker()

    async def close(self) -> None:
        await self._place.worker.close()
        await self._engine.close()


def temporal_place(request: pytest.FixtureRequest, folder: Path, world: World, driving: Driving) -> TemporalPlace:
    server = request.getfixturevalue("temporal_server")
    request.getfixturevalue("took_part")("Temporal server")
    return TemporalPlace(server.target, folder, world, driving)
