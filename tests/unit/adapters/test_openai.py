"""The OpenAI-compatible adapter against a real HTTP server that answers well, badly, slowly, or not at all."""

import asyncio
import socket

import msgspec
import pytest
from aiohttp import web

from perdure.adapters import openai_chat_wire
from perdure.adapters.clock import SystemClock, TestClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.model_retries import RetriedModel
from perdure.adapters.openai import OpenAIModel
from perdure.ports.model import Message, ModelFailed, Request, TextDelta
from tests.servers.model_endpoint import completion, endpoint, refusal

KEY = "sk-canary-1234567890"


def request(**more):
    given = {"messages": (Message("system", "Be brief."), Message("user", "Hello")), "key": "key-1", **more}
    return Request(**given)


async def ask(url, wanted=None, *, clock=None, key=KEY, model="small"):
    egress = HttpEgress(["127.0.0.1"])
    try:
        clock = clock or SystemClock()
        return await RetriedModel(OpenAIModel(egress, clock, url=url, key=key, model=model), clock).ask(
            wanted or request()
        )
    finally:
        await egress.close()


class Hurried(SystemClock):
    """Does not wait, and remembers how long it should have."""

    def __init__(self):
        self.waited = []

    def sleep(self, seconds):
        self.waited.append(seconds)
        return asyncio.sleep(0)


async def test_a_question_and_its_answer():
    async with endpoint(lambda body, _: completion("Hi.")) as serving:
        answer = await ask(serving.url)
    assert (answer.text, answer.finish) == ("Hi.", "stop")
    assert answer.usage == {"inputTokens": 11, "outputTokens": 7, "model": "scripted-1"}
    assert serving.requests == [
        {
            "model": "small",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        }
    ]
    assert serving.headers[0]["idempotency-key"] == "key-1"
    assert serving.headers[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("calls", [[], ["a", "b"]])
async def test_who_cannot_stream_answers_whole(calls):
    made = [{"type": "function", "function": {"name": name, "arguments": '{"n": 1}'}} for name in calls]
    more = {"tool_calls": made, "finish": "tool_calls"} if calls else {}
    egress = HttpEgress(["127.0.0.1"])
    async with endpoint(lambda body, _: completion("Hi.", **more)) as serving:
        model = OpenAIModel(egress, SystemClock(), url=serving.url, key=KEY, model="small")
        chunks = [chunk async for chunk in model.stream(request())]
        whole = await model.ask(request())
    await egress.close()
    assert serving.requests[0]["stream"] is True
    assert chunks[0] == TextDelta("Hi.")
    assert chunks[-1] == whole
    assert [call.name for call in whole.tool_calls] == calls


async def test_no_key_no_header():
    async with endpoint(lambda body, _: completion("Hi.")) as serving:
        await ask(serving.url, key="")
    assert "authorization" not in serving.headers[0]


async def test_parameters_and_schema_in_the_words_of_the_wire():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    wanted = request(
        schema=schema,
        parameters={"temperature": 0, "maxTokens": 5, "topP": 0.5, "seed": 7, "stop": ["\n"]},
        model="big",
    )
    async with endpoint(lambda body, _: completion('{"a": "x"}')) as serving:
        await ask(serving.url, wanted)
    sent = serving.requests[0]
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }
    assert {name: sent[name] for name in ("model", "temperature", "max_tokens", "top_p", "seed", "stop")} == {
        "model": "big",
        "temperature": 0,
        "max_tokens": 5,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["\n"],
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "additionalProperties": False},
        {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
        {"anyOf": [{"type": "object", "properties": {"a": {}}}]},
    ],
)
async def test_strict_only_where_the_schema_closes_every_object(schema):
    async with endpoint(lambda body, _: completion("{}")) as serving:
        await ask(serving.url, request(schema=schema))
    assert serving.requests[0]["response_format"]["json_schema"]["strict"] is False


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
async def test_any_usual_form_of_the_base_address(path):
    async with endpoint(lambda body, _: completion("Hi.")) as serving:
        assert (await ask(serving.url + path)).text == "Hi."


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_endpoint_is_asked_again_with_the_same_key(status):
    clock = Hurried()
    busy = lambda body, _: refusal(status, "busy")  # noqa: E731
    async with endpoint(busy, busy, lambda body, _: completion("Hi.")) as serving:
        assert (await ask(serving.url, clock=clock)).text == "Hi."
    assert {headers["idempotency-key"] for headers in serving.headers} == {"key-1"}
    first, second = clock.waited
    assert 0.25 <= first <= 0.5 <= second <= 1.0


async def test_the_endpoint_says_how_long_to_wait():
    clock = Hurried()
    told = lambda body, _: refusal(429, "slow down", {"retry-after": "3"})  # noqa: E731
    async with endpoint(told, lambda body, _: completion("Hi.")) as serving:
        await ask(serving.url, clock=clock)
    assert clock.waited == [3.0]


async def test_the_endpoint_says_when_as_a_date():
    class At(Hurried):
        def now(self):
            return 1_700_000_000_000

    clock = At()
    told = lambda body, _: refusal(503, "later", {"retry-after": "Tue, 14 Nov 2023 22:13:25 GMT"})  # noqa: E731
    async with endpoint(told, lambda body, _: completion("Hi.")) as serving:
        await ask(serving.url, clock=clock)
    assert clock.waited == [5.0]


@pytest.mark.parametrize("told", ["9999", "Fri, 13 Nov 2099 22:13:25 GMT"])
async def test_a_wait_that_is_too_long_ends_at_once(told):
    async with endpoint(lambda body, _: refusal(429, "quota", {"retry-after": told})) as serving:
        with pytest.raises(ModelFailed) as failed:
            await ask(serving.url, clock=Hurried())
    assert (failed.value.failure, failed.value.status, len(serving.requests)) == ("communication", 429, 1)


async def test_a_date_that_is_none_counts_as_nothing_said():
    clock = Hurried()
    async with endpoint(lambda body, _: refusal(503, "x", {"retry-after": "soon"})) as serving:
        with pytest.raises(ModelFailed):
            await ask(serving.url, clock=clock)
    first, second = clock.waited
    assert 0.25 <= first <= 0.5 <= second <= 1.0
    assert len(serving.requests) == 3


@pytest.mark.parametrize(
    ("status", "failure"), [(401, "authentication"), (403, "authentication"), (404, "communication")]
)
async def test_a_refusal_is_told_and_never_with_the_key(status, failure):
    async with endpoint(lambda body, _: refusal(status, f"wrong key {KEY}")) as serving:
        with pytest.raises(ModelFailed) as failed:
            await ask(serving.url)
    assert (failed.value.failure, failed.value.status) == (failure, status)
    assert KEY not in str(failed.value)
    assert "wrong key ***" in str(failed.value)
    assert len(serving.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": null}]}', b'"text"', b"\xff"],
)
async def test_what_is_no_completion(body):
    async with endpoint(lambda _body, _: web.Response(body=body, content_type="application/json")) as serving:
        with pytest.raises(ModelFailed) as failed:
            await ask(serving.url)
    assert failed.value.failure == "communication"
    assert "no chat completion" in str(failed.value) or "not JSON" in str(failed.value)
    assert failed.value.sent


async def test_an_answer_that_is_not_text():
    async with endpoint(lambda _body, _: completion([{"type": "image"}])) as serving:
        with pytest.raises(ModelFailed, match="other than text"):
            await ask(serving.url)


@pytest.mark.parametrize(
    ("finish", "more", "expected"),
    [("length", {}, "length"), ("content_filter", {}, "refused"), ("stop", {"refusal": "no"}, "refused")],
)
async def test_how_an_answer_ends(finish, more, expected):
    async with endpoint(lambda _body, _: completion(None, finish=finish, **more)) as serving:
        assert (await ask(serving.url)).finish == expected


async def test_tokens_from_the_cache_are_told():
    body = {
        "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}},
    }
    async with endpoint(lambda _body, _: web.json_response(body)) as serving:
        usage = (await ask(serving.url)).usage
    assert usage == {"inputTokens": 9, "outputTokens": 1, "inputTokensCached": 8, "model": "small"}


async def test_a_connection_cut_after_the_request_leaves_the_outcome_unknown():
    async def cut(_body, request):
        request.transport.close()
        return web.Response()

    async with endpoint(cut) as serving:
        with pytest.raises(ModelFailed) as failed:
            await ask(serving.url)
    assert (failed.value.failure, failed.value.sent) == ("communication", True)


async def test_nobody_listens():
    with socket.socket() as held:  # bound and not listening: no other process can take the port meanwhile
        held.bind(("127.0.0.1", 0))
        with pytest.raises(ModelFailed) as failed:
            await ask(f"http://127.0.0.1:{held.getsockname()[1]}")
    assert (failed.value.failure, failed.value.sent) == ("communication", True)


async def test_an_endpoint_that_egress_forbids():
    egress = HttpEgress()
    with pytest.raises(ModelFailed) as failed:
        await OpenAIModel(egress, SystemClock(), url="http://127.0.0.1:9").ask(request())
    assert (failed.value.failure, failed.value.sent) == ("configuration", False)
    await egress.close()


async def test_an_endpoint_that_never_answers():
    held = asyncio.Event()

    async def hold(_body, _request):
        await held.wait()
        return completion("late")

    async with endpoint(hold) as serving:
        with pytest.raises(ModelFailed) as failed:
            await ask(serving.url, request(timeout=0.3))
        held.set()
    assert failed.value.failure in {"communication", "timeout"}


async def test_no_time_left_before_the_first_attempt():
    async with endpoint(lambda _body, _: completion("x")) as serving:
        with pytest.raises(ModelFailed) as failed:
            await ask(serving.url, request(timeout=0.0), clock=TestClock())
    assert (failed.value.failure, serving.requests) == ("timeout", [])


async def test_it_shows_no_key():
    model = OpenAIModel(HttpEgress(), SystemClock(), url="https://models.example", key=KEY, model="m")
    assert KEY not in repr(model)
    assert "with key" in repr(model)


async def test_an_error_that_is_no_json_is_shown_short():
    async with endpoint(lambda _body, _: web.Response(status=400, text="<html>" + "x" * 5000)) as serving:
        with pytest.raises(ModelFailed) as failed:
            await ask(serving.url)
    assert len(str(failed.value)) < 400


@pytest.mark.parametrize(("is_origin", "name"), [(True, "max_completion_tokens"), (False, "max_tokens")])
def test_the_house_that_renamed_a_parameter(is_origin, name):
    wire = openai_chat_wire.body(request(parameters={"maxTokens": 3}), "m", is_origin=is_origin)
    assert wire[name] == 3
    assert msgspec.json.encode(wire)
