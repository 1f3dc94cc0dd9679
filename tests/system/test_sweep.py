"""Big values of runs that a Temporal server has forgotten are deleted, and no others; also by `perdure runs prune`."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Self

import pytest

pytest.importorskip("temporalio")

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.functions.table import Table
from perdure.language.read import read

pytestmark = pytest.mark.slow
BIG = "x" * 200_000


def document(tasks: str):
    return read(f"document: {{ dsl: 1.0.3, namespace: t, name: d, version: 1.0.0 }}\ndo: [{tasks}]").value


def grow_old(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 86_400,) * 2)


class Place:
    """An engine with a worker on the session's server."""

    def __init__(self, target: str, folder: Path) -> None:
        from perdure.engines.temporal.connection import Address
        from perdure.engines.temporal.engine import TemporalEngine

        self.folder = folder
        self.installation = f"sweep-{uuid.uuid4()}"
        self.target = target
        self.blobs = DirectoryBlobs(folder)
        self.engine = TemporalEngine(Address(target=target), Table([]), self.blobs, installation=self.installation)

    async def __aenter__(self) -> Self:
        from perdure.engines.temporal.worker import TemporalWorker

        await self.engine.open()
        self.worker = TemporalWorker(
            self.engine.client, self.installation, self.blobs, Table([]), clock=SystemClock()
        )  # fmt: skip
        await self.worker.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.close()
        await self.engine.close()

    def values(self) -> int:
        return sum(path.is_file() for path in (self.folder / "payloads").rglob("*"))

    async def run(self, run: str, tasks: str = "{ a: { set: { b: '${ .b }' } } }", input: object = None) -> None:
        await self.engine.start("acme", document(tasks), input or {"b": BIG}, run=run)

    def leave(self, run: str, like: str) -> int:
        """What a run of the same kind left that the server knows no more; how many values."""
        from perdure.engines.temporal.codec import directory_of
        from perdure.engines.temporal.protocol import run_id

        one, other = (self.folder / directory_of(run_id(self.installation, "acme", name)) for name in (like, run))
        shutil.copytree(one, other)
        return len(list(other.iterdir()))


@pytest.fixture
async def place(temporal_server, tmp_path, took_part):
    took_part("Temporal server")
    async with Place(temporal_server.target, tmp_path) as made:
        yield made


def now() -> int:
    return time.time_ns() // 1_000_000


async def test_values_of_forgotten_runs_go_and_others_stay(place):
    await place.run("ended")
    assert (await place.engine.wait("acme", "ended")).status == "completed"
    await place.run("waits", "{ a: { wait: { hours: 1 } } }")
    left = place.leave("gone", like="ended")
    whole = place.values()
    assert await place.engine.sweep("acme", now()) == 0
    grow_old(place.folder)
    assert await place.engine.sweep("other", now()) == 0
    assert await place.engine.sweep("acme", now() - 7 * 86_400_000) == 0
    assert await place.engine.sweep("acme", now()) == left > 0
    assert place.values() == whole - left
    assert (await place.engine.describe("acme", "ended")).output == {"b": BIG}
    await place.engine.cancel("acme", "waits")
    assert (await place.engine.wait("acme", "waits")).input == {"b": BIG}


async def test_a_run_that_begins_anew_under_an_old_id_keeps_its_values(place):
    await place.run("ended")
    await place.engine.wait("acme", "ended")
    place.leave("again", like="ended")
    grow_old(place.folder)
    await asyncio.gather(place.run("again"), *(place.engine.sweep("acme", now()) for _ in range(5)))
    run = await place.engine.wait("acme", "again")
    assert run.input == run.output == {"b": BIG}


async def test_the_exchange_keeps_what_its_present_execution_needs(place):
    event = {"specversion": "1.0", "id": "1", "source": "urn:t", "type": "big", "data": BIG}
    await place.engine.deliver("acme", event)
    assert place.values() > 0
    grow_old(place.folder)
    assert await place.engine.sweep("acme", now()) == 0
    await place.run("hears", "{ a: { listen: { to: { one: { with: { type: big } } } } } }")
    await place.engine.deliver("acme", {**event, "id": "2"})
    assert (await place.engine.wait("acme", "hears")).status == "completed"


async def test_prune_on_the_command_line(place, tmp_path):
    await place.run("ended")
    await place.engine.wait("acme", "ended")
    left = place.leave("gone", like="ended")
    whole = place.values()
    grow_old(place.folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")} | {
        "PERDURE_TEMPORAL_ADDRESS": place.target, "PERDURE_TEMPORAL_INSTALLATION": place.installation,
        "PERDURE_TEMPORAL_STORE": str(place.folder), "PERDURE_TENANT": "acme", "PERDURE_DATA": str(tmp_path / "data"),
    }  # fmt: skip
    command = [sys.executable, "-m", "perdure", "runs", "prune", "--engine", "temporal", "--before", "12h"]
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{left} big value" in done.stderr
    assert place.values() == whole - left
