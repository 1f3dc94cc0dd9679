"""The wires that we answer on: whatever is said there, our own clients of the same wire hear the same."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.adapters import anthropic_wire, openai_chat_wire, openai_responses_wire
from perdure.adapters.anthropic_serving import MessagesWire
from perdure.adapters.event_lines import Events
from perdure.adapters.openai_chat_serving import ChatWire, read_texts, write_vectors
from perdure.adapters.openai_responses_serving import ResponsesWire
from perdure.errors import Invalid
from perdure.ports.model import Answer, CallDelta, ModelFailed, TextDelta, ToolCall, Vectors
from perdure.ports.model_wire import About
from tests.conformance.model.providers import FOLDER, rich

ABOUT = About(id="x-1", created=1_700_000_000, model="smart")
SERVED = [
    (ChatWire(), openai_chat_wire),
    (ResponsesWire(), openai_responses_wire),
    (MessagesWire(), anthropic_wire),
]
each = pytest.mark.parametrize(("wire", "client"), SERVED, ids=[wire.dialect for wire, _ in SERVED])

USAGE = {"inputTokens": 20, "outputTokens": 7, "inputTokensCached": 5, "model": "smart"}
objects = st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=9), max_size=3)
names = st.sampled_from(["weather", "note"])
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that does other things as well is no failure."""


@st.composite
def answers(draw):
    text = draw(st.text(max_size=40))
    calls = tuple(ToolCall(f"call_{index}", draw(names), draw(objects)) for index in range(draw(st.integers(0, 3))))
    finish = "tools" if calls else draw(st.sampled_from(["stop", "length"]))
    return Answer(text=text, finish=finish, usage=USAGE, tool_calls=calls)


def chunks_of(answer, size):
    chunks = [TextDelta(answer.text[start : start + size]) for start in range(0, len(answer.text), size)]
    for index, call in enumerate(answer.tool_calls):
        written = msgspec.json.encode(call.arguments).decode()
        chunks.append(CallDelta(index, call.id, call.name))
        chunks += [CallDelta(index, arguments=written[start : start + size]) for start in range(0, len(written), size)]
    return [*chunks, answer]


@each
@unhurried
@given(answer=answers())
def test_a_whole_answer(wire, client, answer):
    assert client.answer(json.loads(json.dumps(wire.answer(answer, ABOUT))), "m") == answer


@each
@unhurried
@given(answer=answers(), size=st.integers(1, 20))
def test_a_streamed_answer(wire, client, answer, size):
    wanted = wire.read({**body_of(wire), "stream": True, "stream_options": {"include_usage": True}}, "key")
    rendering, reading, events = wire.rendering(wanted, ABOUT), client.Stream("m"), Events()
    chunks = chunks_of(answer, size)
    heard = [
        heard for chunk in chunks for event in events.feed(rendering.chunk(chunk)) for heard in reading.take(event.data)
    ]
    assert heard == chunks
    assert "x-1" in repr(rendering)


@each
def test_a_stream_that_fails(wire, client):
    rendering, reading = wire.rendering(wire.read(body_of(wire), "key"), ABOUT), client.Stream("m")
    with pytest.raises(ModelFailed, match="Overloaded"):
        for event in Events().feed(rendering.chunk(TextDelta("Rea")) + rendering.failed("Overloaded")):
            reading.take(event.data)


@each
def test_a_refused_answer(wire, client):
    answer = Answer(text="No.", finish="refused", usage=USAGE)
    assert client.answer(wire.answer(answer, ABOUT), "m").finish == "refused"


def body_of(wire):
    return json.loads((FOLDER / wire.dialect / "request.json").read_text())


@each
def test_what_our_clients_write_is_read_as_it_was_meant(wire, client):
    read = wire.read(body_of(wire), "key-1")
    meant = rich()
    parameters = {name: value for name, value in meant.parameters.items() if name in read.request.parameters}
    assert parameters == read.request.parameters
    assert {"temperature", "maxTokens", "topP"} <= set(parameters)
    tools = tuple(msgspec.structs.replace(tool, more={}) for tool in read.request.tools)
    assert (tools, read.request.choice, read.request.model) == (meant.tools, "weather", "m-1")
    assert read.is_streamed is False
    ours = [
        (m.role, m.content, [(c.id, c.name, c.arguments) for c in m.tool_calls], m.tool_call) for m in meant.messages
    ]
    assert ours == [
        (m.role, m.content, [(c.id, c.name, c.arguments) for c in m.tool_calls], m.tool_call)
        for m in read.request.messages
    ]


@each
def test_what_the_port_has_no_word_for_goes_on_to_the_same_wire_only(wire, client):
    more = {"reasoning_effort": "low", "user": "u", "metadata": {"a": "b"}}
    request = wire.read({**body_of(wire), **more}, "key").request
    assert more.items() <= request.more.items()
    for other, peer in SERVED:
        options = {"is_origin": False} if other.dialect == "chat" else {}
        written = peer.body(request, "m", **options)
        assert ("reasoning_effort" in written) is (other is wire)


CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi."}]}
MESSAGES = {"max_tokens": 9, **CHAT}
RESPONSES = {"model": "m", "input": "Hi."}


def test_chat_in_other_forms():
    wire = ChatWire()
    request = wire.read(
        {**CHAT, "stop": "END", "max_completion_tokens": 3, "response_format": {"type": "json_object"}}, "k"
    ).request
    assert (request.parameters, request.schema) == ({"stop": ["END"], "maxTokens": 3}, {"type": "object"})
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}}
    assert wire.read({**CHAT, "response_format": schema}, "k").request.schema == {"type": "array"}
    assert (
        wire.read({**CHAT, "response_format": {"type": "text"}, "tool_choice": "required"}, "k").request.choice
        == "required"
    )
    developer = wire.read({"messages": [{"role": "developer", "content": None}]}, "k").request
    assert (developer.messages[0].role, developer.messages[0].content, developer.model) == ("system", "", "")
    assert wire.read({**CHAT, "stream": True}, "k").has_usage is False
    parts = [
        {"type": "refusal", "refusal": "No."},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
    ]
    assert wire.read({"messages": [{"role": "user", "content": parts}]}, "k").request.messages[0].content[1].uri


def test_messages_in_other_forms():
    wire = MessagesWire()
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
    ]  # fmt: skip
    body = {**MESSAGES, "messages": [{"role": "user", "content": blocks}], "system": [{"type": "text", "text": "S"}]}
    messages = wire.read({**body, "tool_choice": {"type": "any"}}, "k").request.messages
    assert [(m.role, m.text) for m in messages] == [("system", "S"), ("tool", "a\nb"), ("user", "")]
    assert wire.read({**MESSAGES, "stop_sequences": ["E"], "stream": True}, "k").is_streamed


def test_responses_in_other_forms():
    wire = ResponsesWire()
    items = [
        {"role": "developer", "content": "S"},
        {"type": "reasoning", "id": "r", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "R"}]},
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"},
    ]
    read = wire.read({"input": items, "instructions": "I", "text": {"format": {"type": "json_object"}}}, "k").request
    assert [(m.role, m.text, len(m.tool_calls)) for m in read.messages] == [
        ("system", "I", 0), ("system", "S", 0), ("assistant", "A", 1), ("tool", "R", 0), ("assistant", "", 1),
    ]  # fmt: skip
    assert read.schema == {"type": "object"}
    assert (
        wire.read({**RESPONSES, "tool_choice": "none", "text": {"format": {"type": "text"}}}, "k").request.choice
        == "none"
    )


@pytest.mark.parametrize(
    ("wire", "body", "said"),
    [
        (ChatWire(), [], "the body is no object"),
        (ChatWire(), {}, "`messages` is no list"),
        (ChatWire(), {"messages": []}, "`messages` is empty"),
        (ChatWire(), {**CHAT, "n": 2}, "`n` is more than 1"),
        (ChatWire(), {**CHAT, "temperature": "hot"}, "temperature is no number"),
        (ChatWire(), {**CHAT, "stop": 7}, "`stop` is no list"),
        (ChatWire(), {**CHAT, "max_tokens": 0}, "at least 1"),
        (ChatWire(), {**CHAT, "max_completion_tokens": 1.5}, "whole number"),
        (ChatWire(), {**CHAT, "tool_choice": {"type": "allowed_tools"}}, "names no function"),
        (ChatWire(), {**CHAT, "model": 7}, "`model` is no text"),
        (ChatWire(), {**CHAT, "tools": [{"type": "web_search"}]}, "only functions"),
        (ChatWire(), {**CHAT, "tool_choice": "maybe"}, "none of auto"),
        (ChatWire(), {**CHAT, "response_format": {"type": "xml"}}, "none of text"),
        (ChatWire(), {"messages": [{"role": "robot", "content": "x"}]}, "the role of messages[0]"),
        (ChatWire(), {"messages": [{"role": "tool", "content": "x"}]}, "no `tool_call_id`"),
        (ChatWire(), {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "'input_audio'"),
        (ChatWire(), {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]}, "neither an https"),
        (ChatWire(), {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x,y"}}]}]}, "not data in base64"),
        (MessagesWire(), CHAT, "`max_tokens` is missing"),
        (MessagesWire(), {**MESSAGES, "max_tokens": -1}, "at least 1"),
        (MessagesWire(), {**MESSAGES, "output_config": {"format": {"type": "xml"}}}, "no json_schema"),
        (MessagesWire(), {**MESSAGES, "messages": []}, "`messages` is empty"),
        (MessagesWire(), {**MESSAGES, "messages": [{"role": "system", "content": "x"}]}, "neither user nor assistant"),
        (MessagesWire(), {**MESSAGES, "tools": [{"type": "bash_20250124", "name": "b"}]}, "only your own tools"),
        (MessagesWire(), {**MESSAGES, "tool_choice": {"type": "x"}}, "none of auto"),
        (MessagesWire(), {**MESSAGES, "messages": [{"role": "user", "content": [{"type": "document"}]}]}, "'document'"),
        (MessagesWire(), {**MESSAGES, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]}, "neither base64 nor url"),
        (ResponsesWire(), {**RESPONSES, "previous_response_id": "r"}, "nothing is stored"),
        (ResponsesWire(), {"input": []}, "`input` is empty"),
        (ResponsesWire(), {"input": [{"type": "item_reference", "id": "x"}]}, "'item_reference'"),
        (ResponsesWire(), {"input": [{"role": "robot", "content": "x"}]}, "the role of input[0]"),
        (ResponsesWire(), {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "'input_file'"),
        (ResponsesWire(), {**RESPONSES, "tools": [{"type": "web_search"}]}, "only functions"),
        (ResponsesWire(), {**RESPONSES, "tool_choice": "x"}, "none of auto"),
        (ResponsesWire(), {**RESPONSES, "text": {"format": {"type": "x"}}}, "none of text"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_sentence(wire, body, said):
    with pytest.raises(Invalid) as refused:
        wire.read(body, "key")
    assert said in str(refused.value)


@each
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_refusals_in_the_words_of_the_wire(wire, client, status):
    assert wire.refusal(status, "Because.")["error"]["message"] == "Because."


def test_calls_that_are_mixed_cannot_be_blocks():
    wire = MessagesWire()
    rendering = wire.rendering(wire.read(MESSAGES, "k"), ABOUT)
    for index in (0, 1):
        rendering.chunk(CallDelta(index, f"c{index}", "f"))
    with pytest.raises(ModelFailed, match="mixed"):
        rendering.chunk(CallDelta(0, arguments="{}"))


def test_embeddings():
    texts, is_base64 = read_texts({"input": "a", "model": "m", "dimensions": 2}, "k")
    assert (texts.texts, texts.dimensions, is_base64) == (("a",), 2, False)
    made = Vectors(vectors=((0.5, -1.0),), usage={"inputTokens": 3})
    assert write_vectors(made, "m", is_base64=False)["data"][0]["embedding"] == [0.5, -1.0]
    assert write_vectors(made, "m", is_base64=True)["data"][0]["embedding"] == "AAAAPwAAgL8="
    assert read_texts({"input": ["a", "b"], "encoding_format": "base64"}, "k")[1]
    for body in ({"input": []}, {"input": [1]}, {"input": ""}, {}, {"input": "a", "encoding_format": "x"}):
        with pytest.raises(Invalid):
            read_texts(body, "k")
