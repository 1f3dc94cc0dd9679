"""Temporal server and workers that die while runs go on (reliability.md T14), long runs, big values, sealed values."""

import asyncio
import base64
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.temporal import MISSING, TemporalServer, is_installed
from tests.system.temporal_world import TENANT, TemporalWorld

RUNS, WORKER_KILLS, SERVER_KILLS = 12, 6, 3
EFFECTS, CHARGES = 12, 3
TASKS = (
    "- loop:\n    for: {each: i, in: '${ [range(6)] }'}\n    do:\n      - step: {call: effect, with: {label: a}}\n"
    + "".join(
        f"- money{n}:\n    try:\n      - charge: {{call: charge, with: {{label: b}}}}\n"
        "    catch: {errors: {with: {title: outcome unknown}}, do: [{noted: {set: {unknown: true}}}]}\n"
        f"- nap{n}: {{wait: {{milliseconds: 300}}}}\n"
        for n in range(CHARGES)
    )
    + "- all:\n    fork:\n      branches:\n"
    + "".join(f"        - b{n}: {{call: effect, with: {{label: c}}}}\n" for n in range(EFFECTS - 6))
)


@pytest.fixture
def own_server(tmp_path: Path, require, took_part) -> Iterator[TemporalServer]:
    """A server that may be killed."""
    require(is_installed(), MISSING)
    took_part("Temporal server that is killed")
    server = TemporalServer(tmp_path, keeps=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def world(temporal_server: TemporalServer, tmp_path: Path, took_part) -> Iterator[TemporalWorld]:
    took_part("Temporal server")
    made = TemporalWorld(temporal_server, tmp_path, f"system-{uuid.uuid4()}")
    yield made
    made.close()


@pytest.mark.slow
async def test_killed_workers_and_servers_lose_and_repeat_nothing(own_server, tmp_path, capsys):
    world = TemporalWorld(own_server, tmp_path, "kills")
    try:
        unknown = await kills(world)
    finally:
        world.close()
    effects, charges = Counter(world.noted("effect")), Counter(world.noted("charge"))
    assert len(effects) == RUNS * EFFECTS
    # One that was cut before it reached the service was never made, and nobody can know: its outcome is unknown too.
    assert 0 <= RUNS * CHARGES - len(charges) <= unknown
    assert set(charges.values()) == {1}
    repeated = effects.total() - len(effects)
    with capsys.disabled():
        print(
            f"\nT14: {world.kills} workers and {own_server.kills} servers killed; {RUNS} runs, {effects.total()} calls, "
            f"{repeated} redelivered, {len(effects)} effects; {len(charges)} unsafe calls, each made once, {unknown} unknown"
        )


async def kills(world: TemporalWorld) -> int:
    """How many unsafe calls have an unknown outcome in the end."""
    world.start_worker()
    world.start_worker()
    engine = world.engine()
    await engine.open()
    document = world.document(TASKS)
    runs = [await engine.start(TENANT, document, {"n": n}, run=f"run-{n}") for n in range(RUNS)]
    for number in range(WORKER_KILLS):
        before = len(world.noted("effect")) + len(world.noted("charge"))
        await moves(world, before)
        await world.kill_worker()
        if number % 2 == 0:
            world.server.kill()
            await asyncio.to_thread(world.server.start)
    for run in runs:
        ended = await asyncio.wait_for(patiently(engine, run), 90)
        assert ended.status == "completed", ended.error
    told = [entry for run in runs for entry in await engine.history(TENANT, run) if entry.type == "task.faulted.v1"]
    await engine.close()
    return sum(entry.data["error"].get("title") == "outcome unknown" for entry in told)


async def moves(world: TemporalWorld, before: int) -> None:
    """Return when workers make calls again, or have nothing left to do."""
    for _ in range(300):
        if len(world.noted("effect")) + len(world.noted("charge")) > before + 5:
            return
        await asyncio.sleep(0.02)


async def patiently(engine, run: str):
    """A server that comes back may be away for a moment longer."""
    from perdure.errors import Unavailable

    while True:
        try:
            return await engine.wait(TENANT, run)
        except Unavailable:
            await asyncio.sleep(0.2)


async def test_a_long_run_goes_on_over_executions_with_one_history(world):
    world.start_worker()
    async with world.engine(calls=60) as engine:
        document = world.document(
            "- loop:\n    for: {each: i, in: '${ [range(200)] }'}\n    do:\n      - s: {call: effect, with: {label: x}}"
        )
        run = await engine.start(TENANT, document, {})
        ended = await asyncio.wait_for(engine.wait(TENANT, run), 60)
        assert ended.status == "completed", ended.error
        history = await engine.history(TENANT, run)
        assert [entry.number for entry in history] == list(range(1, len(history) + 1))
        assert sum(entry.type == "task.completed.v1" and entry.path.endswith("/s") for entry in history) == 200
        described = await engine._reader.describe(TENANT, run)
        assert described.raw_description.workflow_execution_info.first_run_id != described.run_id
        assert [found.id for found in await engine.find(TENANT)] == [run]
    assert len(set(world.noted("effect"))) == len(world.noted("effect")) == 200


async def test_workers_that_are_replaced_in_good_order_repeat_nothing(world):
    world.start_worker()
    world.start_worker()
    async with world.engine() as engine:
        document = world.document(TASKS)
        runs = [await engine.start(TENANT, document, {"n": n}) for n in range(20)]
        for _ in range(2):
            await moves(world, len(world.noted("effect")))
            assert await world.stop_worker() == 0
        for run in runs:
            assert (await asyncio.wait_for(engine.wait(TENANT, run), 60)).status == "completed"
    assert len(world.noted("effect")) == len(set(world.noted("effect"))) == 20 * EFFECTS
    assert len(world.noted("charge")) == len(set(world.noted("charge"))) == 20 * CHARGES


async def test_sealed_values_are_nowhere_readable_on_the_server(temporal_server, tmp_path, took_part):
    from perdure.adapters.clock import SystemClock
    from perdure.engines.temporal.worker import TemporalWorker

    took_part("Temporal server")
    world = TemporalWorld(temporal_server, tmp_path, f"sealed-{uuid.uuid4()}")
    engine = world.engine()
    engine._keys = (base64.b64encode(b"k" * 32).decode(),)
    async with engine:
        worker = TemporalWorker(engine.client, world.installation, engine._blobs, world.table, clock=SystemClock())
        await worker.open()
        document = world.document(
            "- a: {set: {echo: '${ .canary }', big: '${ .big }'}}\n- w: {wait: {milliseconds: 10}}"
        )
        big = "canary-5b1f" * 500_000
        run = await engine.start(TENANT, document, {"canary": "canary-5b1f", "big": big})
        ended = await asyncio.wait_for(engine.wait(TENANT, run), 30)
        assert ended.output == {"echo": "canary-5b1f", "big": big}
        history = await engine._reader.handle(TENANT, run).fetch_history()
        told = b"".join(event.SerializeToString() for event in history.events)
        kept = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
        await worker.close()
    assert len(told) < 100_000 < len(kept)
    assert b"canary-5b1f" not in told + kept
