"""The model gateway without HTTP: who pays, what is kept, what is held back, and what happens when somebody leaves."""

import asyncio
import contextlib

import msgspec
import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.memory_cache import MemoryCache
from perdure.adapters.model_catalog import ModelCatalog
from perdure.adapters.model_prices import Price, PricedModel
from perdure.adapters.openai_chat_serving import ChatWire
from perdure.errors import Denied, Exhausted, Invalid, Unavailable
from perdure.ports.edge import Caller
from perdure.ports.model import (
    Answer,
    CallDelta,
    Image,
    Message,
    ModelFailed,
    Request,
    Text,
    TextDelta,
    Texts,
    Tool,
    ToolCall,
    Vectors,
)
from perdure.ports.model_wire import About
from perdure.ports.spending import Permit
from perdure.services.agents.answers import Answers, Mode
from perdure.services.agents.gateway import Asked, Ground, ModelGateway, UnknownModel, pieces, reckoned
from perdure.services.agents.guardrails import Barred, Guardrails, Rule, Rules, load
from perdure.services.agents.routes_gateway import Telling

ANA = Caller(tenant="a", subject="key:1", key="1", project="shop")
BOB = Caller(tenant="b", subject="key:2", key="2")
USAGE = {"inputTokens": 10, "outputTokens": 5, "model": "m"}


class Speaking:
    """A model that says what it is told, and remembers what it was asked."""

    def __init__(self, *said):
        self.said = list(said) or ["hello"]
        self.asked, self.embedded = [], []
        self.closed = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def _next(self, request):
        self.asked.append(request)
        said = self.said[min(len(self.asked), len(self.said)) - 1]
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else Answer(text=said, finish="stop", usage=USAGE)

    async def ask(self, request):
        return self._next(request)

    async def stream(self, request):
        answer = self._next(request)
        try:
            for word in answer.text.split():
                yield TextDelta(word)
                await self.gate.wait()
            yield answer
        finally:
            self.closed += 1

    async def embed(self, texts):
        """Length decides: texts of nearly one length mean nearly the same."""
        self.embedded.append(texts)
        return Vectors(vectors=tuple((float(len(text)), 10.0) for text in texts.texts), usage=USAGE)


class Account:
    """What was begun, ended and abandoned."""

    def __init__(self):
        self.begun, self.ended, self.abandoned = [], [], []
        self.refuses = self.breaks = self.waits = False

    async def begin(self, spender, *, model, tokens):
        if self.refuses:
            raise Exhausted("The budget is used up.")
        self.begun.append((spender, model, tokens))
        return Permit(spender=spender, model=model, held=0.0)

    async def end(self, permit, usage):
        if self.breaks:
            raise Unavailable
        self.ended.append((permit.spender.call, usage))

    def end_soon(self, permit, usage):
        if self.waits or self.breaks:
            return False
        self.ended.append((permit.spender.call, usage))
        return True

    async def abandon(self, permit):
        self.abandoned.append(permit.spender.call)


class World:
    def __init__(self, *said, rules=None, **answers):
        self.model = Speaking(*said)
        self.account = Account()
        self.lines = []
        prices = {"m": Price(input=1_000_000, output=2_000_000)}
        catalog = ModelCatalog({"p": PricedModel(self.model, "p", prices, "m")}, "p", is_strict=True)
        self.gateway = ModelGateway(
            Ground(
                models=catalog,
                spending=self.account,
                answers=Answers(MemoryCache(TestClock()), **answers),
                guardrails=Guardrails(rules or Rules(), catalog.known_as),
                clock=TestClock(),
                log=lambda level, event, **fields: self.lines.append(event),
            )
        )

    def asked(self, text="hi", mode="", caller=ANA, **more):
        more.setdefault("messages", (Message("system", "s"), Message("user", text)))
        request = Request(key="k", **{"model": "p/m", **more})
        return Asked(request=request, caller=caller, mode=self.gateway.mode(mode))

    async def ask(self, *arguments, **more):
        asked = self.asked(*arguments, **more)
        try:
            return await self.gateway.ask(asked), asked
        finally:
            await self.gateway.settle(asked)

    async def stream(self, *arguments, **more):
        asked = self.asked(*arguments, **more)
        chunks = [chunk async for chunk in self.gateway.stream(asked)]
        await self.gateway.settle(asked)
        return chunks, asked


# --- Who pays ---


async def test_every_request_is_begun_and_ended_once_under_its_own_id():
    world = World()
    await world.ask(), await world.stream()
    (one, model, tokens), (other, _, _) = world.account.begun
    assert (one.tenant, one.key, one.project, model) == ("a", "1", "shop", "p/m")
    assert tokens > 4000
    assert [call for call, _ in world.account.ended] == [one.call, other.call]
    assert one.call != other.call
    assert all(usage["cost"] == 20 and usage["inputTokens"] == 10 for _, usage in world.account.ended)


async def test_a_failure_costs_nothing():
    world = World(ModelFailed("down", failure="communication"))
    for way in (world.ask, world.stream):
        with pytest.raises(ModelFailed):
            await way()
    asked = world.asked()
    with contextlib.suppress(ModelFailed):
        await world.gateway.ask(asked)
    await world.gateway.settle(asked)
    await world.gateway.settle(asked)
    assert (len(world.account.abandoned), world.account.ended) == (2, [])


async def test_without_budget_nobody_is_asked():
    world = World()
    world.account.refuses = True
    with pytest.raises(Exhausted):
        await world.ask()
    with pytest.raises(Exhausted):
        await world.ask(mode="exact")
    assert world.model.asked == []


async def test_an_answer_is_given_even_when_its_cost_cannot_be_recorded():
    world = World()
    world.account.breaks = True
    answer, _ = await world.ask()
    assert (answer.text, world.lines) == ("hello", ["usage not recorded"])


async def test_what_an_answer_cost_is_told_before_it_leaves_and_once():
    world = World()
    asked = world.asked()
    await world.gateway.ask(asked)
    assert len(world.account.ended) == 1
    told = 0
    async for chunk in world.gateway.stream(world.asked()):
        told = len(world.account.ended) if isinstance(chunk, Answer) else told
    assert told == 2
    await world.gateway.settle(asked)
    assert len(world.account.ended) == 2


async def test_where_a_budget_waits_it_is_told_at_the_end():
    world = World()
    world.account.waits = True
    asked = world.asked()
    await world.gateway.ask(asked)
    assert world.account.ended == []
    await world.gateway.settle(asked)
    await world.gateway.settle(asked)
    assert len(world.account.ended) == 1


async def test_an_unknown_name_is_nobodys_cost():
    world = World()
    with pytest.raises(UnknownModel):
        await world.ask(model="nobody/m")
    assert (world.account.begun, world.model.asked) == ([], [])


async def test_texts_become_vectors_on_somebodys_account():
    world = World()
    texts = Texts(texts=("one", "three"), key="k", model="p/m")
    asked = world.asked(messages=tuple(Message("user", text) for text in texts.texts))
    assert (await world.gateway.embed(asked, texts)).vectors == ((3.0, 10.0), (5.0, 10.0))
    await world.gateway.settle(asked)
    assert world.account.ended[0][1]["inputTokens"] == 10


def test_what_a_request_may_take_is_reckoned_to_the_safe_side():
    plain = Request(messages=(Message("user", "x" * 300),), key="k", parameters={"maxTokens": 10})
    assert reckoned(plain) == 142
    pictured = Request(messages=(Message("user", (Text("x"), Image(uri="https://x"))),), key="k")
    assert reckoned(pictured) > 4096 + 1500


# --- Who leaves, and who reads slowly ---


class Client:
    """One ASGI client of a stream: it takes nothing until it is let, and may leave."""

    def __init__(self):
        self.sent = []
        self.takes = asyncio.Event()
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)
        if message["type"] == "http.response.body":
            await self.takes.wait()

    @property
    def text(self):
        return b"".join(message.get("body", b"") for message in self.sent).decode()


def telling(world, asked):
    rendering = ChatWire().rendering(
        ChatWire().read({"messages": [{"role": "user", "content": "x"}], "stream": True}, "k"),
        About(id="i", created=0, model="m"),
    )
    return Telling(world.gateway, ChatWire(), asked, rendering)


async def until(true):
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


async def test_what_a_reader_does_not_take_is_not_asked_for():
    world = World("one two three")
    client, asked = Client(), world.asked()
    running = asyncio.create_task(telling(world, asked)({}, client.receive, client.send))
    await until(lambda: len(client.sent) == 2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert (len(client.sent), asked.characters) == (2, 3)
    client.takes.set()
    await running
    assert client.text.endswith("data: [DONE]\n\n")
    assert world.account.ended[0][1]["outputTokens"] == 5


async def test_who_leaves_ends_the_stream_and_pays_for_what_was_said():
    world = World("one two three")
    world.model.gate.clear()
    client, asked = Client(), world.asked()
    client.takes.set()
    running = asyncio.create_task(telling(world, asked)({}, client.receive, client.send))
    await until(lambda: len(client.sent) == 2)
    client.gone.set()
    await running
    ((_, usage),) = world.account.ended
    assert world.model.closed == 1
    assert usage["isEstimated"]
    assert usage["outputTokens"] == 1
    assert usage["cost"] == usage["inputTokens"] * 1 + usage["outputTokens"] * 2


async def test_who_leaves_before_the_first_piece_pays_nothing():
    world = World()
    waiting = asyncio.Event()

    async def silent(request):
        await waiting.wait()
        yield TextDelta("late")

    world.model.stream = silent
    client, asked = Client(), world.asked()
    running = asyncio.create_task(telling(world, asked)({}, client.receive, client.send))
    await until(lambda: world.account.begun)
    client.gone.set()
    await running
    assert (client.sent, len(world.account.abandoned)) == ([], 1)


async def test_a_stream_that_breaks_off_is_paid_as_far_as_it_came():
    world = World()

    async def breaking(request):
        yield TextDelta("half of it")
        raise ModelFailed("It broke.", failure="communication", sent=True)

    world.model.stream = breaking
    client = Client()
    client.takes.set()
    await telling(world, world.asked())({}, client.receive, client.send)
    assert "It broke." in client.text
    assert world.account.ended[0][1]["outputTokens"] == 3


# --- What is kept ---


async def test_the_very_same_request_is_answered_once_and_costs_nothing_again():
    world = World("first", "second")
    answers = [await world.ask(mode="exact") for _ in range(2)]
    assert [(answer.text, asked.source) for answer, asked in answers] == [("first", "miss"), ("first", "hit")]
    assert [usage["cost"] for _, usage in world.account.ended] == [20, 0.0]
    chunks, asked = await world.stream(mode="exact")
    assert (chunks[0], asked.source) == (TextDelta("first"), "hit")
    assert len(world.model.asked) == 1


async def test_what_a_stream_said_is_kept_too():
    world = World("first", "second")
    await world.stream(mode="exact")
    assert (await world.ask(mode="exact"))[0].text == "first"


@pytest.mark.parametrize(
    "other",
    [{"text": "other"}, {"caller": BOB}, {"model": "p/n"}, {"parameters": {"temperature": 1}}, {"schema": {"type": "object"}},
     {"more": {"reasoning": "low"}}, {"messages": (Message("system", "t"), Message("user", "hi"))}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
async def test_another_request_is_another(other):
    world = World("first", "second")
    await world.ask(mode="exact")
    assert (await world.ask(mode="exact", **other))[0].text == "second"


@pytest.mark.parametrize(
    "asked",
    [{"tools": (Tool("t", "", {}),)}, {"messages": (Message("user", (Image(uri="https://x"),)),)},
     {"messages": (Message("user", "x"), Message("tool", "y", tool_call="1"))}],
)  # fmt: skip
async def test_tools_and_pictures_are_never_answered_from_what_is_kept(asked):
    world = World()
    assert [(await world.ask(mode="exact", **asked))[1].source for _ in range(2)] == ["", ""]


async def test_only_whole_answers_are_kept():
    call = Answer(text="", finish="tools", usage=USAGE, tool_calls=(ToolCall("1", "t", {}),))
    world = World(Answer(text="cut", finish="length", usage=USAGE), call, "whole")
    assert [(await world.ask(mode="exact"))[1].source for _ in range(4)] == ["miss", "miss", "miss", "hit"]


async def test_the_setting_alone_is_about_temperature_0():
    world = World(default="exact")
    cold = {"parameters": {"temperature": 0}}
    assert [(await world.ask())[1].source for _ in range(2)] == ["", ""]
    assert [(await world.ask(**cold))[1].source for _ in range(2)] == ["miss", "hit"]
    assert (await world.ask(mode="off", **cold))[1].source == ""


async def test_questions_that_are_near_count_as_one():
    """The vector of a text here is its length."""
    world = World("first", "second", embedding="p/m", likeness=0.99)
    again = {"text": "Who is the author of Pride and Prejudice?", "mode": "semantic"}
    await world.ask("Who wrote Pride and Prejudice?", mode="semantic")
    assert (await world.ask(**again))[0].text == "first"
    assert (await world.ask(again["text"] + " Tell me in detail." * 3, mode="semantic"))[1].source == "miss"
    for other in (BOB, msgspec.structs.replace(ANA, project="else"), msgspec.structs.replace(ANA, tenant="b")):
        assert (await world.ask(**again, caller=other))[1].source == "miss"
    assert (await world.ask(**again, caller=msgspec.structs.replace(ANA, key="2")))[1].source == "hit"
    assert (await world.ask(**again, messages=(Message("user", again["text"]),)))[1].source == "miss"


async def test_a_question_about_something_else_is_asked_however_near_it_is():
    world = World("first", "second", embedding="p/m", likeness=0.999)
    await world.ask("Is it open on Sunday?", mode="semantic")
    assert (await world.ask("Is it open on Monday?", mode="semantic"))[1].source == "miss"
    assert (await world.ask("is it OPEN on sunday", mode="semantic"))[1].source == "hit"
    vectors = len(world.model.embedded)
    assert (await world.ask("long " * 300, mode="semantic"))[1].source == "miss"
    assert len(world.model.embedded) == vectors


async def test_a_key_that_may_not_use_a_model_gets_none_of_its_kept_answers():
    world = World("first")
    await world.ask(mode="exact")

    async def begin(spender, *, model, tokens):
        raise Denied("no")

    world.account.begin = begin
    with pytest.raises(Denied):
        await world.ask(mode="exact")


def test_a_word_that_is_no_way_to_keep_answers_is_refused():
    with pytest.raises(Invalid, match="`exact`, `semantic` or `off`"):
        World(embedding="p/m").gateway.mode("semantc")
    with pytest.raises(Invalid, match="No model is named"):
        World().gateway.mode("semantic")
    with pytest.raises(Invalid, match="needs a model"):
        World(default="semantic")


async def test_a_vector_is_paid_for_and_its_failure_is_no_trouble():
    world = World("first", embedding="p/m")
    await world.ask(mode="semantic")
    assert len(world.account.ended) == 2
    world = World("first", embedding="nobody/m")
    assert (await world.ask(mode="semantic"))[1].source == "miss"
    assert world.lines == ["no vector of a question"]


async def test_old_questions_make_room():
    answers = Answers(MemoryCache(TestClock()))
    for number in range(60):
        request = Request(messages=(Message("user", "?" * (number + 1)),), key="k")
        said = Answer(text=str(number), finish="stop", usage=USAGE)
        await answers.keep("a", request, said, (float(number), 1000.0 - number * 10))
    latest = Request(messages=(Message("user", "?"),), key="k")
    assert (await answers.similar("a", latest, (59.0, 410.0))).text == "59"
    assert (await answers.similar("a", latest, (0.0, 1000.0))).text != "0"


class Away(MemoryCache):
    async def get(self, key):
        raise Unavailable

    async def put(self, key, value, ttl):
        raise Unavailable


async def test_a_cache_that_is_away_is_no_trouble():
    answers = Answers(Away(TestClock()))
    request = Request(messages=(Message("user", "x"),), key="k")
    await answers.keep("a", request, Answer(text="x", finish="stop", usage=USAGE), (1.0,))
    assert await answers.exact("a", request) is None
    assert await answers.similar("a", request, (1.0,)) is None
    assert not answers.may_keep(request, Mode())


# --- Rules ---


def rules(before=(), after=()):
    return Rules(before=tuple(before), after=tuple(after))


async def test_rules_before_refuse_and_mask():
    world = World(
        rules=rules(
            [
                Rule(name="mask", mask=r"\d{4,}", by=r"\1"),
                Rule(name="king", when='.messages[-1].content == "king"', refuse="No kings."),
                Rule(name="size", schema={"properties": {"messages": {"maxItems": 2}}}, refuse="Too long."),
                Rule(name="mine", models=("p/*",), keys=("2",), refuse="This key may not ask p."),
            ]
        )
    )
    await world.ask("call 12345")
    assert world.model.asked[0].messages[-1].content == r"call \1"
    for words, reason in ((("king",), "No kings."), (("x",), "may not ask")):
        with pytest.raises(Barred, match=reason):
            await world.ask(*words, caller=ANA if "king" in words else BOB)
    with pytest.raises(Barred, match="Too long"):
        await world.ask(messages=(Message("user", "x"),) * 3)
    assert len(world.account.begun) == 1


async def test_rules_after_see_the_whole_answer_before_anybody_else():
    world = World("the secret word", rules=rules(after=[Rule(name="m", mask="secret", by="…", models=("p/*",))]))
    chunks, asked = await world.stream()
    assert [chunk for chunk in chunks if isinstance(chunk, TextDelta)] == [TextDelta("the … word")]
    assert chunks[-1].text == "the … word"
    assert (await world.ask())[0].text == "the … word"
    assert asked.usage["outputTokens"] == 5


@pytest.mark.parametrize("name", ["p/m", "m", "p", ""])
async def test_no_other_name_of_a_model_gets_around_a_rule(name):
    world = World("the secret word", rules=rules(after=[Rule(name="m", mask="secret", models=("p/*", "p"))]))
    assert (await world.ask(model=name))[0].text == "the [masked] word"


async def test_a_refused_answer_was_paid_for():
    world = World(
        rules=rules(after=[Rule(name="r", when='.text == "hello" and $request.model == "p/m"', refuse="No.")])
    )
    with pytest.raises(Barred):
        await world.ask()
    asked = world.asked()
    with pytest.raises(Barred):
        [chunk async for chunk in world.gateway.stream(asked)]
    await world.gateway.settle(asked)
    assert len(world.account.ended) == 2


async def test_arguments_of_tools_are_masked_at_any_depth():
    call = ToolCall("1", "t", {"a": ["secret", {"b": "a secret"}], "n": 5})
    world = World(Answer(text="", finish="tools", usage=USAGE, tool_calls=(call,)), rules=rules(after=[Rule(name="m", mask="secret")]))  # fmt: skip
    assert (await world.ask())[0].tool_calls[0].arguments == {"a": ["[masked]", {"b": "a [masked]"}], "n": 5}


async def test_what_cannot_be_checked_does_not_pass():
    world = World(rules=rules([Rule(name="broken", when=".messages + 5", refuse="x")]))
    with pytest.raises(Barred, match="could not check"):
        await world.ask()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("before: [{ name: x }]", "`refuse` or `mask`"), ("before: [{ name: x, refuse: No. }]", "refuse everything"),
     ("before: [{ name: x, mask: '(?=a)' }]", "RE2"), ("before: [{ name: x, when: '.[', refuse: No. }]", "does not fit"),
     ("before: [{ name: x, schema: { type: 5 }, refuse: No. }]", "does not fit"), ("between: []", "does not fit"),
     ("before: [{ name: x, mask: a, when: '.b' }]", "leave `when`"), ("]", "does not fit")],
)  # fmt: skip
def test_rules_that_cannot_be_read_stop_the_start(tmp_path, text, reason):
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(Invalid, match=reason):
        load(file)
    with pytest.raises(Invalid, match="cannot be read"):
        load(tmp_path / "none")


def test_a_whole_answer_as_a_stream():
    calls = (ToolCall("1", "t", {"a": 1}), ToolCall("2", "u", "no json"))
    answer = Answer(text="x", finish="tools", usage=USAGE, tool_calls=calls)
    assert pieces(answer) == [
        TextDelta("x"), CallDelta(0, "1", "t"), CallDelta(0, arguments='{"a":1}'), CallDelta(1, "2", "u"),
        CallDelta(1, arguments="no json"), answer,
    ]  # fmt: skip
