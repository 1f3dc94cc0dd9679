"""Agents answer: definitions, conversations, streams that go on where they were, and budgets on the way."""

import asyncio
import json

import pytest

from perdure.errors import Conflict, Invalid, NotFound
from perdure.services.agents.budgets import Wanted
from perdure.services.agents.executions import Question
from perdure.services.agents.models import Definition, Memory, Prompt, Tool, run_id
from tests.unit.services.agents.conftest import BY, TENANT

ORDERS = {
    "document": {"dsl": "1.0.3", "namespace": "shop", "name": "orders", "version": "1.0.0", "summary": "Looks it up."},
    "input": {"schema": {"document": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}},
    "do": [{"a": {"set": {"n": "${ .n + 1 }"}}}],
}


async def made(world, id="helper", **more):
    definition = Definition(**{"instruction": "Help.", **more} if "prompt" not in more else more)
    return await world.service.definitions.create(TENANT, BY, id, definition)


async def ask(world, message="Hello?", agent="helper", **more):
    execution = await world.service.executions.begin(TENANT, Question(agent=agent, message=message, **more))
    answer = await asyncio.wait_for(world.service.executions.wait(TENANT, execution.run), 10)
    return answer.execution, answer.run


async def heard(world, execution, last="", most=None):
    version = await world.service.definitions.version(TENANT, execution.agent, execution.version)
    found = []
    async for sent in world.service.executions.follow(execution, version, last):
        if sent.event == "begin":
            continue
        found.append((sent.event, json.loads(sent.data), sent.id))
        if most is not None and len(found) == most:
            break
    return found


async def test_an_agent_answers_and_its_answer_is_in_the_context(world):
    await made(world)
    execution, run = await ask(world, key="key_1")
    assert (execution.state, run.output) == ("completed", "Good.")
    said = await world.service.contexts.messages(TENANT, execution.context)
    assert [(one.number, one.role, one.content) for one in said] == [(1, "user", "Hello?"), (2, "assistant", "Good.")]
    [row] = await world.records.rows(TENANT, where={"agent": "helper"})
    assert (row.run, row.key) == (execution.run, "key_1")
    with pytest.raises(NotFound):
        await world.service.contexts.messages("other", execution.context)


async def test_a_conversation_goes_on_and_branches(world):
    await made(world)
    world.talker.lines = ["One.", "Two.", "Three."]
    first, _ = await ask(world, "a")
    await ask(world, "b", context=first.context)
    assert [message.text for message in world.talker.requests[1].messages[1:]] == ["a", "One.", "b"]
    branch = await world.service.contexts.branch(TENANT, BY, first.context, 2)
    await ask(world, "c", context=branch.id)
    assert [message.text for message in world.talker.requests[2].messages[1:]] == ["a", "One.", "c"]
    assert len(await world.service.contexts.messages(TENANT, first.context)) == 4
    await world.service.contexts.delete(TENANT, BY, first.context)
    assert len(await world.service.contexts.messages(TENANT, branch.id)) == 4
    with pytest.raises(NotFound):
        await world.service.contexts.get(TENANT, first.context)


async def test_memory_is_as_long_as_the_agent_says(world):
    await made(world, memory=Memory(messages=1))
    first, _ = await ask(world, "a")
    await ask(world, "b", context=first.context)
    assert [message.text for message in world.talker.requests[1].messages[1:]] == ["Good.", "b"]


async def test_the_same_key_is_the_same_execution(world):
    await made(world)
    first, _ = await ask(world, once="k")
    again, _ = await ask(world, once="k")
    assert (again.run, len(world.talker.requests)) == (first.run, 1)
    with pytest.raises(Conflict):
        await ask(world, "Something else", once="k")
    shop, _ = await ask(world, once="k", project="shop")
    mail, _ = await ask(world, once="k", project="mail")
    assert len({first.run, shop.run, mail.run}) == 3, "what somebody else's project was told is not said again"


async def test_one_answer_at_a_time_in_a_context(world):
    await made(world)
    world.talker.gate.clear()
    first = await world.service.executions.begin(TENANT, Question(agent="helper", message="a"))
    with pytest.raises(Conflict, match="still answering"):
        await world.service.executions.begin(TENANT, Question(agent="helper", message="b", context=first.context))
    world.talker.gate.set()
    await world.service.executions.wait(TENANT, first.run)


async def test_versions_are_kept_and_the_newest_answers(world):
    await made(world)
    second = await world.service.definitions.add_version(TENANT, BY, "helper", Definition(instruction="Be brief."))
    same = await world.service.definitions.add_version(TENANT, BY, "helper", Definition(instruction="Be brief."))
    assert (second.number, same.number) == (2, 2)
    await ask(world)
    await ask(world, version=1)
    told = [request.messages[0].text.splitlines()[0] for request in world.talker.requests]
    assert told == ["Be brief.", "Help."]
    await world.service.definitions.change_state(TENANT, BY, "helper", "archived")
    with pytest.raises(Conflict, match="archived"):
        await ask(world)


async def test_an_instruction_is_never_evaluated(world):
    text = '${ "evil" } \\(1+1) ${ $secrets.key }'
    await made(world, instruction=text)
    await made(world, "boss", tools=[Tool(agent="helper")])
    world.talker.lines = [[("helper", {"request": "${ 1 + 1 }"})], "sub", "done"]
    _, run = await ask(world, "${ 1 + 1 }", agent="boss")
    assert run.output == "done"
    assert world.talker.requests[1].messages[0].text.startswith(text)
    assert world.talker.requests[1].messages[1].text == "${ 1 + 1 }"


async def test_workflows_and_agents_are_tools(world):
    world.workflows["shop.orders"] = ORDERS
    await world.engine.publish(TENANT, ORDERS, {})
    await made(world)
    await made(world, "boss", tools=[Tool(workflow="shop.orders", name="look_up"), Tool(agent="helper"), "embed"])
    world.talker.lines = [[("look_up", {"n": 4}), ("helper", {"request": "x"}), ("look_up", {"n": "x"})], "sub", "done"]
    _, run = await ask(world, agent="boss")
    assert run.output == "done"
    results = [message.text for message in world.talker.requests[2].messages if message.role == "tool"]
    assert results[:2] == ['{"n":5}', "sub"]
    assert results[2].startswith("Error: The arguments do not fit")
    tools = {tool.name: tool for tool in world.talker.requests[0].tools}
    assert tools["look_up"].description == "Looks it up."
    assert set(tools) == {"look_up", "helper", "embed"}


async def test_a_long_result_of_a_tool_is_cut(world):
    long = {**ORDERS, "do": [{"a": {"set": {"text": '${ [range(20000) | "x"] | add }'}}}]}
    world.workflows["shop.orders"] = long
    await world.engine.publish(TENANT, long, {})
    await made(world, tools=[Tool(workflow="shop.orders")])
    world.talker.lines = [[("orders", {"n": 1})], "done"]
    await ask(world)
    result = world.talker.requests[1].messages[-1].text
    assert result.endswith("[cut: the first 16000 of 20011 characters]")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"instruction": ""}, "instruction"),
        ({"tools": ["nothing.here"]}, "nothing.here"),
        ({"tools": [Tool(function="embed", workflow="a.b")]}, "exactly one"),
        ({"tools": [Tool(workflow="no.such")]}, "no workflow"),
        ({"tools": [Tool(agent="nobody")]}, "no agent"),
        ({"limits": {"turns": 0}}, "limits"),
        ({"parameters": {"top_k": 5}}, "at parameters"),
        ({"parameters": {"temperature": 9}}, "at parameters"),
        ({"output": {"type": 7}}, "output"),
        ({"approval": ["nobody"]}, "nobody"),
    ],
)
async def test_what_cannot_be_an_agent_is_refused(world, wrong, sentence):
    with pytest.raises((Invalid, NotFound), match=sentence):
        await made(world, **wrong)


async def test_a_prompt_is_filled_in(world):
    prompt = await world.service.prompts.write(TENANT, BY, "greet", "Greet ${ .name } as ${ {a: .n} }; not {this}.")
    await made(world, prompt=Prompt(name="greet", version=prompt.version))
    await ask(world, values={"name": "Ana ${ .n }", "n": 2})
    assert world.talker.requests[0].messages[0].text.startswith('Greet Ana ${ .n } as {"a":2}; not {this}.')
    with pytest.raises(Invalid, match=r"\.name gives nothing"):
        await ask(world, values={"n": 2})
    assert (await world.service.prompts.write(TENANT, BY, "greet", "Other")).version == 2
    for wrong in ("${ .a", "${ ] }", "${ $secrets.x }", "${ input }"):
        with pytest.raises(Invalid):
            await world.service.prompts.write(TENANT, BY, "bad", wrong)


# Streams


def text_of(events):
    return "".join(data["text"] for kind, data, _ in events if kind == "text")


async def test_a_stream_tells_texts_tools_and_the_end(world):
    await made(world)
    await made(world, "boss", tools=[Tool(agent="helper")])
    world.talker.lines = [[("helper", {"request": "x"})], "secret thoughts", "It is done."]
    execution = await world.service.executions.begin(TENANT, Question(agent="boss", message="Go"))
    events = await heard(world, execution)
    # A call may report before the step ahead of it is on disk, so tools and texts may overlap.
    assert sorted(kind for kind, _, _ in events[:-1]) == ["text", "text", "text", "tool", "tool"]
    assert text_of(events) == "It is done."
    assert (events[-1][1]["output"], events[-1][1]["usage"]["inputTokens"]) == ("It is done.", 18)


@pytest.mark.parametrize("is_later", [False, True])
async def test_a_stream_goes_on_behind_any_event(world, is_later):
    await made(world)
    world.talker.lines = ["It is a long answer."]
    execution = await world.service.executions.begin(TENANT, Question(agent="helper", message="Go"))
    events = await heard(world, execution)
    if is_later:
        await world.service.live.close()
    for index in range(len(events) - 1):
        more = await heard(world, execution, events[index][2])
        assert text_of(events[: index + 1]) + text_of(more) == "It is a long answer."
        assert more[-1][0] == "end"
        assert all(kind != "reset" for kind, _, _ in more)


async def test_who_was_told_another_text_is_told_so(world):
    await made(world)
    world.talker.lines = ["It is a long answer."]
    execution, _ = await ask(world)
    events = await heard(world, execution, "1.4.00000000.5")
    assert [(kind, data.get("text")) for kind, data, _ in events[:-1]] == [("reset", "It is a long answer.")]
    events = await heard(world, execution, "1.400.00000000.5")
    assert [(kind, data.get("text")) for kind, data, _ in events[:-1]] == [("reset", "It is a long answer.")]


@pytest.mark.parametrize("is_later", [False, True])
async def test_a_stream_tells_that_a_person_has_to_approve(world, is_later):
    await made(world, tools=["embed"], approval=["embed"])
    world.talker.lines = [[("embed", {"input": "x"})], "It is done."]
    execution = await world.service.executions.begin(TENANT, Question(agent="helper", message="Go"))
    [(kind, told, id)] = await heard(world, execution, most=1)
    asked = told["approval"]
    assert (kind, told["path"]) == ("held", "/do/0/answer/turn#1/tool#0")
    assert (asked["tool"], asked["arguments"]) == ("embed", {"input": "x"})
    if is_later:  # the history tells it again
        await world.service.live.close()
        assert (await heard(world, execution, most=1))[0] == (kind, told, id)
    history = await world.engine.history(TENANT, execution.run)
    [request] = [one.data["output"]["id"] for one in history if one.path.endswith("request") and "output" in one.data]
    decided = {"type": "dev.perdure.approval.decided.v1", "source": "/perdure/inbox", "subject": request}
    decided["data"] = {"approved": True, "hash": asked["hash"]}
    await world.engine.deliver(TENANT, {"specversion": "1.0", "id": "1", **decided})
    more = await heard(world, execution, id)
    assert [kind for kind, _, _ in more if kind not in ("tool", "text")] == ["resumed", "end"]


async def test_handing_over_goes_on_in_the_stream(world):
    await made(world)
    await made(world, "desk", handover=["helper"])
    world.talker.lines = [[("helper", {"request": "x"})], "I take over."]
    execution = await world.service.executions.begin(TENANT, Question(agent="desk", message="Go"))
    events = await heard(world, execution)
    assert (text_of(events), events[-1][1]["output"]) == ("I take over.", "I take over.")


# What goes wrong


async def test_an_execution_whose_process_died_before_the_run_began_is_taken_up(world):
    version = await made(world)
    question = Question(agent="helper", message="Hello?")
    record = world.service.executions._record
    lost = await world.database.write(TENANT, lambda tx: record(tx, question, version, "lost-run", "Help."))
    assert await world.service.executions.sweep() == 1
    answer = await asyncio.wait_for(world.service.executions.wait(TENANT, lost.run), 10)
    assert answer.execution.state == "completed"
    assert await world.service.executions.sweep() == 0


async def test_an_execution_at_its_budget_goes_on_when_it_is_lifted(world):
    await made(world)
    await world.budgets.create(TENANT, BY, Wanted(scope="agent", subject="helper", amount=0.01))
    first, _ = await ask(world)
    second = await world.service.executions.begin(
        TENANT, Question(agent="helper", message="more", context=first.context)
    )
    await world.reaches(second.run, "waiting")
    [(kind, told, place)] = await heard(world, second, most=1)
    assert (kind, told["path"], "is used up" in told["detail"]) == ("held", "/do/0/answer/turn#1", True)
    asked = next(event for event in await world.told() if event["type"].startswith("dev.perdure.approval"))
    event = {"tenant": TENANT, "subject": asked["id"], "data": {"approved": True, "by": BY, "data": {"add": 5}}}
    forged = {**event, "data": {**event["data"], "asker": "a-run"}}  # a document asked under its id
    await world.service.listeners.decided(forged)
    (budget,) = await world.budgets.find(TENANT)
    assert (await world.budgets.standing(TENANT, budget.id)).limit == budget.amount
    await world.service.listeners.decided(event)
    await world.hand_out()
    answer = await asyncio.wait_for(world.service.executions.wait(TENANT, second.run), 10)
    assert answer.execution.state == "completed"
    said = await world.service.contexts.messages(TENANT, first.context)
    assert [one.role for one in said] == ["user", "assistant", "user", "assistant"]
    everything = await heard(world, answer.execution)
    assert [kind for kind, _, _ in everything][:2] == ["held", "resumed"]
    assert text_of(everything) == "Good."
    assert (await heard(world, answer.execution, last=place, most=1))[0][0] == "resumed"


async def test_an_execution_whose_budget_nobody_lifts_faults(world):
    await made(world)
    await world.budgets.create(TENANT, BY, Wanted(scope="agent", subject="helper", amount=0.01))
    await ask(world)
    execution = await world.service.executions.begin(TENANT, Question(agent="helper", message="more"))
    await world.reaches(execution.run, "waiting")
    asked = next(event for event in await world.told() if event["type"].startswith("dev.perdure.approval"))
    event = {"tenant": TENANT, "subject": asked["id"], "data": {"approved": False, "by": BY}}
    await world.service.listeners.decided(event)
    await world.hand_out()
    answer = await asyncio.wait_for(world.service.executions.wait(TENANT, execution.run), 10)
    assert (answer.execution.state, answer.run.error["status"]) == ("faulted", 429)


async def test_an_execution_that_can_never_begin_gives_its_context_free(world):
    await made(world)
    first, _ = await ask(world)
    await world.settle(await world.engine.start(TENANT, ORDERS, {"n": 1}, run=run_id(TENANT, "helper", "taken")))
    with pytest.raises(Conflict):
        await ask(world, "b", context=first.context, once="taken")
    answered, _ = await ask(world, "c", context=first.context)
    assert answered.state == "completed"
