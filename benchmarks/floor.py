"""The floor: W10 against ten bare durable commits of SQLite, turn by turn in one process, so that both meet the same disk.

`python floor.py FOLDER ROUNDS` prints `{"perdure", "reads", "journal", "machine", "overwriting", "growing", "default"}`: milliseconds
of each round. `reads` is W10 of calls that are declared to read, which do not wait for the disk one by one (ADR 0021).
`journal` is W10's commits with nothing around them, `machine` the same with the machine that decides between them: what
no engine of these two could go below. A bare commit is one row of 200 bytes with the journal's own settings (WAL,
synchronous FULL). It is cheapest on a log that is written over (`overwriting`); the log of a new database grows until
it is first folded in (`growing`). `default` is SQLite with no setting changed: a rollback journal, synchronous FULL.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import apsw
from perdure_rounds import READS10, TENANT, W10
from rounds import CALLS

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import CHECKPOINT_PAGES, Journal
from perdure.engines.embedded.values import encode
from perdure.interpreter.commands import ScheduleCall
from perdure.interpreter.events import CallCompleted, Event, Started
from perdure.interpreter.machine import compile, step
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


def plain(path: Path) -> apsw.Connection:
    """A database as SQLite makes it."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE facts (id INTEGER PRIMARY KEY, body BLOB)")
    return connection


def commit(connection: apsw.Connection, times: int) -> None:
    """So many durable commits of one row."""
    for _ in range(times):
        with connection:
            connection.execute("INSERT INTO facts (body) VALUES (?)", (BODY,))


class Alone:
    """What W10 commits, without an engine: no functions, no loop, nobody who looks on."""

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder)
        self._program = compile(W10)
        self._facts = 0

    def __repr__(self) -> str:
        return f"Alone(facts={self._facts})"

    async def stored(self) -> None:
        """The rows alone."""
        self._store(BODY, begins=True)
        for _ in range(CALLS):
            self._store(BODY)

    async def decided(self) -> None:
        """Each fact is handed to the machine as well."""
        event: Event = Started(now=0, run="run", tenant=TENANT, seed="seed")
        state = None
        while True:
            self._store(encode(event), begins=state is None)
            state, commands = step(self._program, state, event)
            call = next((command for command in commands if isinstance(command, ScheduleCall)), None)
            if call is None:
                return
            event = CallCompleted(now=0, id=call.id)

    def _store(self, body: bytes, *, begins: bool = False) -> None:
        self._facts += 1
        batch, number = Batch(), self._facts
        if begins:
            id, kept = str(uuid.uuid4()), "0" * 64
            batch.add(
                "add_run", (number, id, TENANT, "bench", "w10", "1", kept, kept, 0, number, 0, None, None, None, 0)
            )
        batch.add("add_journal", (number, number, 0, None, body))
        self._journal.commit(batch)


async def main(folder: Path, rounds: int) -> None:
    installation = assembled(folder / "perdure", Settings(), modules=[str(Path(__file__).parent / "noop.py")])
    engine = installation.engine
    overwriting, growing = bare(folder / "overwriting.db", grows=False), bare(folder / "growing.db", grows=True)
    default = plain(folder / "default.db")
    alone = Alone(folder / "alone")

    async def once(document: dict[str, Any]) -> None:
        run = await engine.wait(TENANT, await engine.start(TENANT, document, {}))
        assert run.status == "completed", run.error

    async def ten(connection: apsw.Connection) -> None:
        commit(connection, CALLS)

    turns: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("perdure", lambda: once(W10)),
        ("reads", lambda: once(READS10)),
        ("journal", alone.stored),
        ("machine", alone.decided),
        ("overwriting", lambda: ten(overwriting)),
        ("growing", lambda: ten(growing)),
        ("default", lambda: ten(default)),
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
