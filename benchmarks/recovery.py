"""How long recovery takes: 10,000 runs are cut by SIGKILL in the middle of a call, then the journal is opened again.

`python recovery.py FOLDER RUNS` prints `{"runs", "calling", "completed"}`: seconds from the opening until every cut call
is being made again, and until every run has completed. The first life is a process of its own.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

from perdure_rounds import TENANT, document

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from perdure.functions.python import function, load
from perdure.functions.table import Table

DOCUMENT = document("cut", [{"one": {"call": "noop"}}, {"two": {"call": "cut"}}, {"three": {"call": "noop"}}])
made = 0
answers = asyncio.Event()


@function(effect="idempotent")
async def noop() -> None:
    """Does nothing."""


@function(effect="idempotent")
async def cut() -> None:
    """Never answers in the first life."""
    global made
    made += 1
    await answers.wait()


def engine(folder: Path, tuning: Tuning | None = None) -> EmbeddedEngine:
    return EmbeddedEngine(folder, Table(load(__name__)), clock=SystemClock(), tuning=tuning)


async def first_life(folder: Path, runs: int) -> None:
    """Start all of them; when each waits for its second call, die."""
    async with engine(folder, Tuning(calls=2 * runs)) as opened:
        for first in range(0, runs, 500):
            await asyncio.gather(
                *(opened.start(TENANT, DOCUMENT, {"n": n}) for n in range(first, min(runs, first + 500)))
            )
        while await _entries(opened, runs):
            await asyncio.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)


async def _entries(opened: EmbeddedEngine, runs: int) -> bool:
    """Whether some run has not come to its second task yet; the newest is the last one."""
    newest = (await opened.find(TENANT, limit=1))[0]
    return not any(entry.ref == "/do/1/two" for entry in await opened.history(TENANT, newest.id))


async def second_life(folder: Path, runs: int) -> dict[str, float]:
    """Open the journal and let everything end."""
    answers.set()
    began = perf_counter()
    async with engine(folder) as opened:
        opening = perf_counter() - began
        while made < runs:
            await asyncio.sleep(0.01)
        calling = perf_counter() - began
        runs_there = await opened.find(TENANT, limit=runs)
        ended = await asyncio.gather(*(opened.wait(TENANT, run.id) for run in runs_there))
        completed = perf_counter() - began
        assert Counter(run.status for run in ended) == {"completed": runs}
    return {"runs": runs, "opening": opening, "calling": calling, "completed": completed}


def main(folder: Path, runs: int, life: str = "second") -> None:
    if life == "first":
        asyncio.run(first_life(folder, runs))
        return
    first = subprocess.run([sys.executable, __file__, str(folder), str(runs), "first"])
    assert first.returncode == -signal.SIGKILL, "the first life did not end by SIGKILL"
    print(json.dumps(asyncio.run(second_life(folder, runs))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
