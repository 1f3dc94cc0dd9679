"""Whole answers and requests: the same of every provider, over a real connection."""

import json

import pytest

from perdure.ports.model import Message, ModelFailed, Text, Texts, Tool, ToolCall
from tests.conformance.model.providers import (
    BY_NAME,
    FOLDER,
    KEY,
    SCHEMA,
    WEATHER,
    WIRES,
    provider,
    request,
    rich,
    whole,
)

USAGE = {"inputTokens": 20, "outputTokens": 7, "model": "m-1", "inputTokensCached": 5}


def usage_of(wire):
    return {key: value for key, value in USAGE.items() if wire.name != "ollama" or key != "inputTokensCached"}


def calls_of(wire):
    ids = ("call-0", "call-1") if wire.name == "ollama" else ("call_a", "call_b")
    seal = "c2VhbA==" if wire.name == "gemini" else ""
    return (ToolCall(ids[0], "weather", {"city": "Lisbon"}, seal), ToolCall(ids[1], "note", {"city": "Porto", "n": 1}))


each = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)


async def asked(wire, file, wanted=None):
    async with provider(whole(wire.bytes(file))) as (serving, egress):
        answer = await wire.model(egress, serving.url).ask(wanted or request())
    return answer, serving


@each
async def test_a_text(wire):
    answer, serving = await asked(wire, "text.json")
    assert (answer.text, answer.finish, answer.tool_calls) == ("Ready: é✓.", "stop", ())
    assert answer.usage == usage_of(wire)
    assert serving.paths == [wire.path]
    assert serving.headers[0]["idempotency-key"] == "key-1"
    assert KEY in "".join(serving.headers[0].values())
    assert KEY not in json.dumps(serving.bodies) + serving.paths[0]


@each
async def test_calls_of_tools(wire):
    answer, _ = await asked(wire, "tools.json")
    assert (answer.text, answer.finish, answer.tool_calls) == ("Looking.", "tools", calls_of(wire))


@each
async def test_an_answer_that_was_cut(wire):
    answer, _ = await asked(wire, "cut.json")
    assert (answer.text, answer.finish) == ("Rea", "length")


@pytest.mark.parametrize("wire", WIRES[:4], ids=lambda wire: wire.name)
async def test_a_refusal(wire):
    answer, _ = await asked(wire, "refused.json")
    assert (answer.finish, answer.tool_calls) == ("refused", ())


@each
@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"null", b'"text"', b'{"choices": [{}], "content": 7, "output": [1]}', b"no"]
)
async def test_what_is_no_answer(wire, body):
    async with provider(whole(body)) as (serving, egress):
        with pytest.raises(ModelFailed) as failed:
            await wire.model(egress, serving.url).ask(request())
    assert (failed.value.failure, failed.value.sent) == ("communication", True)


@each
@pytest.mark.parametrize(
    ("status", "failure"), [(401, "authentication"), (400, "communication"), (529, "communication")]
)
async def test_a_refusal_of_the_endpoint_is_told_without_the_key(wire, status, failure):
    body = json.dumps({"error": {"message": f"No: {KEY}"}}).encode()
    async with provider(whole(body, status)) as (serving, egress):
        with pytest.raises(ModelFailed, match=r"No: \*\*\*") as failed:
            await wire.model(egress, serving.url).ask(request())
    told = failed.value
    assert (told.failure, told.status, told.again, told.sent) == (failure, status, status == 529, False)


@each
async def test_everything_that_a_request_can_hold_is_on_the_wire(wire):
    _, serving = await asked(wire, "text.json", rich())
    assert serving.bodies[0] == json.loads((FOLDER / wire.name / "request.json").read_text())


@each
async def test_a_schema_binds_the_answer(wire):
    async with provider(whole(wire.bytes("text.json"))) as (serving, egress):
        await wire.model(egress, serving.url).ask(request(schema=SCHEMA))
    body = serving.bodies[0]
    found = {
        "chat": lambda: body["response_format"]["json_schema"]["schema"],
        "responses": lambda: body["text"]["format"]["schema"],
        "messages": lambda: body["tools"][0]["input_schema"],
        "gemini": lambda: body["generationConfig"]["responseJsonSchema"],
        "ollama": lambda: body["format"],
    }[wire.name]()
    assert found == SCHEMA


async def test_a_structured_answer_by_way_of_a_tool():
    wire = BY_NAME["messages"]
    answer = {**json.loads(wire.bytes("tools.json"))}
    answer["content"] = [{"type": "tool_use", "id": "x", "name": "final_answer", "input": {"a": "b"}}]
    async with provider(whole(json.dumps(answer).encode())) as (serving, egress):
        model = wire.model(egress, serving.url)
        given = await model.ask(request(schema=SCHEMA))
        assert (json.loads(given.text), given.finish, given.tool_calls) == ({"a": "b"}, "stop", ())
        assert serving.bodies[0]["tool_choice"] == {"type": "tool", "name": "final_answer"}
        taken = Tool("final_answer", "", {"type": "object"})
        await model.ask(request(schema={"type": "array"}, tools=(WEATHER, taken)))
        assert [tool["name"] for tool in serving.bodies[1]["tools"]] == ["weather", "final_answer", "final_answer_0"]
        assert serving.bodies[1]["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize("wire", [wire for wire in WIRES if wire.name != "messages"], ids=lambda wire: wire.name)
async def test_embeddings_in_the_order_of_the_texts(wire):
    async with provider(whole(wire.bytes("embed.json"))) as (serving, egress):
        model = wire.model(egress, serving.url)
        made = await model.embed(Texts(texts=("a", "b"), key="k", dimensions=2))
        assert made.vectors == ((0.5, -1.0), (0.0, 1.0))
        assert made.usage["model"] == "m-1"
        with pytest.raises(ModelFailed, match="2 vectors for 3 texts"):
            await model.embed(Texts(texts=("a", "b", "c"), key="k"))
    assert "2" in json.dumps(serving.bodies[0])


async def test_a_wire_without_embeddings_says_so():
    async with provider(whole(b"{}")) as (serving, egress):
        with pytest.raises(ModelFailed, match="no embeddings") as failed:
            await BY_NAME["messages"].model(egress, serving.url).embed(Texts(texts=("a",), key="k"))
    assert (failed.value.failure, serving.bodies) == ("configuration", [])


@each
async def test_arguments_that_are_no_object_go_back_as_they_came(wire):
    messages = (
        Message("user", (Text("Hi."),)),
        Message("assistant", "", (ToolCall("c", "weather", "{oops"),)),
        Message("tool", "Error", tool_call="c"),
    )
    async with provider(whole(wire.bytes("text.json"))) as (serving, egress):
        await wire.model(egress, serving.url).ask(request().__class__(messages=messages, key="k", tools=(WEATHER,)))
    assert "oops" in json.dumps(serving.bodies[0]) or wire.name == "ollama"
