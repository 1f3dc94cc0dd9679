"""Approvals from the run to the inbox and back (`reliability.md` F13 to F17): the right question resumes the right place."""

import asyncio
from hashlib import blake2b

from perdure.services.workflows import events
from perdure.services.workflows.inbox import Person, Verdict
from perdure.services.workflows.runs import Start
from tests.unit.services.workflows.conftest import TENANT

ANA = Person(subject="ana")
ASK = "{{call: approve, with: {{title: {}, details: '${{ . }}'}}, output: {{as: .data}}}}"


async def begun(world, do, name="w", input=None):
    await world.publish(name, do)
    return (await world.service.runs.start(TENANT, Start(workflow=f"test.{name}", input=input or {}))).run


async def asked(world, count):
    """The open questions, when there are so many, by title."""
    for _ in range(400):
        for _, tenant, event in world.engine.outgoing(0):
            await world.service.listeners.take(tenant, event)
        items = await world.service.inbox.find(TENANT, states=("open",))
        if len(items) == count:
            return {item.title: item for item in items}
        await asyncio.sleep(0.005)
    raise AssertionError(items)


async def decide(world, item, data):
    await world.service.inbox.decide(TENANT, ANA, item.id, Verdict(hash=item.hash, data=data))
    for event in await world.told():
        if event["type"] in events.ANSWERING:
            await world.service.listeners.answered(event)


async def test_in_parallel_branches(world):
    """F13, F15: both are asked, both are recorded, and each answer goes to its own branch."""
    branches = f"[{{a: {ASK.format('first')}}}, {{b: {ASK.format('second')}}}]"
    run = await begun(world, f"[{{f: {{fork: {{branches: {branches}}}}}}}]")
    items = await asked(world, 2)
    await decide(world, items["second"], 2)
    assert set(await asked(world, 1)) == {"first"}
    await decide(world, items["first"], 1)
    assert (await world.settle(run)).output == [1, 2]


async def test_in_a_loop(world):
    """F14, F17: one question an iteration, and the variables stay."""
    ask = ASK.format('"${ \\"number \\\\($item)\\" }"').replace("'", "'")
    body = f"[{{a: {ask}}}, {{s: {{set: '${{ {{at: $index, said: .}} }}', export: {{as: '$context + {{(\"k\\($index)\"): .said}}'}}}}}}]"
    run = await begun(
        world,
        f"[{{l: {{for: {{in: '${{ [7, 8] }}'}}, do: {body}}}}}, {{last: {{set: '${{ {{last: ., context: $context}} }}'}}}}]",
    )
    for number in (7, 8):
        items = await asked(world, 1)
        await decide(world, items[f"number {number}"], number * 10)
    output = (await world.settle(run)).output
    assert output == {"last": {"at": 1, "said": 80}, "context": {"k0": 70, "k1": 80}}


async def test_in_a_workflow_below(world):
    """F16: the parent waits for the person whom its child asks."""
    await world.publish("child", f"[{{a: {ASK.format('below')}}}]")
    call = "{run: {workflow: {namespace: test, name: child, version: latest, input: {n: 5}}}}"
    run = await begun(world, f"[{{r: {call}}}, {{s: {{set: '${{ {{got: .}} }}'}}}}]", "parent")
    item = (await asked(world, 1))["below"]
    assert (item.details, item.run != run) == ({"n": 5}, True)
    await decide(world, item, "yes")
    assert (await world.settle(run)).output == {"got": "yes"}


async def test_a_cancelled_run_takes_its_question_along(world):
    run = await begun(world, f"[{{a: {ASK.format('gone')}}}]")
    await asked(world, 1)
    await world.engine.cancel(TENANT, run)
    await world.settle(run)
    world.clock.advance(16)
    await world.service.inbox.sweep()
    assert [item.state for item in await world.service.inbox.find(TENANT)] == ["closed"]


ASKS_AGAIN = """[{a: {emit: {event: {with: {type: dev.perdure.approval.requested.v1, id: '${ .id }', source: /other,
  extensions: {perdurerun: ''}, data: '${ {title: "harmless", hash: .hash} }'}}}}}]"""


async def test_who_asks_under_anothers_id_decides_nothing_of_it(world):
    run = await begun(world, "[{a: {call: approve, with: {title: pay, to: 'user:ana'}}}]")
    asks = (await asked(world, 1))["pay"]
    other = await begun(world, ASKS_AGAIN, "again", {"id": asks.request, "hash": asks.hash})
    forged = (await asked(world, 2))["harmless"]
    assert (forged.request, forged.hash, forged.asker) == (asks.request, asks.hash, other)
    await decide(world, forged, "yes")
    assert (await world.engine.describe(TENANT, run)).status == "waiting"
    await decide(world, asks, "no")
    assert (await world.settle(run)).output["data"] == "no"


ASKS_FIRST = """[{a: {emit: {event: {with: {type: dev.perdure.approval.requested.v1, id: '${ .id }', source: '${ .source }',
  data: '${ {title: "harmless", run: .run, task: "/do/0/a"} }'}}}}}]"""


async def test_who_asks_first_under_the_id_of_a_question_to_come_takes_no_place_of_it(world):
    """Ids follow from the id of the run, which a caller chooses: whoever reckons one would keep the question away."""
    await world.publish("pays", "[{a: {call: approve, with: {title: pay, to: 'user:ana'}}}]")
    await world.service.runs.start(TENANT, Start(workflow="test.pays", id="first"))
    known = (await asked(world, 1))["pay"]
    number = next(n for n in range(100) if blake2b(f"first/{n}".encode(), digest_size=16).hexdigest() == known.request)
    to_come = blake2b(f"second/{number}".encode(), digest_size=16).hexdigest()
    await begun(world, ASKS_FIRST, "asks", {"id": to_come, "source": known.source, "run": "second"})
    await asked(world, 2)
    await world.service.runs.start(TENANT, Start(workflow="test.pays", id="second"))
    await asked(world, 3)
    genuine = (await world.service.inbox.find(TENANT, run="second"))[0]
    assert (genuine.request, genuine.title, genuine.to) == (to_come, "pay", ("user:ana",))


async def test_no_document_asks_in_another_project(world):
    other = await begun(world, ASKS_FIRST, "asks", {"id": "q", "source": "/payments/pay/1.0.0", "run": "theirs"})
    item = (await asked(world, 1))["harmless"]
    assert (item.source, item.run) == ("/test/asks/1.0.0", other)
    assert await world.service.inbox.find(TENANT, project="payments") == []
    assert len(await world.service.inbox.find(TENANT, project="test")) == 1


async def test_a_fork_hears_the_answer_to_what_its_origin_asked(world):
    ask = "{call: approve, with: {title: pay, to: 'user:ana'}, output: {as: .data}}"
    after = "[{p: {emit: {event: {with: {source: /here, type: paid}}}}}, {q: {set: {n: 1}}}]"
    run = await begun(world, f"[{{f: {{fork: {{branches: [{{a: {ask}}}, {{b: {{do: {after}}}}}]}}}}}}]")
    item = (await asked(world, 1))["pay"]
    history = await world.engine.history(TENANT, run)
    fork = await world.engine.fork(TENANT, run, path=next(e.path for e in history if e.path.endswith("/q")))
    await decide(world, item, "yes")
    assert (await world.settle(run)).output == (await world.settle(fork)).output == ["yes", {"n": 1}]
