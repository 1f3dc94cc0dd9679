"""A run is shown as it is stored: from memory, from what was shown before, or from its rows, and never ahead of them."""

import asyncio
from contextlib import closing

import apsw
import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.heads import WINDOW
from perdure.engines.embedded.records import Tuning
from perdure.engines.embedded.shown import Kept
from perdure.engines.embedded.views import Reader
from perdure.errors import NotFound
from perdure.ports.engine import Run
from tests.conformance.engine.world import World, workflow

LINE = "- t: {call: echo, with: {n: 1}}\n- h: {call: held, with: {n: 1}}\n- w: {wait: {hours: 1}}"


def _engine(folder, world, **tuning):
    return EmbeddedEngine(folder, world, clock=SystemClock(), tuning=Tuning(**tuning))


def _beside(folder, run, tenant="t"):
    with Reader(folder) as reader:
        return reader.views.describe(tenant, run)


async def _until(condition):
    while not condition():
        await asyncio.sleep(0)


@pytest.mark.parametrize("evict", ["idle", "step", "replay"])
async def test_what_is_shown_is_what_the_rows_say(tmp_path, evict):
    world = World()
    async with _engine(tmp_path, world, evict=evict) as engine:

        async def same(status):
            shown = await engine.describe("t", "r")
            assert shown == _beside(tmp_path, "r") == await engine.describe("t", "r")
            assert (shown.status, shown.input) == (status, {"a": [1, {"$perdure.secret": 2}]})

        await engine.start("t", workflow(world, LINE), {"a": [1, {"$perdure.secret": 2}]}, run="r")
        await same("running")
        await world.arrived.wait()
        await same("running")
        await engine.suspend("t", "r")
        await same("suspended")
        await engine.resume("t", "r")
        world.gate.set()
        while (await engine.describe("t", "r")).status != "waiting":
            await asyncio.sleep(0)
        await same("waiting")
        await engine.cancel("t", "r")
        await engine.wait("t", "r")
        await same("cancelled")


async def test_a_run_that_is_mended_is_shown_anew(tmp_path):
    world = World()
    world.failures = 1
    async with _engine(tmp_path, world) as engine:
        await engine.start("t", workflow(world, "- f: {call: broken, with: {}}"), {}, run="r")
        faulted = await engine.wait("t", "r")
        assert await engine.describe("t", "r") == faulted == await engine.describe("t", "r")
        await engine.skip("t", "r", output={"done": 1}, has_output=True)
        assert (await engine.wait("t", "r")).status == "completed"
        assert (await engine.describe("t", "r")).output == {"done": 1}


async def test_nothing_is_shown_before_it_is_stored(tmp_path):
    world = World()
    async with _engine(tmp_path, world, commit="thread") as engine:
        await engine.start("t", workflow(world, LINE), {}, run="r")
        await world.arrived.wait()
        before = await engine.describe("t", "r")
        with closing(apsw.Connection(str(tmp_path / "journal.db"))) as other:
            other.execute("BEGIN IMMEDIATE")
            change = asyncio.create_task(engine.suspend("t", "r"))
            await _until(lambda: engine._worker.writer.committing is not None)
            (record,) = engine._residents.records.values()
            assert record.status == "suspended"
            assert await engine.describe("t", "r") == before
            engine._shown._kept.drop(record.key)
            assert await engine.describe("t", "r") == before
            other.execute("ROLLBACK")
        await change
        assert (await engine.describe("t", "r")).status == "suspended"


async def test_a_run_that_left_memory_and_lags_is_shown_as_it_is(tmp_path):
    """It left without a row of its own making: the row is written by others, in a commit that is still to come."""
    world = World()
    async with _engine(tmp_path, world, evict="step", commit="thread") as engine:
        lines = "- h: {call: held, with: {n: 1}}\n- s: {call: slow, with: {}}"
        await engine.start("t", workflow(world, lines), {}, run="r")
        await world.arrived.wait()
        await engine.suspend("t", "r")
        await engine.resume("t", "r")
        world.gate.set()
        await _until(lambda: world.calls["slow"] and not engine._residents.keys)
        assert engine._shown._heads.lags(1)
        before = _beside(tmp_path, "r")
        for number in range(WINDOW):
            others = engine.start("t", workflow(world, "- n: {call: noop, with: {}}"), {}, run=f"n{number}")
            starting = asyncio.create_task(others)
            while not starting.done():
                engine._shown._kept.drop(1)
                assert await engine.describe("t", "r") == before
                await asyncio.sleep(0)


async def test_every_tenant_has_its_own(tmp_path):
    world = World()
    async with _engine(tmp_path, world) as engine:
        for tenant in ("t", "u"):
            await engine.start(tenant, workflow(world, LINE), {"of": tenant}, run="r")
        for tenant in ("t", "u", "t", "u"):
            assert (await engine.describe(tenant, "r")).input == {"of": tenant}
        with pytest.raises(NotFound):
            await engine.describe("v", "r")


def run(id, output=None):
    return Run(
        id=id, tenant="t", namespace="n", name="w", version="1.0.0", program="p", status="running", started=1, updated=2,
        output=output,
    )  # fmt: skip


def test_what_is_kept_is_dropped_by_its_key():
    kept = Kept()
    kept.keep(1, run("a"))
    assert kept.get("t", "a") == run("a")
    assert kept.get("u", "a") is None
    kept.drop(2)
    assert len(kept) == 1
    kept.drop(1)
    kept.drop(1)
    assert kept.get("t", "a") is None
    assert repr(kept) == "Kept(runs=0, bytes=0)"


def test_the_oldest_go_and_the_large_do_not_come():
    kept = Kept(64_000)
    kept.keep(1000, run("large", output="x" * 4_000))
    assert kept.get("t", "large") is None
    for number in range(100):
        kept.keep(number, run(str(number)))
    assert kept.get("t", "0") is None
    assert kept.get("t", "99") == run("99")
    assert "bytes=6" in repr(kept)
