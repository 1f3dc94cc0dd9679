"""Questions to people: shown with a hash, decided once by those who may, over when nobody waits any more."""

import asyncio

import pytest

from perdure.errors import Conflict, Denied, Invalid, NotFound
from perdure.services.workflows import events
from perdure.services.workflows.inbox import LOOK, Person, Verdict, addressees
from perdure.services.workflows.models import Void
from tests.unit.services.workflows.conftest import HELD, TENANT

ANA = Person(subject="ana")
BOB = Person(subject="bob", roles=frozenset({"operator"}))
OWNER = Person(subject="olga", roles=frozenset({"owner"}))
FORM = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer"}}}


def asked(number=1, type=events.APPROVAL_REQUESTED, **data):
    return {"specversion": "1.0", "id": f"e{number}", "source": "/test/w/1.0.0", "type": type, "data": data}


async def item(world, number=1, **data):
    return await world.service.inbox.ask(TENANT, asked(number, **{"title": "Pay?", "hash": "h"} | data))


async def decide(world, id, person=ANA, **verdict):
    return await world.service.inbox.decide(TENANT, person, id, Verdict(**{"hash": "h"} | verdict))


async def decisions(world):
    return [event for event in (await world.told()) if event["type"] == events.APPROVAL_DECIDED]


async def test_an_item_is_made_once(world):
    one = await item(world, details={"sum": 3}, to="user:ana")
    assert (one.title, one.details, one.to, one.hash) == ("Pay?", {"sum": 3}, ("user:ana",), "h")
    assert await item(world, title="Another") == one
    assert await world.service.inbox.find(TENANT) == [one]
    with pytest.raises(NotFound):
        await world.service.inbox.get("other", one.id)
    assert await world.service.inbox.find("other") == []


async def test_what_nobody_needs_an_answer_to_any_more_is_withdrawn(world):
    open_one, decided_one = await item(world), await item(world, 2)
    await decide(world, decided_one.id)
    listeners = world.service.listeners
    for subject in ("e1", "e2", "e3", "e1"):
        await listeners.withdrawn({"tenant": TENANT, "source": "/test/w/1.0.0", "subject": subject})
    assert (await world.service.inbox.get(TENANT, open_one.id)).state == "closed"
    assert (await world.service.inbox.get(TENANT, decided_one.id)).state == "decided"
    assert [event["type"] for event in await world.told()].count(events.ITEM_CLOSED) == 1
    with pytest.raises(Conflict):
        await decide(world, open_one.id)


async def test_a_decision_and_its_event(world):
    one = await item(world)
    done = await decide(world, one.id, reason="fine", data={"x": 1})
    assert (done.state, done.decision.by, done.decision.reason) == ("decided", "ana", "fine")
    (told,) = await decisions(world)
    assert (told["subject"], told["data"]["approved"], told["data"]["hash"]) == ("e1", True, "h")
    assert told["data"]["at"] == world.clock.now()
    with pytest.raises(Conflict, match="decided by ana"):
        await decide(world, one.id, BOB)
    assert len(await decisions(world)) == 1


async def test_many_at_once_decide_once(world):
    one = await item(world)
    done = await asyncio.gather(*(decide(world, one.id, reason=str(n)) for n in range(8)), return_exceptions=True)
    assert sum(not isinstance(answer, Conflict) for answer in done) == 1
    assert len(await decisions(world)) == 1


async def test_a_decision_for_something_else_is_void(world):
    one = await item(world)
    with pytest.raises(Void):
        await decide(world, one.id, hash="other")
    assert (await world.service.inbox.get(TENANT, one.id)).state == "open"


async def test_only_those_who_were_asked(world):
    one = await item(world, to=["user:ana", "role:operator"])
    assert await world.service.inbox.find(TENANT, person=BOB) == [one]
    assert await world.service.inbox.find(TENANT, person=OWNER) == []
    with pytest.raises(Denied):
        await decide(world, one.id, OWNER)
    with pytest.raises(Denied):
        await world.service.inbox.delegate(TENANT, Person(subject="eve"), one.id, ["eve"])
    await decide(world, one.id, BOB)
    assert await world.service.inbox.find(TENANT, person=BOB, states=("open",)) == []


async def test_delegation(world):
    one = await item(world, to="ana")
    given = await world.service.inbox.delegate(TENANT, ANA, one.id, ["bob"], "on leave")
    assert (given.to, given.delegations[0].by, given.delegations[0].reason) == (("user:bob",), "ana", "on leave")
    with pytest.raises(Denied):
        await decide(world, one.id, ANA)
    assert await world.service.inbox.find(TENANT, person=ANA) == []
    await world.service.inbox.delegate(TENANT, OWNER, one.id, ["user:olga"])
    await decide(world, one.id, OWNER)
    with pytest.raises(Conflict):
        await world.service.inbox.delegate(TENANT, OWNER, one.id, ["ana"])
    with pytest.raises(Invalid):
        await world.service.inbox.delegate(TENANT, OWNER, one.id, [])
    with pytest.raises(NotFound):
        await world.service.inbox.delegate("other", OWNER, one.id, ["ana"])


async def test_a_form_holds_for_an_approval(world):
    one = await item(world, form=FORM)
    for data in (None, {}, {"amount": "3"}):
        with pytest.raises(Invalid, match="does not fit the form"):
            await decide(world, one.id, data=data)
    with pytest.raises(Invalid):
        await decide(world, one.id, approved=False, data={})
    with pytest.raises(Invalid, match="JSON"):
        await decide(world, one.id, data={"amount": float("nan")})
    await decide(world, one.id, data={"amount": 3})
    other = await item(world, 2, form=FORM)
    await decide(world, other.id, approved=False, reason="no")


async def test_a_form_that_asks_for_nothing_needs_nothing(world):
    form = {"type": "object", "properties": {"note": {"type": "string"}}, "additionalProperties": False}
    decided = await decide(world, (await item(world, form=form)).id)
    assert decided.decision is not None and decided.decision.data == {}
    declined = await decide(world, (await item(world, 2, form=form)).id, approved=False)
    assert declined.decision is not None and declined.decision.data is None


async def test_a_deadline_tells_the_run(world):
    late = await item(world, 1, deadline=world.clock.now() + 60_000)
    await item(world, 2)
    assert await world.service.inbox.sweep() == 0
    world.clock.advance(61)
    assert await world.service.inbox.sweep() == 1
    assert (await world.service.inbox.get(TENANT, late.id)).state == "expired"
    (told,) = [event for event in (await world.told()) if event["type"] == events.ITEM_EXPIRED]
    assert told["subject"] == "e1"
    with pytest.raises(Conflict, match="over"):
        await decide(world, late.id)
    soon = await item(world, 3, deadline="2023-11-14T22:14:00Z")
    world.clock.advance(3600)
    with pytest.raises(Conflict, match="over"):
        await decide(world, soon.id)
    assert (await world.service.inbox.get(TENANT, soon.id)).state == "expired"


async def test_an_item_closes_with_its_run(world):
    await world.publish("w", HELD)
    version = await world.service.definitions.version(TENANT, "test.w")
    runs = [await world.engine.start(TENANT, version.document, {}) for _ in range(2)]
    items = [await item(world, number, run=run) for number, run in enumerate(runs)]
    world.clock.advance(LOOK / 1000 + 1)
    assert await world.service.inbox.sweep() == 0
    for run in runs:
        await world.engine.cancel(TENANT, run)
        await world.settle(run)
    with pytest.raises(Conflict, match="has ended"):
        await decide(world, items[0].id)
    world.clock.advance(LOOK / 1000 + 1)
    await world.service.inbox.sweep()
    found = await world.service.inbox.find(TENANT)
    assert [one.state for one in found] == ["closed", "closed"]
    assert await decisions(world) == []
    gone = await item(world, 9, run="nobody")
    with pytest.raises(Conflict):
        await decide(world, gone.id)


async def test_questions_of_any_shape(world):
    inbox = world.service.inbox
    agent = await inbox.ask(TENANT, asked(1, tool="refund", arguments={"n": 1}, hash="x", run="", task="/do/0/a"))
    assert (agent.title, agent.details) == ("May the agent call refund?", {"n": 1})
    plain = await inbox.ask(TENANT, {**asked(2), "data": "What now?"})
    assert (plain.details, plain.kind, len(plain.hash)) == ("What now?", "approval", 64)
    nothing = await inbox.ask(TENANT, {key: value for key, value in asked(3).items() if key != "data"})
    assert nothing.details is None
    odd = await inbox.ask(
        TENANT, asked(4, title="a\x00b\n", form={"type": 5}, to=["user:"], deadline="soon", hash=3, run=["x"])
    )
    assert (odd.title, odd.form, odd.to, odd.deadline, odd.run) == ("a b ", None, ("user:",), None, "")
    question = await inbox.ask(TENANT, asked(5, events.QUESTION_ASKED, title="Which?"))
    await inbox.decide(TENANT, ANA, question.id, Verdict(hash=question.hash, data="this"))
    (told,) = [event for event in (await world.told()) if event["type"] == events.QUESTION_ANSWERED]
    assert (told["subject"], told["data"]["data"]) == ("e5", "this")
    newest = await inbox.find(TENANT, limit=2)
    rest = await inbox.find(TENANT, after=newest[-1].id)
    assert {one.id for one in newest + rest} == {one.id for one in (agent, plain, nothing, odd, question)}
    assert len(rest) == 3


def test_addressees():
    assert addressees(["ana", "role:x", "user:ana", "a:b"]) == ("user:ana", "role:x", "user:a:b")
    for wrong in ([""], ["user:"], ["a\nb"], ["x" * 300]):
        with pytest.raises(Invalid):
            addressees(wrong)
