"""Rows of `heads` lag behind; whoever reads does not notice, in this process, beside it, or after a crash."""

import shutil

import apsw
import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.heads import WINDOW
from perdure.engines.embedded.journal import QUERIES
from perdure.engines.embedded.records import Tuning
from perdure.engines.embedded.views import Reader
from perdure.ports.engine import Query
from tests.conformance.engine.world import World, workflow


def _stored(folder):
    """run -> (head, status) as the rows say, without anybody's help."""
    connection = apsw.Connection(str(folder / "journal.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {run: (head, status) for run, head, status in connection.execute("SELECT run, head, status FROM heads")}
    finally:
        connection.close()


def _copy(folder, target):
    """The folder as a kill of the process would leave it."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
    return target


def _engine(folder, world, **tuning):
    return EmbeddedEngine(folder, world, clock=SystemClock(), tuning=Tuning(**tuning))


LINE = "\n".join(f"- t{n}: {{call: echo, with: {{n: {n}}}}}" for n in range(5)) + "\n- h: {call: held, with: {n: 1}}"


def test_the_window_is_the_same_everywhere():
    for name in ("run_by_public", "run_by_key", "find_runs", "newest_facts"):
        assert f"(SELECT max(seq) FROM journal) / {WINDOW} * {WINDOW}" in QUERIES[name]


@pytest.mark.parametrize("evict", ["idle", "step", "replay"])
async def test_readers_see_the_newest_fact(tmp_path, evict):
    world = World()
    async with _engine(tmp_path / "live", world, evict=evict) as engine:
        await engine.start("t", workflow(world, LINE), {}, run="r")
        await world.arrived.wait()
        assert _stored(tmp_path / "live") == {}
        whole = await engine.history("t", "r")
        described = await engine.describe("t", "r")
        assert described.status == "running"
        assert [entry.type for entry in whole].count("task.completed.v1") == 5
        assert described.updated >= whole[-1].at
        assert (
            await engine.find("t", Query(statuses=("running",)))
            != []
            == await engine.find("t", Query(statuses=("completed",)))
        )
        with Reader(tmp_path / "live") as reader:
            assert reader.views.history("t", "r") == whole
            assert reader.views.describe("t", "r") == described
        killed = _copy(tmp_path / "live", tmp_path / "killed")
        with Reader(killed) as reader:
            assert reader.views.history("t", "r") == whole
        world.gate.set()
        assert (await engine.wait("t", "r")).status == "completed"
        assert [status for _, status in _stored(tmp_path / "live").values()] == ["completed"]


async def test_an_opening_catches_up(tmp_path):
    world = World()
    async with _engine(tmp_path / "live", world) as engine:
        await engine.start("t", workflow(world, LINE), {}, run="r")
        await world.arrived.wait()
        killed = _copy(tmp_path / "live", tmp_path / "killed")
        whole = await engine.history("t", "r")
        world.gate.set()
    other = World()
    opened = _engine(killed, other)
    await opened.open(recover=False)
    try:
        ((_, status),) = _stored(killed).values()
        assert status == "running"
        for number in range(WINDOW // 7 + 1):  # other runs go on into the next window
            await opened.start("t", workflow(other, LINE.rpartition("\n")[0]), {}, run=f"o{number}")
            await opened.wait("t", f"o{number}")
        assert await opened.history("t", "r") == whole
        await opened.resume("t", "r")
        await other.arrived.wait()
        other.gate.set()
        assert (await opened.wait("t", "r")).status == "completed"
        assert other.calls["echo"] == 5 * (WINDOW // 7 + 1)
    finally:
        await opened.close()


async def test_many_runs_across_many_windows(tmp_path):
    world = World()
    async with _engine(tmp_path / "live", world) as engine:
        for number in range(2 * WINDOW):
            await engine.start("t", workflow(world, "- h: {call: held, with: {n: 1}}"), {"n": number}, run=f"r{number}")
        assert len(_stored(tmp_path / "live")) >= 2 * WINDOW - WINDOW
        for number in (0, WINDOW - 2, 2 * WINDOW - 1):
            assert (await engine.describe("t", f"r{number}")).input == {"n": number}
        killed = _copy(tmp_path / "live", tmp_path / "killed")
        world.gate.set()
    other = World()
    async with _engine(killed, other, calls=4 * WINDOW) as engine:
        other.gate.set()
        for number in range(2 * WINDOW):
            assert (await engine.wait("t", f"r{number}")).status == "completed"
