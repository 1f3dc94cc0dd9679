"""Starting, ending, describing, finding: the verbs of an engine on runs that go straight."""

import asyncio

import pytest

from perdure.errors import Conflict, Invalid, NotFound
from perdure.ports.engine import Query
from tests.conformance.engine.conftest import TENANT
from tests.conformance.engine.world import workflow

TEN = "\n".join(f"- t{number}: {{call: echo, with: {{n: '${{ .n + 1 }}'}}}}" for number in range(10))
FAN = """
- all:
    fork:
      branches:
""" + "\n".join(f"        - b{number}: {{call: echo, with: {{n: {number}}}}}" for number in range(40))


async def test_ten_calls_in_a_row(place):
    run = await place.run(TEN, {"n": 0})
    assert (run.status, run.output) == ("completed", {"n": 10})
    assert place.world.calls["echo"] == 10
    assert run.input == {"n": 0}
    assert run.ended is not None


async def test_forty_at_once(place):
    runs = [await place.begin(FAN) for _ in range(3)]
    for run in runs:
        ended = await place.end(run)
        assert [one["n"] for one in ended.output] == list(range(40))
    assert place.world.calls["echo"] == 120
    assert set(place.world.keys.values()) == {1}


async def test_history_is_the_same_after_everything(place):
    run = await place.begin(TEN, {"n": 0})
    await place.end(run)
    first = await place.engine.history(TENANT, run)
    assert [entry.number for entry in first] == list(range(1, len(first) + 1))
    assert first[0].type == "workflow.started.v1"
    assert first[-1].type == "workflow.completed.v1"
    assert sum(entry.type == "task.completed.v1" for entry in first) == 10
    await place.reopen()
    assert await place.engine.history(TENANT, run) == first
    assert (await place.engine.describe(TENANT, run)).output == {"n": 10}


async def test_a_fault_is_a_result(place):
    run = await place.run("- t: {call: broken, with: {}}")
    assert run.status == "faulted"
    assert run.error["status"] == 500
    assert "this never works" in run.error["detail"]
    assert run.error["instance"] == "/do/0/t"


async def test_start_is_idempotent_by_run(place):
    run = await place.begin("- t: {call: echo, with: {a: 1}}", {"x": 1}, run="mine")
    again = await place.begin("- t: {call: echo, with: {a: 1}}", {"x": 1}, run="mine")
    assert run == again == "mine"
    await place.end("mine")
    assert await place.begin("- t: {call: echo, with: {a: 1}}", {"x": 1}, run="mine") == "mine"
    assert place.world.calls["echo"] == 1
    with pytest.raises(Conflict):
        await place.begin("- t: {call: echo, with: {a: 1}}", {"x": 2}, run="mine")
    with pytest.raises(Conflict):
        await place.begin("- t: {call: echo, with: {a: 2}}", {"x": 1}, run="mine")


async def test_many_at_once_with_one_id_make_one_run(place):
    document = workflow(place.world, "- t: {call: echo, with: {a: 1}}")
    started = await asyncio.gather(*(place.engine.start(TENANT, document, {}, run="one") for _ in range(20)))
    assert started == ["one"] * 20
    await place.end("one")
    assert place.world.calls["echo"] == 1


async def test_tenants_do_not_see_one_another(place):
    run = await place.begin("- t: {call: echo, with: {a: 1}}", run="mine")
    await place.end(run)
    for verb in ("describe", "history", "cancel", "suspend", "resume", "retry", "skip", "wait", "fork"):
        with pytest.raises(NotFound):
            await getattr(place.engine, verb)("other", run)
    assert await place.engine.find("other") == []
    document = workflow(place.world, "- t: {call: echo, with: {b: 1}}")
    assert await place.engine.start("other", document, {}, run="mine") == "mine"


async def test_find_pages_newest_first(place):
    runs = [await place.begin("- t: {call: noop, with: {}}", name=f"w{n % 2}") for n in range(6)]
    for run in runs:
        await place.end(run)
    found = await place.engine.find(TENANT, limit=4)
    assert [run.id for run in found] == runs[::-1][:4]
    rest = await place.engine.find(TENANT, limit=4, before=found[-1].id)
    assert [run.id for run in rest] == runs[::-1][4:]
    assert [run.id for run in await place.engine.find(TENANT, Query(workflow="w1"))] == runs[::-1][::2]
    assert await place.engine.find(TENANT, Query(statuses=("faulted", "waiting"))) == []
    assert len(await place.engine.find(TENANT, Query(statuses=("faulted", "completed"), workflow="test.w0"))) == 3
    assert await place.engine.find(TENANT, Query(workflow="other.w0")) == []
    assert [run.id for run in await place.engine.find(TENANT, Query(workflow="test."))] == runs[::-1]
    assert await place.engine.find(TENANT, Query(workflow="other.")) == []
    assert await place.engine.find(TENANT, Query(version="9.9.9")) == []
    third = await place.engine.describe(TENANT, runs[2])
    since = [run.id for run in await place.engine.find(TENANT, Query(since=third.started))]
    until = [run.id for run in await place.engine.find(TENANT, Query(until=third.started))]
    assert runs[2] in since
    assert runs[2] not in until
    assert sorted(since + until) == sorted(runs)


async def test_watch_tells_everything_once_and_ends(place):
    run = await place.begin("- a: {call: held, with: {x: 1}}\n- b: {call: used, with: {x: 2}}")

    async def look():
        return [entry async for entry in place.engine.watch(TENANT, run)]

    looking = asyncio.create_task(look())
    await place.world.arrived.wait()
    place.world.gate.set()
    await place.end(run)
    entries = [entry for entry in await asyncio.wait_for(looking, 5) if entry.number]
    history = await place.engine.history(TENANT, run)
    assert place.settled(entries) == place.settled(history)
    assert [entry.data for entry in await looking if entry.type == "progress"] == [{"half": True}]
    assert [entry async for entry in place.engine.watch(TENANT, run)] == history


async def test_usage_reaches_the_history(place):
    run = await place.begin("- b: {call: used, with: {x: 2}}")
    await place.end(run)
    entries = await place.engine.history(TENANT, run)
    assert any(entry.data.get("usage") == {"inputTokens": 3} for entry in entries)


async def test_big_values_come_back_whole(place):
    run = await place.begin(
        "- a: {call: big, with: {count: 1000}}\n- b: {call: echo, with: {all: '${ .items }', again: '${ .items }'}}"
    )
    ended = await place.end(run)
    assert len(ended.output["all"]) == 1000
    assert ended.output["again"] == ended.output["all"]
    await place.reopen()
    assert (await place.engine.describe(TENANT, run)).output == ended.output


async def test_what_json_cannot_hold_is_refused_at_the_door(place):
    with pytest.raises(Invalid, match="JSON"):
        await place.begin("- t: {call: noop, with: {}}", {"x": float("nan")})


@pytest.mark.parametrize("key", ["$perdure.secret", "$perdure.blob", "$$perdure.parts"])
async def test_data_cannot_pose_as_a_handle(place, key):
    given = {key: ["token"], "list": [{key: "00" * 32}]}
    place.world.answer = given
    run = await place.begin(
        "- a: {call: raw, with: {}}\n- b: {call: echo, with: {x: '${ . }', y: '${ $workflow.input }'}}", given
    )
    ended = await place.end(run)
    assert ended.output == {"x": given, "y": given}
    assert ended.input == given
    await place.reopen()
    assert (await place.engine.describe(TENANT, run)).output == {"x": given, "y": given}


async def test_a_waiting_call_survives_a_new_opening(place):
    run = await place.begin("- a: {call: echo, with: {x: 1}}\n- b: {call: held, with: {x: 2}}")
    await place.world.arrived.wait()
    await place.reopen()
    place.world.gate.set()
    ended = await place.end(run)
    assert ended.output == {"x": 2}
    assert place.world.calls == {"echo": 1, "held": 2}
    assert sorted(place.world.keys.values()) == [1, 2]


async def test_an_unsafe_call_is_not_made_twice(place):
    run = await place.begin("- a: {call: charge, with: {x: 1}}")
    await place.world.arrived.wait()
    await place.reopen()
    ended = await place.end(run)
    assert (ended.status, ended.error["title"]) == ("faulted", "outcome unknown")
    assert place.world.calls["charge"] == 1
    place.world.gate.set()
    await place.engine.retry(TENANT, run)
    ended = await place.end(run)
    assert (ended.status, ended.output) == ("completed", {"x": 1})
    assert place.world.calls["charge"] == 2
