"""Temporal server and workers that die while runs go on (reliability.md T14), long runs, big values, sealed values."""

import asyncio
import base64
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import Conflict, Unavailable
from tests.servers.temporal import MISSING, TemporalServer, is_installed
from tests.system.temporal_world import TENANT, TemporalWorld

WORKER_KILLS, SERVER_KILLS_AT = 50, (10, 25, 40)
EFFECTS, CHARGES = 13, 3
CHILD = "- c: {call: effect, with: {label: child}}"
TASKS = (
    "- loop:\n    for: {each: i, in: '${ [range(6)] }'}\n    do:\n      - step: {call: effect, with: {label: a}}\n"
    + "".join(
        f"- money{n}:\n    try:\n      - charge: {{call: charge, with: {{label: b}}}}\n"
        "    catch: {errors: {with: {title: outcome unknown}}, do: [{noted: {set: {unknown: true}}}]}\n"
        f"- nap{n}: {{wait: {{milliseconds: 300}}}}\n"
        for n in range(CHARGES)
    )
    + "- all:\n    fork:\n      branches:\n"
    + "".join(f"        - b{n}: {{call: effect, with: {{label: c}}}}\n" for n in range(EFFECTS - 7))
    + "- child: {run: {workflow: {namespace: test, name: child, version: 1.0.0, input: {}}}}\n"
)
"""Thirteen calls that may be repeated (one of them by a child), three that may not, and waits."""


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
    world.more["PACE"] = "0.1"
    try:
        runs, unknown = await kills(world)
    finally:
        world.close()
    effects, charges = Counter(world.noted("effect")), Counter(world.noted("charge"))
    assert len(effects) == runs * EFFECTS
    # One that was cut before it reached the service was never made, and nobody can know: its outcome is unknown too.
    assert 0 <= runs * CHARGES - len(charges) <= unknown
    assert set(charges.values()) == {1}
    assert (world.kills, own_server.kills) == (WORKER_KILLS, len(SERVER_KILLS_AT))
    repeated = effects.total() - len(effects)
    with capsys.disabled():
        print(
            f"\nT14: {world.kills} workers and {own_server.kills} servers killed; {runs} runs, {effects.total()} calls, "
            f"{repeated} redelivered, {len(effects)} effects; {len(charges)} unsafe calls, each made once, {unknown} unknown"
        )


async def kills(world: TemporalWorld) -> tuple[int, int]:
    """How many runs there were, and how many unsafe calls have an unknown outcome in the end. A run begins with each kill,
    so that there is always work to be cut; every fourth one is suspended and resumed meanwhile."""
    world.start_worker()
    world.start_worker()
    async with world.engine() as engine:
        await engine.publish(TENANT, world.document(CHILD, name="child"), {})
        document = world.document(TASKS)
        runs = [await engine.start(TENANT, document, {"n": n}, run=f"first-{n}") for n in range(3)]
        for number in range(WORKER_KILLS):
            runs.append(await patiently(lambda n=number: engine.start(TENANT, document, {"n": n}, run=f"run-{n}")))
            await moves(world, world.made())
            await world.kill_worker()
            if number in SERVER_KILLS_AT:
                world.server.kill()
                await asyncio.to_thread(world.server.start)
            elif number % 4 == 0:
                await patiently(lambda run=runs[-1]: engine.suspend(TENANT, run))
            elif number % 4 == 2:
                await patiently(lambda run=f"run-{number - 2}": engine.resume(TENANT, run), Conflict)
        for run in runs:
            await patiently(lambda run=run: engine.resume(TENANT, run), Conflict)
            ended = await asyncio.wait_for(patiently(lambda run=run: engine.wait(TENANT, run)), 90)
            assert ended.status == "completed", ended.error
        told = [entry for run in runs for entry in await engine.history(TENANT, run)]
    errors = [entry.data["error"] for entry in told if entry.type == "task.faulted.v1"]
    return len(runs), sum(error.get("title") == "outcome unknown" for error in errors)


async def moves(world: TemporalWorld, before: int) -> None:
    """Return when workers make calls again, or have nothing left to do."""
    for _ in range(300):
        if world.made() > before + 2:
            return
        await asyncio.sleep(0.02)


async def patiently(ask: Callable[[], Awaitable[Any]], *refusals: type[Exception]) -> Any:
    """A server that comes back may be away for a moment longer."""
    while True:
        try:
            return await ask()
        except Unavailable:
            await asyncio.sleep(0.2)
        except refusals:
            return None


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "limits", "executions"), [(1200, {}, 3), (300, {"calls": 20}, 14)])
async def test_a_long_run_goes_on_over_executions_with_one_history(world, calls, limits, executions):
    world.more["PACE"] = "0"
    world.start_worker()
    async with world.engine(heartbeat=10.0, **limits) as engine:
        loop = f"- loop:\n    for: {{each: i, in: '${{ [range({calls})] }}'}}\n"
        document = world.document(loop + "    do:\n      - s: {call: effect, with: {label: x}}")
        run = await engine.start(TENANT, document, {})
        ended = await asyncio.wait_for(engine.wait(TENANT, run), 120)
        assert ended.status == "completed", ended.error
        history = await engine.history(TENANT, run)
        assert [entry.number for entry in history] == list(range(1, len(history) + 1))
        assert sum(entry.type == "task.completed.v1" and entry.path.endswith("/s") for entry in history) == calls
        _, found, _ = await engine._reader._opened(TENANT, run)
        assert len(found) >= executions
        assert [found.id for found in await engine.find(TENANT)] == [run]
    assert len(set(world.noted("effect"))) == len(world.noted("effect")) == calls


@pytest.mark.slow
async def test_workers_that_are_replaced_in_good_order_repeat_nothing(world):
    tasks = "\n".join(
        f"- {word}{n}: {{call: {word}, with: {{label: a}}}}" for n, word in enumerate(("effect", "charge", "effect"))
    )
    world.start_worker()
    world.start_worker()
    async with world.engine(heartbeat=10.0) as engine:
        document = world.document(f"- nap: {{wait: {{milliseconds: 20}}}}\n{tasks}")
        runs = []
        for batch in range(4):
            runs += await asyncio.gather(*(engine.start(TENANT, document, {"n": n}) for n in range(50)))
            await moves(world, world.made())
            assert await world.stop_worker() == 0, batch
        for run in runs:
            assert (await asyncio.wait_for(engine.wait(TENANT, run), 60)).status == "completed"
    assert len(runs) == 200
    assert len(world.noted("effect")) == len(set(world.noted("effect"))) == 400
    assert len(world.noted("charge")) == len(set(world.noted("charge"))) == 200


async def test_results_of_five_megabytes_do_not_travel_over_the_server(world):
    world.start_worker()
    async with world.engine(heartbeat=10.0) as engine:
        document = world.document("- b: {call: big, with: {megabytes: 5}}\n- c: {call: big, with: {megabytes: 5}}")
        run = await engine.start(TENANT, document, {})
        ended = await asyncio.wait_for(engine.wait(TENANT, run), 60)
        assert len(ended.output["text"]) == 5_000_000
        entries = await engine.history(TENANT, run)
        assert sum(len(str(entry.data)) > 5_000_000 for entry in entries) >= 2
        history = await engine._reader.handle(TENANT, run).fetch_history()
    assert sum(event.ByteSize() for event in history.events) < 100_000


async def test_events_reach_forks_loops_and_tries_although_workers_die(world):
    hear = "listen: {to: {one: {with: {type: %s}}}}"
    tasks = (
        "- all:\n    fork:\n      branches:\n"
        + "".join(f"        - b{n}: {{{hear % f'branch{n}'}}}\n" for n in range(2))
        + "- loop:\n    for: {each: i, in: '${ [range(3)] }'}\n    do:\n"
        f"      - h: {{{hear % 'tick'}}}\n      - e: {{call: effect, with: {{label: x}}}}\n"
        f"- late:\n    try:\n      - h: {{{hear % 'never'}, timeout: {{after: {{milliseconds: 200}}}}}}\n"
        f"    catch: {{errors: {{with: {{status: 408}}}}, do: [{{last: {{{hear % 'last'}}}}}]}}\n"
    )
    world.start_worker()
    async with world.engine() as engine:
        run = await engine.start(TENANT, world.document(tasks), {})
        for number, type in enumerate(("branch1", "branch0", "tick", "tick", "tick", "last")):
            event = {
                "specversion": "1.0",
                "type": type,
                "source": "https://a.example/",
                "id": str(number),
                "data": number,
            }
            assert await asyncio.wait_for(patiently(lambda event=event: engine.deliver(TENANT, event)), 30)
            if number in {0, 3}:
                await world.kill_worker()
        ended = await asyncio.wait_for(engine.wait(TENANT, run), 60)
        assert ended.status == "completed", ended.error
        assert ended.output == [5]
    assert len(set(world.noted("effect"))) == 3


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
