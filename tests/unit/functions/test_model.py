"""`model` and `agent` of the catalog: one request with tools against a real HTTP server, and what becomes of its answer."""

import contextlib

import msgspec
import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.model_catalog import ModelCatalog
from perdure.adapters.openai import OpenAIModel
from perdure.functions.agent import Agent
from perdure.functions.model import Model
from perdure.functions.model_providers import Providers
from perdure.interpreter import handles
from perdure.interpreter.agent_arguments import ANSWER
from perdure.interpreter.faults import standard_name
from perdure.language.schemas import Schema
from perdure.ports.function import FunctionFault
from perdure.ports.model import Image, Text
from tests.servers.model_endpoint import completion, endpoint, refusal
from tests.unit.adapters.model_fakes import Listed, lost
from tests.unit.functions.test_infer import context, fault_of

ASKED = {"messages": [{"role": "user", "content": "Hi."}]}
TOOL = {"name": "weather", "description": "The weather.", "parameters": {"type": "object"}}


@contextlib.asynccontextmanager
async def model(*script):
    egress = HttpEgress(["127.0.0.1"])
    async with endpoint(*script) as serving:
        provider = OpenAIModel(egress, SystemClock(), url=serving.url, key="k", model="small")
        yield Model(Providers(ModelCatalog({"openai": provider}, "openai"), ["openai"])), serving
    await egress.close()


def called(*calls):
    return lambda body, _: completion(None, finish="tool_calls", tool_calls=list(calls))


async def test_a_turn_with_tools():
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Lisbon"}'}}
    async with model(called(call)) as (function, serving):
        result = await function.execute({**ASKED, "tools": [TOOL], "output": {"type": "object"}}, context())
    assert result.output == {
        "text": "",
        "toolCalls": [{"id": "c1", "name": "weather", "arguments": {"city": "Lisbon"}}],
        "finish": "tools",
    }
    assert Schema(ANSWER).violation(result.output) is None
    assert result.usage == {"inputTokens": 11, "outputTokens": 7, "model": "scripted-1", "provider": "openai"}
    assert serving.requests[0]["tools"] == [{"type": "function", "function": TOOL}]
    assert serving.requests[0]["response_format"]["type"] == "json_schema"
    assert serving.headers[0]["idempotency-key"] == "key-9"


async def test_a_conversation_goes_out_as_the_wire_wants_it():
    made = [
        {"id": "c1", "name": "weather", "arguments": {"city": "Lisbon"}},
        {"id": "c2", "name": "x", "arguments": "{"},
    ]
    messages = [
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "", "toolCalls": made},
        {"role": "tool", "content": "sunny", "toolCall": "c1"},
        {"role": "tool", "content": "Error", "toolCall": "c2"},
    ]
    async with model(lambda body, _: completion("done")) as (function, serving):
        result = await function.execute({"messages": messages}, context())
    assert result.output == {"text": "done", "toolCalls": [], "finish": "stop"}
    sent = serving.requests[0]["messages"]
    assert sent[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Lisbon"}'}},
            {"id": "c2", "type": "function", "function": {"name": "x", "arguments": "{"}},
        ],
    }
    assert sent[2] == {"role": "tool", "content": "sunny", "tool_call_id": "c1"}
    assert "tools" not in serving.requests[0]


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ("", {}),
        (None, {}),
        (" ", {}),
        ("{oops", "{oops"),
        ("[1]", [1]),
        ({"a": 1}, {"a": 1}),
        ("[" * 100_000, "[" * 100_000),
    ],
)
async def test_arguments_as_endpoints_write_them(arguments, read):
    async with model(called({"function": {"name": "weather", "arguments": arguments}})) as (function, _):
        result = await function.execute(ASKED, context())
    assert result.output["toolCalls"] == [{"id": "call-0", "name": "weather", "arguments": read}]


@pytest.mark.parametrize("call", ["text", {}, {"function": {}}, {"function": {"name": 7}}, 7])
async def test_a_tool_call_that_is_none(call):
    async with model(called(call)) as (function, _):
        fault = await fault_of(function, ASKED)
    assert standard_name(fault.problem["type"]) == "communication"


async def test_a_refusal_comes_back_as_such():
    async with model(lambda body, _: completion("", refusal="no")) as (function, _):
        assert (await function.execute(ASKED, context())).output["finish"] == "refused"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"messages": []}, "validation"),
        ({**ASKED, "tools": [{"name": "x"}]}, "validation"),
        ({**ASKED, "provider": "other"}, "configuration"),
        ({**ASKED, "model": {handles.SECRET: ["token"]}}, "authorization"),
    ],
)
async def test_what_is_refused_before_anything_is_sent(arguments, name):
    async with model(lambda body, _: completion("never")) as (function, serving):
        fault = await fault_of(function, arguments)
    assert (standard_name(fault.problem["type"]), fault.outcome) == (name, "definite")
    assert serving.requests == []


async def test_a_failure_keeps_its_status():
    async with model(lambda body, _: refusal(400, "bad")) as (function, _):
        assert (await fault_of(function, ASKED)).problem["status"] == 400


async def test_data_that_looked_like_a_handle_goes_out_as_it_was():
    made = [{"id": "c", "name": "x", "arguments": {"$$perdure.secret": ["a"]}}]
    messages = [{"role": "assistant", "content": "", "toolCalls": made}]
    async with model(lambda body, _: completion("x")) as (function, serving):
        await function.execute({"messages": messages}, context())
    sent = serving.requests[0]["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert sent == '{"$perdure.secret":["a"]}'


def test_both_describe_themselves():
    assert (Model(Providers({}, "local")).effect_of({}, {}), Agent().effect_of({}, {})) == ("idempotent", "unsafe")
    assert (
        repr(Model(Providers(ModelCatalog({}, "local"), ["local"])))
        == "Model(Providers(ModelCatalog(; default local)))"
    )
    assert repr(Agent()) == "Agent(1.0.0)"
    for function in (Model(Providers({}, "local")), Agent()):
        Schema(function.input_schema).check()


async def test_an_agent_is_not_called_like_a_function():
    with pytest.raises(FunctionFault, match="under use.functions"):
        await Agent().execute({}, context())


async def test_text_is_reported_as_it_comes():
    told = []
    surrounded = msgspec.structs.replace(context(), progress=told.append)
    function = Model(Providers(ModelCatalog({"p": Listed(["He", "llo"])}, "p"), ["p"]))
    result = await function.execute({**ASKED, "stream": True}, surrounded)
    assert (result.output["text"], told) == ("Hello", [{"text": "He", "at": 0}, {"text": "llo", "at": 2}])
    function = Model(Providers(ModelCatalog({"p": Listed(["He", lost()])}, "p"), ["p"]))
    with pytest.raises(FunctionFault) as fault:
        await function.execute({**ASKED, "stream": True}, surrounded)
    assert fault.value.outcome == "unknown"


async def test_pictures_and_seals_go_along():
    inner = Listed("x")
    function = Model(Providers(ModelCatalog({"p": inner}, "p"), ["p"]))
    call = {"id": "c", "name": "f", "arguments": {}, "seal": "s"}
    messages = [
        {"role": "user", "content": "What is it?", "images": [{"uri": "https://x.example/a.png"}]},
        {"role": "assistant", "content": "", "toolCalls": [call]},
    ]
    await function.execute({"messages": messages}, context())
    asked = inner.requests[0].messages
    assert asked[0].content == (Text("What is it?"), Image(uri="https://x.example/a.png"))
    assert (asked[0].text, asked[1].tool_calls[0].seal) == ("What is it?", "s")


async def test_a_model_is_named_with_its_provider():
    inner = Listed("x")
    function = Model(Providers(ModelCatalog({"p": inner, "q": Listed("y")}, "q"), ["p", "q"]))
    await function.execute({**ASKED, "model": "p/big"}, context())
    await function.execute({**ASKED, "model": "small", "provider": "p"}, context())
    assert [request.model for request in inner.requests] == ["big", "small"]
