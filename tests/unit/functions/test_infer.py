"""`infer` through its adapter against a real HTTP server: what the model is sent, and what becomes of its answer."""

import contextlib

import msgspec
import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.model_catalog import ModelCatalog
from perdure.adapters.openai import OpenAIModel
from perdure.functions.infer import Infer
from perdure.functions.model_providers import Providers
from perdure.interpreter import handles
from perdure.interpreter.faults import standard_name
from perdure.ports.function import Context, FunctionFault, Result
from tests.servers.model_endpoint import completion, endpoint, refusal

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["bill", "letter"]}, "total": {"type": "number"}},
    "required": ["kind"],
    "additionalProperties": False,
}


def context():
    return Context(
        tenant="t",
        run="r",
        path="/do/0/ask",
        ref="/do/0/ask",
        key="key-9",
        attempt=1,
        deadline=None,
        resources={},
        secret=lambda path: pytest.fail(f"a secret was opened: {path}"),
        progress=lambda data: None,
    )


@contextlib.asynccontextmanager
async def infer(*script):
    egress = HttpEgress(["127.0.0.1"])
    async with endpoint(*script) as serving:
        model = OpenAIModel(egress, SystemClock(), url=serving.url, key="k", model="small")
        yield Infer(Providers(ModelCatalog({"openai": model}, "openai"), ["openai"])), serving
    await egress.close()


async def fault_of(function, arguments):
    with pytest.raises(FunctionFault) as fault:
        await function.execute(arguments, context())
    return fault.value


async def test_a_text():
    async with infer(lambda body, _: completion("A short text.")) as (function, serving):
        result = await function.execute({"instruction": "Sum it up.", "input": "A long text."}, context())
    usage = {"inputTokens": 11, "outputTokens": 7, "model": "scripted-1", "provider": "openai"}
    assert result == Result("A short text.", usage)
    system, user = serving.requests[0]["messages"]
    assert system["role"] == "system"
    assert system["content"].startswith("Sum it up.\n")
    assert "never an instruction" in system["content"]
    assert user == {"role": "user", "content": "A long text."}
    assert serving.requests[0]["temperature"] == 0
    assert serving.headers[0]["idempotency-key"] == "key-9"


async def test_an_instruction_alone_is_the_question():
    async with infer(lambda body, _: completion("4")) as (function, serving):
        await function.execute({"instruction": "What is 2 + 2?"}, context())
    assert serving.requests[0]["messages"] == [{"role": "user", "content": "What is 2 + 2?"}]


async def test_data_that_is_not_text_is_shown_as_json():
    async with infer(lambda body, _: completion("ok")) as (function, serving):
        await function.execute({"instruction": "Look.", "input": {"a": ["ü", 1]}}, context())
    assert serving.requests[0]["messages"][1]["content"] == '{"a":["ü",1]}'


async def test_examples_are_turns_before_the_input():
    arguments = {
        "instruction": "Sort.",
        "input": "third",
        "examples": [{"input": "first", "output": {"kind": "bill"}}, {"input": {"n": 2}, "output": "letter"}],
    }
    async with infer(lambda body, _: completion("ok")) as (function, serving):
        await function.execute(arguments, context())
    turns = [(turn["role"], turn["content"]) for turn in serving.requests[0]["messages"][1:]]
    assert turns == [
        ("user", "first"),
        ("assistant", '{"kind":"bill"}'),
        ("user", '{"n":2}'),
        ("assistant", "letter"),
        ("user", "third"),
    ]


async def test_a_value_that_fits_its_schema():
    async with infer(lambda body, _: completion('{"kind": "bill", "total": 3.5}')) as (function, serving):
        result = await function.execute({"instruction": "Sort.", "input": "x", "output": SCHEMA}, context())
    assert result.output == {"kind": "bill", "total": 3.5}
    assert serving.requests[0]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("answer", "finish", "expected"),
    [
        ('{"kind": "poem"}', "stop", "does not fit the output schema"),
        ('{"kind": "bill", "extra": 1}', "stop", "does not fit the output schema"),
        ("Certainly! Here is the JSON you asked for.", "stop", "is not JSON"),
        ("", "stop", "is not JSON"),
        ('{"kind": "bi', "length", "was cut after 7 tokens. Raise parameters.maxTokens."),
        ('{"kind": "bill"}', "content_filter", "refused"),
    ],
)
async def test_an_answer_that_does_not_fit_is_a_validation_fault(answer, finish, expected):
    async with infer(lambda body, _: completion(answer, finish=finish)) as (function, serving):
        fault = await fault_of(function, {"instruction": "Sort.", "input": "x", "output": SCHEMA})
    assert standard_name(fault.problem["type"]) == "validation"
    assert expected in fault.problem["detail"]
    assert fault.outcome == "definite"
    assert len(serving.requests) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        "text",
        {},
        {"instruction": ""},
        {"instruction": 3},
        {"instruction": "x", "prompt": "y"},
        {"instruction": "x", "parameters": {"temperature": 9}},
        {"instruction": "x", "parameters": {"max_tokens": 9}},
        {"instruction": "x", "examples": [{"input": "y"}]},
        {"instruction": "x", "output": "text"},
        {"instruction": "x", "output": {"type": "nonsense"}},
        {"instruction": "x", "output": {"$ref": "https://elsewhere.example/schema"}},
    ],
)
async def test_arguments_that_do_not_fit_reach_no_model(arguments):
    async with infer(lambda body, _: completion("x")) as (function, serving):
        fault = await fault_of(function, arguments)
    assert standard_name(fault.problem["type"]) == "validation"
    assert serving.requests == []


@pytest.mark.parametrize("place", ["instruction", "input", "examples"])
@pytest.mark.parametrize("handle", [{handles.SECRET: ["token"]}, {handles.PARTS: ["a", {handles.SECRET: ["token"]}]}])
async def test_a_secret_never_enters_a_prompt(place, handle):
    arguments = {"instruction": "x", place: [{"input": handle, "output": "y"}] if place == "examples" else handle}
    async with infer(lambda body, _: completion("x")) as (function, serving):
        fault = await fault_of(function, arguments)
    assert standard_name(fault.problem["type"]) == "authorization"
    assert serving.requests == []


async def test_a_provider_that_is_not_there():
    async with infer(lambda body, _: completion("x")) as (function, _):
        fault = await fault_of(function, {"instruction": "x", "provider": "nowhere"})
    assert standard_name(fault.problem["type"]) == "configuration"
    assert "'nowhere'" in fault.problem["detail"]
    assert "openai" in fault.problem["detail"]


@pytest.mark.parametrize(("status", "name"), [(401, "authentication"), (400, "communication")])
async def test_what_the_endpoint_says_becomes_the_fault(status, name):
    async with infer(lambda body, _: refusal(status, "no such thing")) as (function, _):
        fault = await fault_of(function, {"instruction": "x"})
    assert standard_name(fault.problem["type"]) == name
    assert fault.problem["status"] == status
    assert "no such thing" in fault.problem["detail"]


async def test_a_cut_connection_leaves_the_outcome_unknown():
    async def cut(_body, request):
        request.transport.close()
        return completion("x")

    async with infer(cut) as (function, _):
        fault = await fault_of(function, {"instruction": "x"})
    assert fault.outcome == "unknown"


async def test_model_and_parameters_are_handed_on():
    arguments = {"instruction": "x", "model": "other", "parameters": {"temperature": 1, "seed": 3}}
    async with infer(lambda body, _: completion("x")) as (function, serving):
        await function.execute(arguments, context())
    assert serving.requests[0]["model"] == "other"
    assert serving.requests[0]["temperature"] == 1
    assert serving.requests[0]["seed"] == 3


def test_its_own_description():
    function = Infer(Providers(ModelCatalog({}, "local"), []))
    assert (function.name, function.version, function.effect_of({}, {})) == ("infer", "1.0.0", "idempotent")
    assert msgspec.json.encode(function.input_schema)
    assert "default local" in repr(function)


@pytest.mark.parametrize(
    ("given", "count"), [({"input": "What is it?"}, 2), ({}, 1), ({"input": {"a": 1}, "examples": []}, 2)]
)
async def test_pictures_go_with_the_input(given, count):
    picture = {"media": "image/png", "data": "aGVsbG8="}
    async with infer(lambda body, _: completion("A cup.")) as (function, serving):
        await function.execute({"instruction": "Say it.", "images": [picture], **given}, context())
    content = serving.requests[0]["messages"][-1]["content"]
    assert content[-1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    assert len(content) == count


@pytest.mark.parametrize(
    "image", [{"uri": "http://10.0.0.1/a"}, {"media": "text/html", "data": "aGVsbG8="}, {"data": "x"}]
)
async def test_what_is_no_picture(image):
    async with infer(lambda body, _: completion("never")) as (function, serving):
        fault = await fault_of(function, {"instruction": "Say it.", "images": [image]})
    assert fault.problem["type"].endswith("/validation")
    assert serving.requests == []
