"""One verb for many runs: at once, or as a job that survives."""

import pytest

from perdure.errors import Invalid, NotFound, Unavailable
from perdure.ports.engine import Query
from perdure.services.workflows import bulk
from perdure.services.workflows.runs import Start
from tests.unit.services.workflows.conftest import BY, HELD, TENANT


async def waiting(world, count):
    await world.publish("w", HELD)
    runs = [(await world.service.runs.start(TENANT, Start(workflow="test.w"))).run for _ in range(count)]
    for run in runs:
        await world.until(run, "waiting")
    return runs


async def test_a_few_are_done_before_the_answer(world):
    runs = await waiting(world, 3)
    job = await world.service.bulk.steer(TENANT, BY, "cancel", runs=[*runs, runs[0], "nobody"])
    assert (job.state, job.done, job.failed) == ("done", 4, 1)
    assert {answer.run: answer.ok for answer in job.answers} == {**dict.fromkeys(runs, True), "nobody": False}
    assert await world.service.bulk.get(TENANT, job.id) == job
    for run in runs:
        assert (await world.settle(run)).status == "cancelled"
    with pytest.raises(NotFound):
        await world.service.bulk.get("other", job.id)
    assert not await world.service.bulk.sweep()


async def test_many_are_a_job_that_goes_on_after_a_crash(world, monkeypatch):
    monkeypatch.setattr(bulk, "_STEP", 2)
    runs = await waiting(world, 5)
    job = await world.service.bulk.steer(TENANT, BY, "suspend", query=Query(workflow="test.w", statuses=("waiting",)))
    assert job.state == "working"
    world.clock.advance(bulk._LEASE / 1000 + 1)
    assert await world.service.bulk.sweep()

    async def broken(*_, **__):
        raise Unavailable("The journal cannot be written.")

    second = world.another()
    monkeypatch.setattr(second.runs, "apply", broken)
    with pytest.raises(Unavailable):
        await second.bulk.sweep()
    world.clock.advance(bulk._LEASE / 1000 + 1)
    while await world.service.bulk.sweep():
        pass
    done = await world.service.bulk.get(TENANT, job.id)
    assert (done.state, done.done, done.failed) == ("done", 5, 0)
    assert sorted(answer.run for answer in done.answers) == sorted(runs)
    assert len(await world.engine.find(TENANT, Query(statuses=("suspended",)))) == 5


async def test_what_is_not_said(world):
    for given in ({}, {"runs": ["a"], "query": Query()}, {"runs": []}):
        with pytest.raises(Invalid):
            await world.service.bulk.steer(TENANT, BY, "cancel", **given)
