"""On whose account a run is: whoever starts it, or made what starts it, and its children with it."""

import pytest

from perdure.errors import Conflict
from perdure.services.workflows.runs import Start
from perdure.services.workflows.schedules import Wanted
from tests.unit.services.workflows.conftest import BY, TENANT
from tests.unit.services.workflows.test_webhooks import headers

PAYS = "[{who: {call: payer}}]"
ABOVE = "[{below: {run: {workflow: {namespace: test, name: w, version: 1.0.0}}}}]"


async def paid(world, run):
    return (await world.settle(run)).output


@pytest.mark.parametrize("workflow", ["test.w", "test.above"])
async def test_a_run_and_its_children_are_on_the_account_of_who_starts_it(world, workflow):
    await world.publish("w", PAYS)
    await world.publish("above", ABOVE)
    runs = world.service.runs
    by_key = await runs.start(TENANT, Start(workflow=workflow, by="key:key_1", project="shop"))
    assert await paid(world, by_key.run) == {"key": "key_1", "project": "shop"}
    by_user = await runs.start(TENANT, Start(workflow=workflow, by=BY, key="once"))
    again = await runs.start(TENANT, Start(workflow=workflow, by=BY, key="once"))
    assert (again.run, await paid(world, by_user.run)) == (by_user.run, {"key": BY})
    assert await paid(world, (await runs.start(TENANT, Start(workflow=workflow))).run) is None


async def test_the_same_run_asked_for_by_another_key_is_that_run(world):
    """A client whose key was renewed asks again and must hear of the run that it began."""
    await world.publish("w", PAYS)
    runs = world.service.runs
    first = await runs.start(TENANT, Start(workflow="test.w", by="key:old", key="order-17", input={"n": 1}))
    for version in (None, "1.0.0"):
        again = Start(workflow="test.w", by="key:new", key="order-17", input={"n": 1}, version=version)
        assert await runs.start(TENANT, again) == first
    assert await paid(world, first.run) == {"key": "old"}
    with pytest.raises(Conflict, match="another document or input"):
        await runs.start(TENANT, Start(workflow="test.w", by="key:new", key="order-17", input={"n": 2}))


async def test_a_schedule_is_on_the_account_of_who_made_it(world):
    await world.publish("w", PAYS)
    wanted = Wanted(workflow="test.w", kind="every", spec={"minutes": 1}, by="key:key_1", project="shop")
    one = await world.service.schedules.create(TENANT, wanted)
    await world.fire(60)
    run = (await world.service.schedules.get(TENANT, one.id)).last_run
    assert await paid(world, run) == {"key": "key_1", "project": "shop"}


async def test_a_schedule_of_a_document_is_on_the_account_of_who_published_it(world):
    await world.publish("w", PAYS, more="schedule: {every: {minutes: 1}}")
    await world.fire(60)
    [run] = await world.engine.find(TENANT)
    assert await paid(world, run.id) == {"key": BY}


async def test_a_webhook_is_on_the_account_of_who_made_it(world):
    await world.publish("w", PAYS)
    hook, secret = await world.service.webhooks.create(TENANT, "key:key_1", "x", workflow="test.w", project="shop")
    taken = await world.service.webhooks.take(hook.id, headers(world, secret), b'{"n": 1}')
    assert await paid(world, taken.run) == {"key": "key_1", "project": "shop"}
