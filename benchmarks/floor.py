"""The floor: W10 against ten bare durable commits of SQLite, turn by turn in one process, so that both meet the same disk.

`python floor.py FOLDER ROUNDS` prints `{"perdure", "reads", "overwriting", "growing"}`: milliseconds of each round. `reads`
is W10 of calls that are declared to read, which do not wait for the disk one by one (ADR 0021). A bare commit is one row of 200 bytes with the journal's own settings (WAL, synchronous FULL). It is cheapest on a log that is written over
(`overwriting`); the log of a new database grows until it is first folded in (`growing`).
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw
from perdure_rounds import READS10, TENANT, W10
from rounds import CALLS

from perdure.engines.embedded.journal import CHECKPOINT_PAGES
from perdure.settings import Settings
from perdure.wiring import installation as assembled

WARM_UP = 40
BODY = b"x" * 200


def bare(path: Path, *, grows: bool) -> apsw.Connection:
    """A database with nothing but facts."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {0 if grows else CHECKPOINT_PAGES}")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("CREATE TABLE facts (id INTEGER PRIMARY KEY, body BLOB)")
    if not grows:
        commit(connection, CHECKPOINT_PAGES + 10)
    return connection


def commit(connection: apsw.Connection, times: int) -> None:
    """So many durable commits of one row."""
    for _ in range(times):
        with connection:
            connection.execute("INSERT INTO facts (body) VALUES (?)", (BODY,))


async def main(folder: Path, rounds: int) -> None:
    installation = assembled(folder / "perdure", Settings(), modules=[str(Path(__file__).parent / "noop.py")])
    engine = installation.engine
    overwriting, growing = bare(folder / "overwriting.db", grows=False), bare(folder / "growing.db", grows=True)

    async def once(document: dict[str, Any]) -> None:
        run = await engine.wait(TENANT, await engine.start(TENANT, document, {}))
        assert run.status == "completed", run.error

    async def ten(connection: apsw.Connection) -> None:
        commit(connection, CALLS)

    turns: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("perdure", lambda: once(W10)),
        ("reads", lambda: once(READS10)),
        ("overwriting", lambda: ten(overwriting)),
        ("growing", lambda: ten(growing)),
    ]
    taken: dict[str, list[float]] = {name: [] for name, _ in turns}
    async with installation.open():
        for number in range(rounds + WARM_UP):
            first = number % len(turns)
            for name, work in turns[first:] + turns[:first]:
                began = perf_counter()
                await work()
                if number >= WARM_UP:
                    taken[name].append((perf_counter() - began) * 1000)
    print(json.dumps(taken))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
