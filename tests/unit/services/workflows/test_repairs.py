"""A run that cannot go on by itself asks a person, and does what is decided."""

import pytest

from perdure.errors import Conflict, Invalid
from perdure.services.workflows import events, repairs
from perdure.services.workflows.inbox import LOOK, Person, Verdict
from perdure.services.workflows.runs import Start
from tests.unit.services.workflows.conftest import TENANT

ANA = Person(subject="ana")
UNDO = """
- charge:
    set: {n: 1}
    metadata: {compensate: {raise: {error: {type: 'https://x.example/stuck', status: 503, title: stuck}}}}
- fail: {raise: {error: {type: 'https://x.example/broken', status: 500, title: broken}}}
"""


async def faulted(world, do):
    indented = "".join(f"  {line}\n" for line in do.strip().splitlines())
    text = f"document: {{dsl: 1.0.3, namespace: test, name: w, version: 1.0.0}}\ndo:\n{indented}"
    await world.service.definitions.publish(TENANT, "ana", text.encode(), "application/yaml")
    run = (await world.service.runs.start(TENANT, Start(workflow="test.w"))).run
    assert (await world.settle(run)).status == "faulted"
    await heard(world)
    return run


async def heard(world):
    for _, tenant, event in world.engine.outgoing(0):
        await world.service.listeners.take(tenant, event)


async def decide(world, item, **data):
    await world.service.inbox.decide(TENANT, ANA, item.id, Verdict(hash=item.hash, data=data))
    for event in await world.told():
        if event["type"] in events.ANSWERING:
            await world.service.listeners.answered(event)


async def test_a_compensation_that_fails_is_asked_about(world):
    run = await faulted(world, UNDO)
    await heard(world)
    (item,) = await world.service.inbox.find(TENANT)
    assert (item.kind, item.run, item.title) == ("repair", run, "Something could not be undone. What now?")
    assert "The compensation of" in item.details["error"]["detail"]
    with pytest.raises(Invalid, match="form"):
        await decide(world, item, action="dance")
    await decide(world, item, action="skip", output={})
    assert (await world.settle(run)).error["title"] == "broken"
    changed = [event for event in await world.told() if event["type"] == events.RUNS_CHANGED]
    assert [event["data"] for event in changed] == [{"verb": "skip", "runs": [run], "by": "ana"}], "once it goes on"
    await heard(world)
    assert len(await world.service.inbox.find(TENANT)) == 1, "what is undone now is a plain fault"


async def test_to_leave_it_changes_nothing(world):
    run = await faulted(world, UNDO)
    (item,) = await world.service.inbox.find(TENANT)
    before = len(await world.engine.history(TENANT, run))
    await decide(world, item, action="leave")
    assert len(await world.engine.history(TENANT, run)) == before


async def test_a_run_that_was_mended_otherwise_asks_no_more(world):
    run = await faulted(world, UNDO)
    (item,) = await world.service.inbox.find(TENANT)
    world.clock.advance(LOOK / 1000 + 1)
    await world.service.inbox.sweep()
    assert (await world.service.inbox.get(TENANT, item.id)).state == "open"
    await world.engine.skip(TENANT, run)
    await world.settle(run)
    with pytest.raises(Conflict, match="ended"):
        await decide(world, item, action="retry")
    assert (await world.service.inbox.get(TENANT, item.id)).state == "closed"


async def test_to_try_again(world):
    run = await faulted(world, UNDO)
    (item,) = await world.service.inbox.find(TENANT)
    await decide(world, item, action="retry")
    assert (await world.settle(run)).status == "faulted"
    await heard(world)
    assert [one.state for one in await world.service.inbox.find(TENANT)].count("open") == 1


async def test_a_plain_fault_is_no_question(world):
    await faulted(world, "- fail: {raise: {error: {type: 'https://x.example/broken', status: 500, title: broken}}}")
    assert await world.service.inbox.find(TENANT) == []


def fault(**error):
    return {"type": events.RUN_FAULTED, "id": "r-1", "source": "/n/w/1", "subject": "r", "data": {"error": error}}


def test_which_faults_are_questions():
    unknown = fault(title="outcome unknown", instance="/do/0/pay")
    assert repairs.is_needed(unknown)
    assert repairs.item_of("t", "ask_1", unknown, 0).task == "/do/0/pay"
    assert not repairs.is_needed(fault(title="x"))
    assert not repairs.is_needed({"type": events.RUN_FAULTED, "data": None})
    assert not repairs.is_needed({**unknown, "type": "other"})


async def test_what_was_refused_is_left(world):
    class Nobody:
        async def retry(self, tenant, run):
            raise Conflict("It has ended.")

    for told in ({"approved": True, "data": {"action": "retry"}}, {"approved": False, "data": None}):
        await repairs.repair(Nobody(), "t", {**told, "run": "r"})


FORGED = """
- tell:
    emit:
      event:
        with:
          type: io.serverlessworkflow.workflow.faulted.v1
          source: /test/other/1.0.0
          subject: somebodys-run
          data: {error: {title: outcome unknown}}
"""


async def test_no_document_asks_what_is_to_become_of_a_run(world):
    await world.publish("f", FORGED.replace("\n", "\n    "))
    run = (await world.service.runs.start(TENANT, Start(workflow="test.f"))).run
    assert (await world.settle(run)).status == "completed"
    await heard(world)
    assert await world.service.inbox.find(TENANT) == []
