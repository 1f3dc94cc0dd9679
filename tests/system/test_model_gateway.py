"""The model gateway of `perdure up`, asked by the official clients of OpenAI and Anthropic as they are."""

import asyncio
import json
import threading

import anthropic
import openai
import pytest
from aiohttp import web

from perdure.client import Client, agents, budgets, keys, runs, usage, workflows
from perdure.errors import Denied
from tests.servers.model_endpoint import completion, endpoints, refusal
from tests.system.platform_process import PlatformProcess

MODELS = """
default: first
providers:
  first: {{ kind: openai, url: "{0}", models: [m], retries: 0, breaker: {{ failures: 100000 }} }}
  second: {{ kind: openai, url: "{1}", models: [m], retries: 0, breaker: {{ failures: 100000 }} }}
  script: {{ kind: scripted, file: "{2}" }}
routes:
  safe: {{ use: [first/m, second/m] }}
prices:
  m: {{ input: 1, output: 2 }}
"""
SCRIPT = """
weather: [{ toolCalls: [{ name: weather, arguments: { city: Zagreb } }] }, It is sunny in Zagreb.]
colour: ['{"colour": "red"}']
long: ["Once upon a time there was a model that spoke in small pieces until it had said everything."]
mail: ["Write to ana@example.com for the SECRET."]
hidden: ["This is the forbidden word."]
"""
GUARDRAILS = r"""
before:
  - { name: cards, when: '.messages | any(.content | test("[0-9]{16}"))', refuse: Card numbers do not belong here. }
  - { name: phones, mask: '\+[0-9]{6,}', by: '[phone]' }
after:
  - { name: secrets, mask: SECRET, models: ['script'] }
  - { name: forbidden, when: '.text | contains("forbidden")', refuse: The answer may not be shown., models: ['script'] }
"""
ASKS = """
document: { dsl: 1.0.3, namespace: test, name: asks, version: 1.0.0 }
do: [{ ask: { call: infer, with: { instruction: Say something., model: first/m } } }]
"""
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
COLOUR = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def providers():
    with endpoints(*2 * [lambda body, _: completion("hello")]) as served:
        yield served


@pytest.fixture(scope="module")
def platform(tmp_path_factory, providers):
    folder = tmp_path_factory.mktemp("gateway")
    script, models, guardrails = folder / "script.yaml", folder / "models.yaml", folder / "guardrails.yaml"
    script.write_text(SCRIPT)
    models.write_text(MODELS.format(*(one.url for one in providers), script))
    guardrails.write_text(GUARDRAILS)
    made = PlatformProcess(
        folder,
        PERDURE_MODELS=str(models),
        PERDURE_GUARDRAILS=str(guardrails),
        PERDURE_RATE_LIMITS="model=0,refused=1000",
        PERDURE_MODEL_CACHE_EMBEDDING="script",
    )
    made.up()
    yield made
    made.kill()


@pytest.fixture
def first(providers):
    """The first provider, as new."""
    for one in providers:
        one.script[:] = [lambda body, _: completion("hello")]
        one.requests.clear()
    return providers[0]


@pytest.fixture
async def oai(platform):
    async with openai.AsyncOpenAI(base_url=f"{platform.address}/v1", api_key=platform.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(platform):
    async with anthropic.AsyncAnthropic(base_url=platform.address, api_key=platform.key, max_retries=0) as client:
        yield client


def user(text):
    return [{"role": "user", "content": text}]


async def streamed(request, *events):
    """A stream of the provider."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for event in events:
        await response.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
    return response


def piece(text=None, finish=None, **more):
    delta = {} if text is None else {"content": text}
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


# --- OpenAI's client ---


async def test_chat(oai, first, took_part):
    took_part(f"openai {openai.__version__}")
    took_part(f"anthropic {anthropic.__version__}")
    answer = await oai.chat.completions.create(model="first/m", messages=user("hi"), temperature=0.5)
    assert answer.choices[0].message.content == "hello"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.model) == (11, 7, "first/m")
    assert first.requests == [{"model": "m", "messages": user("hi"), "temperature": 0.5}]
    assert answer._request_id


async def test_chat_streams(oai):
    stream = await oai.chat.completions.create(
        model="script", messages=user("a long story"), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("Once upon a time")
    assert text.endswith("everything.")
    assert chunks[-1].usage is not None


async def test_tools_through_chat(oai):
    tools = [{"type": "function", "function": {"name": "weather", "description": "", "parameters": WEATHER}}]
    messages = user("the weather?")
    asked = await oai.chat.completions.create(model="script", messages=messages, tools=tools)
    call = asked.choices[0].message.tool_calls[0]
    assert (asked.choices[0].finish_reason, call.function.name) == ("tool_calls", "weather")
    assert json.loads(call.function.arguments) == {"city": "Zagreb"}
    messages += [asked.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    told = await oai.chat.completions.create(model="script", messages=messages, tools=tools)
    assert told.choices[0].message.content == "It is sunny in Zagreb."


async def test_tools_through_a_stream(oai):
    tools = [{"type": "function", "function": {"name": "weather", "description": "", "parameters": WEATHER}}]
    async with oai.chat.completions.stream(model="script", messages=user("the weather?"), tools=tools) as stream:
        final = await stream.get_final_completion()
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == {"city": "Zagreb"}


async def test_structured_output(oai, first):
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": COLOUR, "strict": True}}
    answer = await oai.chat.completions.create(model="script", messages=user("a colour"), response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"colour": "red"}
    first.script[:] = [lambda body, _: completion('{"colour": "green"}')]
    await oai.chat.completions.create(model="first", messages=user("a colour"), response_format=form)
    assert first.requests[0]["response_format"]["json_schema"]["schema"] == COLOUR


async def test_responses(oai):
    answer = await oai.responses.create(model="script", input="a long story")
    assert answer.output_text.startswith("Once upon")
    kinds = []
    async with oai.responses.stream(model="script", input="a long story") as stream:
        async for event in stream:
            kinds.append(event.type)
        final = await stream.get_final_response()
    assert final.output_text == answer.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def test_embeddings(oai, first):
    made = await oai.embeddings.create(model="script", input=["red", "green", "red"], dimensions=5)
    vectors = [one.embedding for one in made.data]
    assert [len(vector) for vector in vectors] == [5, 5, 5]
    assert vectors[0] == vectors[2] != vectors[1]
    first.script[:] = [
        lambda body, _: web.json_response(
            {"data": [{"index": 0, "embedding": [0.5, 1]}], "model": "m", "usage": {"prompt_tokens": 3}}
        )
    ]
    plain = await oai.embeddings.create(model="first", input="call +385123456", encoding_format="float")
    assert plain.data[0].embedding == [0.5, 1.0]
    assert plain.usage.prompt_tokens == 3
    assert first.requests[0]["input"] == ["call [phone]"]


async def test_models(oai, claude, platform):
    names = [model.id async for model in await oai.models.list()]
    assert {"first", "first/m", "second", "script", "safe"} <= set(names)
    assert (await oai.models.retrieve("first/m")).owned_by == "first"
    assert {model.id async for model in await claude.models.list()} == set(names)
    with pytest.raises(openai.NotFoundError):
        await oai.models.retrieve("none")


# --- Anthropic's client ---


async def test_messages(claude, first):
    answer = await claude.messages.create(model="first/m", max_tokens=50, messages=user("hi"), system="Be brief.")
    assert answer.content[0].text == "hello"
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.stop_reason) == (11, 7, "end_turn")
    assert first.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert first.requests[0]["max_tokens"] == 50


async def test_messages_stream_with_tools(claude):
    tools = [{"name": "weather", "description": "", "input_schema": WEATHER}]
    asked = {"model": "script", "max_tokens": 100, "tools": tools}
    async with claude.messages.stream(messages=user("the weather?"), **asked) as stream:
        said = await stream.get_final_message()
    call = said.content[0]
    assert (said.stop_reason, call.name, call.input) == ("tool_use", "weather", {"city": "Zagreb"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    messages = [*user("the weather?"), {"role": "assistant", "content": said.content}]
    messages.append({"role": "user", "content": [result]})
    async with claude.messages.stream(messages=messages, **asked) as stream:
        text = "".join([part async for part in stream.text_stream])
    assert text == "It is sunny in Zagreb."


# --- What goes wrong ---


async def test_strangers_hear_it_in_the_words_of_their_client(platform):
    async with openai.AsyncOpenAI(base_url=f"{platform.address}/v1", api_key="pdk_no", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as caught:
            await stranger.chat.completions.create(model="first", messages=user("hi"))
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "authentication_error")
    async with anthropic.AsyncAnthropic(base_url=platform.address, api_key="pdk_no", max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError) as refused:
            await stranger.messages.create(model="first", max_tokens=5, messages=user("hi"))
    assert refused.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages", "embeddings", "models", "models/first"])
async def test_nothing_is_open_to_strangers(oai, path):
    method = "GET" if path.startswith("models") else "POST"
    answer = await oai._client.request(method, path, headers={"content-type": "application/json"})
    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("Say who you are")


async def test_a_key_needs_the_permission(platform, first):
    with platform.client() as client:
        secret = client.do(keys.create("viewer", "viewer")).secret
    async with openai.AsyncOpenAI(base_url=f"{platform.address}/v1", api_key=secret, max_retries=0) as viewer:
        with pytest.raises(openai.PermissionDeniedError, match="models:use"):
            await viewer.chat.completions.create(model="first", messages=user("hi"))
    assert first.requests == []


async def test_a_key_uses_only_the_models_that_it_was_given(platform, first, oai):
    """On every wire, streaming or not, through workflows and agents that it starts; and what it may is told and changed."""
    with platform.client() as client:
        made = client.do(keys.create("narrow", "operator", models=["second/*", "script"]))
        client.do(workflows.publish(ASKS.encode()))
        client.do(agents.create("narrow-one", {"instruction": "Help.", "model": "first/m"}))
    own = {"api_key": made.secret, "max_retries": 0}
    async with (
        openai.AsyncOpenAI(base_url=f"{platform.address}/v1", **own) as narrow,
        anthropic.AsyncAnthropic(base_url=platform.address, **own) as claude,
    ):
        assert (await narrow.chat.completions.create(model="second/m", messages=user("hi"))).model == "second/m"
        assert {model.id async for model in narrow.models.list()} == {"second", "second/m", "script"}
        assert "first/m" in {model.id async for model in oai.models.list()}
        with pytest.raises(openai.NotFoundError):
            await narrow.models.retrieve("first/m")
        for name in ("first/m", "first", "m", "safe"):
            for more in ({}, {"stream": True}):
                with pytest.raises(openai.PermissionDeniedError, match="may not use the model") as caught:
                    await narrow.chat.completions.create(model=name, messages=user("hi"), **more)
                assert caught.value.code == "model_denied"
        with pytest.raises(openai.PermissionDeniedError):
            await narrow.responses.create(model="first/m", input="hi")
        with pytest.raises(openai.PermissionDeniedError):
            await narrow.embeddings.create(model="first/m", input="hi")
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            await claude.messages.create(model="first/m", max_tokens=5, messages=user("hi"))
        assert refused.value.body["error"]["type"] == "permission_error"
    assert first.requests == []

    with Client(platform.address, made.secret) as narrow_client:
        run = narrow_client.do(runs.start("test.asks", {})).id
        assert [event.type for event in narrow_client.stream(runs.follow(run))][-1] == "end"
        ended = narrow_client.do(runs.get(run))
        assert (ended.status, ended.error["status"]) == ("faulted", 403)
        outcome = narrow_client.do(agents.chat("narrow-one", "hi"))
        assert (outcome.state, outcome.error["status"]) == ("faulted", 403)
        with pytest.raises(Denied, match="cannot fork"):
            narrow_client.do(runs.fork(run))
    assert first.requests == []

    with platform.client() as client:
        assert client.do(keys.change(made.key.id, models=["first/*"])).models == ["first/*"]
        assert client.do(keys.get(made.key.id)).models == ["first/*"]


async def test_a_key_spends_no_more_than_its_budget(platform, first):
    """A request costs 25 millionths of a dollar at the prices of the file."""
    with platform.client() as client:
        made = client.do(keys.create("small", "operator"))
        client.do(budgets.create("key", 60, subject=made.key.id, measure="tokens"))
    own = {"api_key": made.secret, "max_retries": 0}
    async with (
        openai.AsyncOpenAI(base_url=f"{platform.address}/v1", **own) as oai,
        anthropic.AsyncAnthropic(base_url=platform.address, **own) as claude,
    ):
        asked = {"model": "first", "max_tokens": 7, "messages": user("hi")}
        answered = 0
        with pytest.raises(openai.RateLimitError) as caught:
            for _ in range(10):
                await oai.chat.completions.create(**asked)
                answered += 1
        with pytest.raises(anthropic.RateLimitError) as refused:
            await claude.messages.create(**asked)
    assert caught.value.code == "budget_exhausted"
    assert refused.value.body["error"] == {
        "type": "rate_limit_error", "code": "budget_exhausted", "message": refused.value.body["error"]["message"]
    }  # fmt: skip
    assert (answered, len(first.requests)) == (4, 4)
    with platform.client() as client:
        rows = client.do(usage.find(key=made.key.id)).items
        total = client.do(usage.sums(["key"], key=made.key.id)).items[0]
    assert len(rows) == 4
    assert {(row.provider, row.input, row.output, row.cost) for row in rows} == {("first", 11, 7, 0.000025)}
    assert total.requests == 4


async def test_unknown_models_are_404(oai, claude):
    with pytest.raises(openai.NotFoundError) as caught:
        await oai.chat.completions.create(model="nobody/m", messages=user("hi"))
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        await oai.chat.completions.create(model="nobody/m", messages=user("hi"), stream=True)
    with pytest.raises(anthropic.NotFoundError):
        await claude.messages.create(model="nobody/m", max_tokens=5, messages=user("hi"))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"messages": 5}', b'{"model": 5, "messages": []}', b"[" * 100_000,
     b'{"model": "first", "messages": [{"role": "king", "content": "x"}]}', b'{"messages": [{"role": "user", "content": [5]}]}'],
)  # fmt: skip
@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages", "embeddings"])
async def test_malformed_bodies_are_one_sentence(oai, first, path, body):
    answer = await oai._client.post(
        path,
        content=body,
        headers={"content-type": "application/json", "authorization": f"Bearer {oai.api_key}"},
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].endswith(".")
    assert first.requests == []


async def test_a_request_does_not_choose_where_models_are(oai, first):
    for name in ("api_base", "base_url", "api_key"):
        with pytest.raises(openai.BadRequestError, match="administrator"):
            await oai.chat.completions.create(
                model="first", messages=user("hi"), extra_body={name: "http://169.254.169.254/"}
            )
    assert first.requests == []


async def test_a_providers_refusals_keep_their_meaning(oai, claude, first):
    first.script[:] = [lambda body, _: refusal(400, "too many tokens")]
    with pytest.raises(openai.BadRequestError, match="too many tokens"):
        await oai.chat.completions.create(model="first", messages=user("hi"))
    first.script[:] = [lambda body, _: refusal(429, "slow down", {"retry-after": "7"})]
    with pytest.raises(anthropic.RateLimitError) as caught:
        await claude.messages.create(model="first", max_tokens=5, messages=user("hi"))
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    first.script[:] = [lambda body, _: refusal(401, "sk-live is wrong")]
    with pytest.raises(openai.InternalServerError) as refused:
        await oai.chat.completions.create(model="first", messages=user("hi"))
    assert "sk-live" not in str(refused.value)


async def test_a_storm_at_one_provider_is_weathered_by_the_next(oai, providers, first):
    kinds = [429, 500, 502, 503, 529]
    first.script[:] = [
        lambda body, _, status=status: refusal(status, "no", {"retry-after": "60"}) for status in kinds * 20
    ]
    answers = await asyncio.gather(
        *(oai.chat.completions.create(model="safe", messages=user(f"{n}")) for n in range(40)),
    )
    assert {answer.choices[0].message.content for answer in answers} == {"hello"}
    assert (len(first.requests), len(providers[1].requests)) == (40, 40)
    providers[1].script[:] = [lambda body, request: streamed(request, piece("ok"), piece(finish="stop"), "[DONE]")]
    stream = await oai.chat.completions.create(model="safe", messages=user("x"), stream=True)
    assert [chunk.choices[0].delta.content async for chunk in stream] == ["ok", None]


async def test_a_stream_that_breaks_off_says_so(oai, first):
    first.script[:] = [lambda body, request: streamed(request, piece("half"))]
    stream = await oai.chat.completions.create(model="first", messages=user("hi"), stream=True)
    with pytest.raises(openai.APIError, match="not whole"):
        assert [chunk.choices[0].delta.content async for chunk in stream] == ["half"]


async def test_who_leaves_ends_the_request_to_the_provider(oai, first):
    gone = threading.Event()

    async def endless(body, request):
        try:
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            while True:
                await response.write(f"data: {json.dumps(piece('more '))}\n\n".encode())
                await asyncio.sleep(0.005)
        finally:
            gone.set()

    first.script[:] = [endless]
    stream = await oai.chat.completions.create(model="first", messages=user("hi"), stream=True)
    async for _ in stream:
        break
    await stream.close()
    assert await asyncio.to_thread(gone.wait, 10)


# --- Kept answers and rules ---


def kept(answer):
    return answer.headers.get("x-perdure-cache")


async def test_the_same_request_is_answered_once(oai, first):
    asked = {"model": "first", "messages": user("once, please")}
    exact = {"x-perdure-cache": "exact"}
    raw = oai.chat.completions.with_raw_response
    answers = [await raw.create(**asked, extra_headers=exact) for _ in range(2)]
    assert [kept(answer) for answer in answers] == ["miss", "hit"]
    assert len(first.requests) == 1
    assert answers[0].parse().choices == answers[1].parse().choices
    stream = await oai.chat.completions.create(**asked, stream=True, extra_headers=exact)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "hello"
    assert len(first.requests) == 1
    assert kept(await raw.create(**asked)) is None
    assert kept(await raw.create(**asked, temperature=0.1, extra_headers=exact)) == "miss"


async def test_a_question_that_means_the_same(oai, first):
    """The scripted embedding gives equal vectors for equal texts only; what differs is how the texts are cut."""
    raw = oai.chat.completions.with_raw_response
    semantic = {"x-perdure-cache": "semantic"}
    assert kept(await raw.create(model="first", messages=user("Mean it"), extra_headers=semantic)) == "miss"
    again = await raw.create(model="first", messages=user("Mean it"), extra_headers=semantic)
    other = await raw.create(model="first", messages=user("Something else"), extra_headers=semantic)
    assert (kept(again), kept(other)) == ("hit", "miss")


async def test_rules_refuse_and_mask(oai, claude, first):
    with pytest.raises(openai.BadRequestError, match="Card numbers") as caught:
        await oai.chat.completions.create(model="first", messages=user("pay with 4111111111111111"))
    assert caught.value.code == "guardrail"
    with pytest.raises(anthropic.BadRequestError, match="Card numbers"):
        await claude.messages.create(model="first", max_tokens=5, messages=user("4111111111111111"))
    assert first.requests == []
    await oai.chat.completions.create(model="first", messages=user("call +385123456"))
    assert first.requests[0]["messages"] == user("call [phone]")


async def test_rules_about_answers_hold_streams_back(oai):
    masked = await oai.chat.completions.create(model="script", messages=user("mail"))
    assert masked.choices[0].message.content == "Write to ana@example.com for the [masked]."
    stream = await oai.chat.completions.create(model="script", messages=user("mail"), stream=True)
    texts = [chunk.choices[0].delta.content async for chunk in stream]
    assert texts[0] == "Write to ana@example.com for the [masked]."
    for is_streamed in (False, True):
        with pytest.raises(openai.BadRequestError, match="may not be shown"):
            await oai.chat.completions.create(model="script", messages=user("hidden"), stream=is_streamed)
