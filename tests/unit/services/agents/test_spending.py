"""What is spent is counted once, and a hard budget lets nobody pass by more than one request."""

import asyncio

import pytest

from perdure.adapters.memory_cache import MemoryCache
from perdure.adapters.model_catalog import ModelCatalog
from perdure.errors import Invalid, Unavailable
from perdure.functions.model_providers import BUDGET
from perdure.ports.edge import Caller
from perdure.ports.model import Message, Request
from perdure.ports.spending import MODELS, Spender, account
from perdure.services.agents import events
from perdure.services.agents.allowance import ModelDenied
from perdure.services.agents.answers import Answers
from perdure.services.agents.budgets import Budgets, Wanted
from perdure.services.agents.gateway import Asked, ModelGateway
from perdure.services.agents.gateway import Ground as GatewayGround
from perdure.services.agents.guardrails import Guardrails, Rules
from perdure.services.agents.models import NANO, Mark
from perdure.services.agents.spending import AGAIN, Accounts, UsedUp
from perdure.services.agents.store import marks, stopped
from tests.unit.services.agents.conftest import BY, TENANT

ONE = {"inputTokens": 6, "outputTokens": 4, "model": "m", "cost": 0.01}
INFER = {
    "document": {"dsl": "1.0.3", "namespace": "test", "name": "asks", "version": "1.0.0"},
    "do": [{"ask": {"call": "infer", "with": {"instruction": "Say something."}}}],
}


def spender(call, **more):
    return Spender(tenant=TENANT, call=call, **more)


async def spend(accounts, who, usage=ONE):
    permit = await accounts.begin(who, model="m", tokens=10)
    await asyncio.sleep(0)
    await accounts.end(permit, usage)


async def test_a_request_is_recorded_once_with_its_price(world):
    for _ in range(3):
        await spend(
            world.accounts, spender("c1", run="r", path="/do/0/ask", key="key_1"), {**ONE, "price": {"input": 1}}
        )
    rows = await world.records.rows(TENANT, where={})
    assert [(row.call, row.input, row.output, row.cost, row.key, row.price) for row in rows] == [
        ("c1", 6, 4, NANO // 100, "key_1", {"input": 1})
    ]
    [total] = await world.records.sums(TENANT, by=("day", "model"), where={})
    assert (total.by["model"], total.requests, total.cost) == ("m", 1, NANO // 100)
    assert await world.records.rows("other", where={}) == []


@pytest.mark.parametrize("scope", ["tenant", "key", "run", "agent", "project"])
async def test_fifty_at_once_pass_a_limit_by_one_request_at_most(world, scope):
    await world.budgets.create(TENANT, BY, Wanted(scope=scope, amount=0.105))
    whose = {} if scope == "tenant" else {scope: "mine"}

    async def one(number):
        try:
            await spend(world.accounts, spender(f"c{number}", **whose))
        except UsedUp:
            return 0
        return 1

    done = await asyncio.gather(*(one(number) for number in range(50)))
    assert sum(done) == 11  # ten are within the limit; the eleventh passes it
    rows = await world.records.rows(TENANT, where={})
    assert sum(row.cost for row in rows) == 11 * NANO // 100


async def test_many_that_end_together_are_each_recorded_and_counted_once(world):
    async def begun(*calls, **more):
        return [await world.accounts.begin(spender(call, **more), model="m", tokens=10) for call in calls]

    for permit in (*await begun("a", "b"), *await begun("b", "c")):
        assert world.accounts.end_soon(permit, ONE)
    late = await begun("d", key="key_1")
    assert world.accounts.end_soon(late[0], ONE)
    await world.budgets.create(TENANT, BY, Wanted(scope="key", amount=1, hard=False))
    await world.accounts.bills.settled()
    assert sorted(row.call for row in await world.records.rows(TENANT, where={})) == ["a", "b", "c", "d"]
    [total] = await world.records.sums(TENANT, by=(), where={})
    assert (total.requests, total.input, total.cost) == (4, 24, 4 * NANO // 100)
    [account] = await world.budgets.accounts(spender("e", key="key_1"))
    assert await world.accounts._spent(account) == NANO // 100


async def test_what_a_budget_may_count_does_not_wait_for_others(world):
    permit = await world.accounts.begin(spender("a"), model="m", tokens=10)
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=1, hard=False))
    assert not world.accounts.end_soon(permit, ONE)
    await world.accounts.begin(spender("b"), model="m", tokens=10)
    assert not world.accounts.end_soon(permit, ONE)
    await world.accounts.end(permit, ONE)
    assert not any(world.accounts.bills._waiting.values())


@pytest.mark.parametrize("hard", [True, False])
async def test_what_is_told_at_once_and_together_is_counted_once(world, hard):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=1, hard=hard))
    permit = await world.accounts.begin(spender("a"), model="m", tokens=10)
    assert not world.accounts.end_soon(permit, ONE)
    await asyncio.gather(world.accounts.bills.settled(), world.accounts.end(permit, ONE))
    [total] = await world.records.sums(TENANT, by=(), where={})
    assert (total.requests, total.cost) == (1, NANO // 100)
    [account] = await world.budgets.accounts(spender("b"))
    assert await world.accounts._spent(account) == NANO // 100


async def test_what_a_full_disk_refuses_is_recorded_when_there_is_room_again(world):
    permit = await world.accounts.begin(spender("a"), model="m", tokens=10)
    write, refused = world.ground.database.write, []

    async def full(tenant, work):
        if len(refused) < 2:
            refused.append(tenant)
            raise Unavailable("The database cannot be written.")
        return await write(tenant, work)

    world.ground.database.write = full
    try:
        world.accounts.end_soon(permit, ONE)
        ending = asyncio.create_task(world.accounts.bills.settled())
        while not ending.done():
            await asyncio.sleep(0)
            world.clock.advance(1)
    finally:
        del world.ground.database.write
    assert len(await world.records.rows(TENANT, where={})) == 1


async def test_two_processes_share_counters_and_the_database_is_the_truth(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", measure="tokens", amount=25))
    await spend(world.accounts, spender("a"))
    other = Accounts(world.ground, Budgets(world.ground), world.records)
    await spend(other, spender("b"))
    world.ground.cache._values.clear()
    await spend(world.accounts, spender("c"))
    with pytest.raises(UsedUp, match="used up"):
        await other.begin(spender("d"), model="m", tokens=1)


async def test_an_abandoned_request_leaves_room(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", measure="tokens", amount=10))
    permit = await world.accounts.begin(spender("a"), model="m", tokens=100)
    waiting = asyncio.create_task(world.accounts.begin(spender("b"), model="m", tokens=100))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await world.accounts.abandon(permit)
    assert (await waiting).holds


async def test_a_request_that_was_paid_for_is_not_refused_when_it_comes_again(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=0.01))
    await spend(world.accounts, spender("a"))
    await spend(world.accounts, spender("a"))
    with pytest.raises(UsedUp):
        await world.accounts.begin(spender("b"), model="m", tokens=1)
    assert len(await world.records.rows(TENANT, where={})) == 1


async def test_a_warning_goes_out_once_a_period_and_a_soft_budget_refuses_nothing(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", per="day", amount=0.02, warn=50, hard=False))
    for number in range(5):
        await spend(world.accounts, spender(f"c{number}"))
    assert [event["type"] for event in await world.told()].count(events.BUDGET_NEARED) == 1
    world.clock.advance(86_400)
    await spend(world.accounts, spender("next day"))
    assert [event["type"] for event in await world.told()].count(events.BUDGET_NEARED) == 2


async def test_a_budget_for_each_key_counts_each_for_itself(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="key", amount=0.01))
    await spend(world.accounts, spender("a", key="k1"))
    await spend(world.accounts, spender("b", key="k2"))
    await spend(world.accounts, spender("c"))
    with pytest.raises(UsedUp):
        await world.accounts.begin(spender("d", key="k1"), model="m", tokens=1)


async def test_another_tenant_pays_for_itself(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=0.01))
    await spend(world.accounts, spender("a"))
    await spend(world.accounts, Spender(tenant="other", call="a"))
    await spend(world.accounts, Spender(tenant="other", call="b"))
    assert len(await world.records.rows("other", where={})) == 2


async def test_a_run_holds_at_a_budget_and_goes_on_when_a_person_lifts_it(world):
    made = await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=0.01))
    first = await world.settle(await world.engine.start(TENANT, INFER, {}))
    assert first.status == "completed"
    runs = [await world.engine.start(TENANT, INFER, {}) for _ in range(3)]
    for run in runs:
        await world.reaches(run, "waiting")
        [wait] = [entry.data["wait"] for entry in await world.engine.history(TENANT, run) if "wait" in entry.data]
        assert (wait["kind"], wait["budget"]) == ("budget", made.id)
    [asked] = await asked_of(world)
    assert asked["data"]["details"]["limit"] == 0.01
    assert len(world.talker.requests) == 1

    for _ in range(2):
        await world.budgets.decided(TENANT, asked["id"], approved=True, by=BY, add=1.0)
        await world.hand_out()
    for run in runs:
        ended = await world.settle(run)
        assert ended.status == "completed", ended.error
    assert len(world.talker.requests) == 4
    standing = await world.budgets.standing(TENANT, made.id)
    assert (standing.spent, standing.limit) == (4 * NANO // 100, 101 * NANO // 100)


async def held(world, **wanted):
    """A budget that is used up, and a run that waits for it."""
    made = await world.budgets.create(TENANT, BY, Wanted(**{"scope": "tenant", "amount": 0.01, **wanted}))
    await spend(world.accounts, spender("before"))
    run = await world.engine.start(TENANT, INFER, {})
    await world.reaches(run, "waiting")
    return made, run


async def asked_of(world):
    return [event for event in await world.told() if event["type"] == events.APPROVAL_REQUESTED]


async def test_who_refuses_faults_what_waits(world):
    _made, run = await held(world)
    [asked] = await asked_of(world)
    await world.budgets.decided(TENANT, asked["id"], approved=False, by=BY, add=None)
    await world.hand_out()
    ended = await world.settle(run)
    assert (ended.status, ended.error["type"], ended.error["status"]) == ("faulted", BUDGET, 429)
    again = await world.settle(await world.engine.start(TENANT, INFER, {}))
    assert again.status == "faulted"
    assert "hold" not in again.error


@pytest.mark.parametrize("how", [{"amount": 1.0}, {"hard": False}, None])
async def test_a_budget_that_wasquestions_or_deleted_lets_runs_go_on(world, how):
    made, run = await held(world)
    if how is None:
        await world.budgets.delete(TENANT, BY, made.id)
    else:
        await world.budgets.change(TENANT, BY, made.id, **how)
    await world.hand_out()
    assert (await world.settle(run)).status == "completed"
    [asked] = await asked_of(world)
    await world.budgets.decided(TENANT, asked["id"], approved=False, by=BY, add=None)  # nobody asks any more
    assert len([event for event in await world.told() if event["type"] == events.BUDGET_SETTLED]) == 1


async def test_a_change_that_is_not_enough_leaves_the_question_open(world):
    made, run = await held(world)
    await world.budgets.change(TENANT, BY, made.id, name="mine", amount=0.005)
    await world.hand_out()
    assert (await world.engine.describe(TENANT, run)).status == "waiting"
    await world.budgets.change(TENANT, BY, made.id, amount=0.02)
    await world.hand_out()
    assert (await world.settle(run)).status == "completed"


async def test_what_a_person_refused_is_asked_again_after_the_budget_was_raised(world):
    made, run = await held(world)
    [asked] = await asked_of(world)
    await world.budgets.decided(TENANT, asked["id"], approved=False, by=BY, add=None)
    await world.hand_out()
    await world.settle(run)
    await world.budgets.change(TENANT, BY, made.id, amount=0.02)
    await world.settle(await world.engine.start(TENANT, INFER, {}))
    await world.reaches(await world.engine.start(TENANT, INFER, {}), "waiting")
    assert len(await asked_of(world)) == 2


async def test_a_new_day_lets_runs_go_on_by_itself(world):
    _made, run = await held(world, per="day")
    [asked] = await asked_of(world)
    midnight = asked["data"]["deadline"]
    world.clock.advance((midnight - world.clock.now() - 1) / 1000)
    for _ in range(50):
        await asyncio.sleep(0)
    assert (await world.engine.describe(TENANT, run)).status == "waiting"
    world.clock.advance(0.001)
    assert (await world.settle(run)).status == "completed"


async def test_a_lift_that_is_too_small_asks_again(world):
    _made, run = await held(world, amount=0.001)
    [asked] = await asked_of(world)
    await world.budgets.decided(TENANT, asked["id"], approved=True, by=BY, add=0.001)
    await world.hand_out()
    for _ in range(1000):
        if len(found := await asked_of(world)) == 2:
            break
        await asyncio.sleep(0.001)
    await world.budgets.decided(TENANT, found[1]["id"], approved=True, by=BY, add=1)
    await world.hand_out()
    assert (await world.settle(run)).status == "completed"


@pytest.mark.parametrize("how", ["lift", "raise"])
async def test_a_budget_that_is_lifted_before_the_run_waits_for_it_wakes_it_all_the_same(world, how):
    """Between the refusal and the subscription: the event is kept for whoever subscribes later."""
    made = await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=0.01))
    await spend(world.accounts, spender("before"))
    asking = world.budgets.ask

    async def ask(*given):
        question = await asking(*given)
        if question is not None and question.state == "open":
            if how == "lift":
                await world.budgets.decided(TENANT, question.id, approved=True, by=BY, add=1.0)
            else:
                await world.budgets.change(TENANT, BY, made.id, amount=1.0)
            await world.hand_out()
        return question

    world.budgets.ask = ask
    run = await world.engine.start(TENANT, INFER, {})
    assert (await world.settle(run)).status == "completed"
    assert [event["type"] for event in await world.told()].count(events.BUDGET_SETTLED) == 1


async def test_a_budget_that_was_raised_before_the_question_is_not_asked_about(world):
    """The refusal was reckoned with what was true a moment ago."""
    made = await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=0.01))
    await spend(world.accounts, spender("before"))
    asking = world.budgets.ask

    async def ask(*given):
        await world.budgets.change(TENANT, BY, made.id, amount=1.0)
        return await asking(*given)

    world.budgets.ask = ask
    assert (await world.settle(await world.engine.start(TENANT, INFER, {}))).status == "completed"
    assert await asked_of(world) == []


async def test_who_asks_while_a_budget_is_raised_waits_for_nothing_or_is_told(world):
    """Whichever of the two comes first: no question stays open that a change has answered already."""
    for round in range(10):
        made = await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=0.01))
        [account] = await world.budgets.accounts(spender("c"))
        asking = [world.budgets.ask(account, NANO, f"r{number}") for number in range(4)]
        raising = world.budgets.change(TENANT, BY, made.id, amount=2.0)
        asking.insert(round % 5, raising)
        questions = [found for found in await asyncio.gather(*asking) if isinstance(found, Mark)]
        told = [
            event["type"] for event in await world.told() if event["subject"] in {made.id} | {m.id for m in questions}
        ]
        assert (
            told.count(events.APPROVAL_REQUESTED) == told.count(events.BUDGET_SETTLED) == len({m.id for m in questions})
        )
        await world.budgets.delete(TENANT, BY, made.id)


async def test_who_waits_in_vain_for_those_before_asks_again_later(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", measure="tokens", amount=10))
    permit = await world.accounts.begin(spender("slow"), model="m", tokens=100)
    world.accounts._patience = -1.0
    run = await world.engine.start(TENANT, INFER, {})
    await world.reaches(run, "waiting")
    await world.accounts.abandon(permit)
    world.clock.advance(AGAIN / 1000)
    assert (await world.settle(run)).status == "completed"
    assert await asked_of(world) == []


async def test_a_run_that_an_earlier_version_let_fault_goes_on_when_its_question_is_answered(world):
    made, run = await held(world)
    [asked] = await asked_of(world)
    await world.budgets.decided(TENANT, asked["id"], approved=False, by=BY, add=None)
    await world.hand_out()
    await world.settle(run)

    def as_before(tx):
        tx.connection.execute(marks.update().values(state="open"))
        tx.connection.execute(stopped.insert().values(tenant=TENANT, mark=asked["id"], run=run))

    await world.database.write(TENANT, as_before)
    for _ in range(2):
        await world.budgets.decided(TENANT, asked["id"], approved=True, by=BY, add=1.0)
    await world.reaches(run, "completed")
    assert (await world.budgets.get(TENANT, made.id)).amount == NANO // 100


async def test_a_spender_asks_only_the_models_that_he_may(world):
    held = spender("c1", models=("m", "p/*"))
    await spend(world.accounts, held)
    with pytest.raises(ModelDenied):
        await world.accounts.begin(held, model="q/m", tokens=1)
    assert len(await world.records.rows(TENANT, where={})) == 1


async def test_a_run_asks_only_the_models_that_it_is_held_to(world):
    child = {
        "document": {"dsl": "1.0.3", "namespace": "test", "name": "above", "version": "1.0.0"},
        "do": [{"below": {"run": {"workflow": {"namespace": "test", "name": "asks", "version": "1.0.0"}}}}],
    }
    await world.engine.publish(TENANT, INFER, {})
    for document in (INFER, child):
        refused = await world.settle(await world.engine.start(TENANT, document, {}, resources={MODELS: ["other"]}))
        assert (refused.status, refused.error["status"]) == ("faulted", 403)
        assert refused.error["type"].endswith("/authorization")
        assert "may not use the model" in refused.error["detail"]
        allowed = await world.settle(await world.engine.start(TENANT, document, {}, resources={MODELS: ["*"]}))
        assert allowed.status == "completed"
    assert len(world.talker.requests) == 2


async def test_a_run_and_its_children_count_for_the_key_that_started_it(world):
    above = {
        "document": {"dsl": "1.0.3", "namespace": "test", "name": "above", "version": "1.0.0"},
        "do": [{"below": {"run": {"workflow": {"namespace": "test", "name": "asks", "version": "1.0.0"}}}}],
    }
    await world.engine.publish(TENANT, INFER, {})
    await world.budgets.create(TENANT, BY, Wanted(scope="key", subject="key_1", amount=0.02))
    pays = account(key="key_1", project="shop")
    for document in (INFER, above):
        ended = await world.settle(await world.engine.start(TENANT, document, {}, resources=pays))
        assert ended.status == "completed"
    rows = await world.records.rows(TENANT, where={"key": "key_1", "project": "shop"})
    assert len(rows) == 2
    held = await world.engine.start(TENANT, INFER, {}, resources=pays)
    await world.reaches(held, "waiting")
    other = await world.settle(await world.engine.start(TENANT, INFER, {}, resources=account(key="key_2")))
    assert other.status == "completed"


async def test_who_refuses_to_lift_is_not_asked_again(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=0.01))
    await spend(world.accounts, spender("a"))
    for turn in range(3):
        with pytest.raises(UsedUp):
            await world.accounts.begin(spender(f"b{turn}", run="r"), model="m", tokens=1)
        asked = [event for event in await world.told() if event["type"] == events.APPROVAL_REQUESTED]
        assert len(asked) == 1
        await world.budgets.decided(TENANT, asked[0]["id"], approved=False, by=BY, add=None)


@pytest.mark.parametrize("wrong", [{"amount": 0}, {"amount": 1, "warn": 101}, {"amount": 1, "subject": "x"}])
async def test_what_cannot_be_a_budget_is_refused(world, wrong):
    with pytest.raises(Invalid):
        await world.budgets.create(TENANT, BY, Wanted(scope="tenant", **wrong))


async def test_counters_are_not_kept_for_ever(world):
    await world.budgets.create(TENANT, BY, Wanted(scope="tenant", amount=1))
    permit = await world.accounts.begin(spender("a"), model="m", tokens=10)
    world.clock.advance(3600)
    await world.accounts.end(permit, ONE)
    assert isinstance(world.ground.cache, MemoryCache)
    permit = await world.accounts.begin(spender("b"), model="m", tokens=10)
    await world.accounts.abandon(permit)
    standing = (await world.budgets.find(TENANT))[0]
    assert (await world.budgets.standing(TENANT, standing.id)).spent == NANO // 100


BIG = {"inputTokens": 5_000, "outputTokens": 25_000, "model": "talker", "cost": 30.0}
"""Of a long answer: more than anybody would guess, and less than the longest."""


async def fifty(world, start, *, requests):
    """So many at once under a budget for one answer and a bit, without `maxTokens`: how many were let through."""
    world.talker.usage = BIG
    world.talker.gate.clear()
    begun = [asyncio.ensure_future(start(number)) for number in range(50)]
    while not world.talker.requests:
        await asyncio.sleep(0.001)
    await asyncio.gather(*(world.ground.database.read(TENANT, lambda _c: None) for _ in range(50)))
    at_once = len(world.talker.requests)
    world.talker.gate.set()
    for _ in range(5000):
        if len(await asked_of(world)) and len(world.talker.requests) == requests:
            break
        await asyncio.sleep(0.001)
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)
    assert (at_once, len(world.talker.requests)) == (1, requests)


@pytest.mark.parametrize("measure", ["tokens", "cost"])
@pytest.mark.parametrize("kind", ["infer", "agent", "gateway"])
async def test_fifty_at_once_without_a_maximum_pass_a_limit_by_one_request_at_most(world, kind, measure):
    amount = 31_000 if measure == "tokens" else 31.0
    budget = await world.budgets.create(TENANT, BY, Wanted(scope="tenant", measure=measure, amount=amount))
    agent = {**INFER, "do": [{"ask": {"call": "agent", "with": {"instruction": "Say something."}}}]}

    async def run(number):
        await world.engine.start(TENANT, INFER if kind == "infer" else agent, {})

    gateway = ModelGateway(
        GatewayGround(
            models=ModelCatalog({"p": world.talker}, "p"), spending=world.accounts, clock=world.clock,
            answers=Answers(MemoryCache(world.clock)), guardrails=Guardrails(Rules()), log=lambda *_, **__: None,
        )
    )  # fmt: skip

    async def ask(number):
        request = Request(messages=(Message("user", f"{number}"),), key="", model="p/m")
        asked = Asked(request=request, caller=Caller(tenant=TENANT, subject=BY), mode=gateway.mode(""))
        try:
            await gateway.ask(asked)
        finally:
            await gateway.settle(asked)

    await fifty(world, ask if kind == "gateway" else run, requests=2)
    standing = await world.budgets.standing(TENANT, budget.id)
    assert standing.limit < standing.spent < 2 * standing.limit
