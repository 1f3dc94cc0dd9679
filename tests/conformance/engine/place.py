"""An installation that the engine's tests talk to."""

import asyncio
from pathlib import Path
from typing import Any

from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from perdure.ports.engine import Entry
from tests.conformance.engine.world import World, workflow

TENANT = "acme"


class Place:
    """One installation: an engine on a folder, which can be closed and opened again."""

    patience = 20.0
    """Seconds in which a run ends."""

    def __init__(self, folder: Path, world: World, clock: Any, tuning: Tuning) -> None:
        self.world = world
        self.clock = clock
        self._make = lambda: EmbeddedEngine(folder, world, clock=clock, tuning=tuning)
        self.engine = self._make()

    async def reopen(self) -> None:
        """Close the engine and open a new one on the same folder."""
        await self.engine.close()
        self.engine = self._make()
        await self.engine.open()

    async def run(self, tasks: str, input: Any = None, **more: Any) -> Any:
        """Run a document to its end."""
        run = await self.begin(tasks, input, **more)
        return await self.end(run)

    async def begin(self, tasks: str, input: Any = None, *, run: str | None = None, **more: Any) -> str:
        return await self.engine.start(
            TENANT, workflow(self.world, tasks, **more), {} if input is None else input, run=run
        )

    async def end(self, run: str) -> Any:
        return await asyncio.wait_for(self.engine.wait(TENANT, run), self.patience)

    def settled(self, entries: list[Entry]) -> list[Entry]:
        """Entries as everybody sees them, whenever they read."""
        return entries

    async def reaches(self, run: str, status: str) -> None:
        """Return when the run shows this status, which it does after a few turns of the loop."""
        for _ in range(5000):
            if (await self.engine.describe(TENANT, run)).status == status:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"{run} never became {status}: {await self.engine.describe(TENANT, run)}")

    async def advance(self, seconds: float) -> None:
        """Let time pass for an engine with a test clock, in turns so that new timers count from where they begin."""
        await self.turn()
        self.clock.advance(seconds)
        await self.turn()

    async def turn(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    @property
    def tally(self) -> Any:
        """What was counted of runs since the last opening."""
        return self.engine.tally

    async def standing(self) -> dict[tuple[str, ...], float]:
        """How many runs there are that may still change."""
        return self.engine.tally.open()

    async def calls_end(self) -> None:
        """No call is under way."""
        assert "under way=0" in repr(self.engine._calls)
