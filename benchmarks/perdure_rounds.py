"""Perdure's rounds: the whole product as `perdure run` builds it, in one process, on its journal."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from rounds import AT_ONCE, BRANCHES, CALLS, serve

import perdure
from perdure import wiring
from perdure.settings import Settings

TENANT = "bench"


def document(name: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole workflow around some tasks."""
    return {"document": {"dsl": "1.0.3", "namespace": "bench", "name": name, "version": "1.0.0"}, "do": tasks}


W10 = document("w10", [{f"call{i}": {"call": "noop"}} for i in range(CALLS)])
READS10 = document("reads10", [{f"call{i}": {"call": "look"}} for i in range(CALLS)])
"""W10 of calls that are declared to change nothing."""
FAN40 = document("fan40", [{"all": {"fork": {"branches": [{f"call{i}": {"call": "noop"}} for i in range(BRANCHES)]}}}])


async def main(folder: Path) -> None:
    installation = wiring.installation(folder, Settings(), modules=[str(Path(__file__).parent / "noop.py")])
    engine = installation.engine

    async def once(definition: dict[str, Any]) -> None:
        run = await engine.wait(TENANT, await engine.start(TENANT, definition, {}))
        assert run.status == "completed", run.error

    async def w10() -> None:
        await once(W10)

    async def fan40() -> None:
        await asyncio.gather(*(once(FAN40) for _ in range(AT_ONCE)))

    async with installation.open():
        await serve({"version": perdure.__version__}, {"w10": w10, "fan40": fan40})


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
