"""What our port has no word for goes through to a provider of the same wire, and back, as it was; to no other."""

import msgspec
import pytest

from perdure.adapters import anthropic_wire, openai_chat_wire, openai_responses_wire
from perdure.adapters.anthropic import AnthropicModel
from perdure.adapters.anthropic_serving import MessagesWire
from perdure.adapters.clock import SystemClock
from perdure.adapters.event_lines import Events
from perdure.adapters.openai_chat_serving import ChatWire
from perdure.adapters.openai_responses_serving import ResponsesWire
from perdure.ports.model import MoreDelta, TextDelta
from perdure.ports.model_wire import Wanted
from tests.conformance.model.test_serving import ABOUT

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
CACHED = {"cache_control": {"type": "ephemeral"}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s1"}
HIDDEN = {"type": "redacted_thinking", "data": "xyz"}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def through(wire, client, body, **options):
    """What a provider of the wire is sent when this is asked for on it."""
    return client.body(wire.read(body, "k").request, body["model"], **options)


MESSAGES = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "S", **CACHED}, {"type": "text", "text": "T"}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi.", **CACHED}]},
        {
            "role": "assistant",
            "content": [
                THOUGHT,
                {"type": "text", "text": "I look."},
                HIDDEN,
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "broken", "is_error": True, **CACHED},
                {"type": "tool_result", "tool_use_id": "t2", "content": [PICTURE, {"type": "text", "text": "x"}]},
            ],
        },
        {"role": "assistant", "content": [THOUGHT]},
        {"role": "user", "content": [{"type": "text", "text": "And?"}]},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "tools": [{"name": "look", "description": "Looks.", "input_schema": SCHEMA, **CACHED}],
}


def test_messages_go_through_as_they_are():
    assert through(MessagesWire(), anthropic_wire, MESSAGES) == MESSAGES


def test_nothing_of_it_is_for_another_wire():
    request = MessagesWire().read(MESSAGES, "k").request
    for wire in (openai_chat_wire.body(request, "m", is_origin=False), openai_responses_wire.body(request, "m")):
        written = msgspec.json.encode(wire).decode()
        for word in ("cache_control", "Hm.", "xyz", "is_error", "budget_tokens"):
            assert word not in written
    chat = {**CHAT, "model": "m"}
    written = msgspec.json.encode(anthropic_wire.body(ChatWire().read(chat, "k").request, "m")).decode()
    for word in ("bob", "detail", "logprobs", '"strict"'):
        assert word not in written


ANSWER = {
    "id": "msg", "type": "message", "role": "assistant", "model": "m",
    "content": [
        THOUGHT,
        {"type": "text", "text": "I look."},
        HIDDEN,
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 5, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 11},
}  # fmt: skip


def test_an_answer_in_messages_comes_back_as_it_was():
    made = MessagesWire().answer(anthropic_wire.answer(ANSWER, "m"), ABOUT)
    assert (made["content"], made["usage"]) == (ANSWER["content"], ANSWER["usage"])
    stopped = {**ANSWER, "content": [], "stop_reason": "stop_sequence", "stop_sequence": "END"}
    made = MessagesWire().answer(anthropic_wire.answer(stopped, "m"), ABOUT)
    assert (made["stop_reason"], made["stop_sequence"]) == ("stop_sequence", "END")
    for other in (ChatWire(), ResponsesWire()):
        assert "Hm." not in str(other.answer(anthropic_wire.answer(ANSWER, "m"), ABOUT))


def test_thoughts_are_streamed_to_their_own_wire_alone():
    wire, events = MessagesWire(), Events()
    request = wire.read(MESSAGES, "k").request
    rendering = wire.rendering(Wanted(request=request, is_streamed=True), ABOUT)
    whole = anthropic_wire.answer(ANSWER, "m")
    pieces = [
        MoreDelta("messages", {"block": {"type": "thinking", "thinking": "", "signature": ""}}),
        MoreDelta("messages", {"delta": {"type": "thinking_delta", "thinking": "Hm."}}, "Hm."),
        MoreDelta("messages", {"delta": {"type": "signature_delta", "signature": "s1"}}, "s1"),
        TextDelta("I look."),
        MoreDelta("messages", {"block": HIDDEN}),
        MoreDelta("chat", {"delta": {"reasoning": "not for this wire"}}),
    ]
    reading = anthropic_wire.Stream("m")
    sent = [rendering.chunk(piece) for piece in pieces]
    end = msgspec.structs.replace(whole, tool_calls=(), finish="stop")
    heard = [
        chunk
        for part in [*sent, rendering.chunk(end)]
        for event in events.feed(part)
        for chunk in reading.take(event.data)
    ]
    assert heard[:-1] == pieces[:-1]
    assert heard[-1].more["blocks"] == [[0, THOUGHT], [2, HIDDEN]]
    for other in (ChatWire(), ResponsesWire()):
        rendering = other.rendering(Wanted(request=request, is_streamed=True), ABOUT)
        assert b"Hm." not in b"".join(rendering.chunk(piece) for piece in pieces)


async def test_a_header_goes_along_and_a_format_in_words_of_the_wire_needs_no_tool():
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    sent = []

    class Recording:
        async def request(self, method, url, *, headers, body, timeout):
            sent.append({**msgspec.json.decode(body), "beta": headers.get("anthropic-beta")})
            raise AssertionError("sent")

    model = AnthropicModel(Recording(), SystemClock())
    for body in ({**MESSAGES, "output_config": form}, {**MESSAGES, "output_format": form["format"]}):
        request = MessagesWire().read({**body, "anthropic-beta": "a header is none of the body"}, "k").request
        assert "anthropic-beta" not in request.more
        request.more["anthropic-beta"] = "long"
        assert request.schema == SCHEMA  # for providers of other wires
        with pytest.raises(AssertionError, match="sent"):
            await model.ask(request)
        assert sent[-1]["tools"] == MESSAGES["tools"]
        assert {"output_config", "output_format"} & set(sent[-1])
        assert (sent[-1]["beta"], "anthropic-beta" in sent[-1]) == ("long", False)
    with pytest.raises(AssertionError, match="sent"):
        await model.ask(msgspec.structs.replace(request, dialect="chat"))
    assert [tool["name"] for tool in sent[-1]["tools"]] == ["look", "final_answer"]


CHAT = {
    "model": "m",
    "messages": [
        {
            "role": "user",
            "name": "bob",
            "content": [
                {"type": "text", "text": "See.", **CACHED},
                {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": "Hm.", "reasoning_content": "r"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "", "parameters": SCHEMA, "strict": True}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": False}},
    "logprobs": True,
}


@pytest.mark.parametrize("form", [CHAT["response_format"], {"type": "json_object"}])
def test_chat_goes_through_as_it_is(form):
    body = {**CHAT, "response_format": form}
    assert through(ChatWire(), openai_chat_wire, body, is_origin=False) == body


def test_responses_go_through_as_they_are():
    body = {
        "model": "m",
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"}]}],
        "tools": [{"type": "function", "name": "f", "description": "", "parameters": SCHEMA, "strict": True}],
        "text": {"format": {"type": "json_schema", "name": "p", "schema": SCHEMA}, "verbosity": "low"},
        "store": False,
    }  # fmt: skip
    assert through(ResponsesWire(), openai_responses_wire, body) == body


def completion(**message):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    choice["logprobs"] = {"content": [{"token": "Hm", "logprob": -0.1}]}
    details = {"reasoning_tokens": 5}
    usage = {"prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": details}
    return {"model": "m", "choices": [choice], "usage": usage}


def test_an_answer_in_chat_comes_back_as_it_was():
    whole = completion(content="Hm.", reasoning_content="because")
    made = ChatWire().answer(openai_chat_wire.answer(whole, "m"), ABOUT)
    assert made["choices"][0]["message"]["reasoning_content"] == "because"
    assert made["choices"][0]["logprobs"] == whole["choices"][0]["logprobs"]
    assert made["usage"]["completion_tokens_details"] == {"reasoning_tokens": 5}
    assert "because" not in str(MessagesWire().answer(openai_chat_wire.answer(whole, "m"), ABOUT))


def test_the_words_of_a_refusal_are_kept():
    read = openai_chat_wire.answer(completion(content=None, refusal="I will not."), "m")
    assert (read.text, read.finish) == ("I will not.", "refused")
    message = ChatWire().answer(read, ABOUT)["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I will not.")
    stream = openai_chat_wire.Stream("m")
    heard = stream.take('{"choices": [{"index": 0, "delta": {"refusal": "I will not."}, "finish_reason": "stop"}]}')
    assert (heard, stream.end().finish) == ([TextDelta("I will not.")], "refused")


def test_pieces_in_words_of_chat_are_streamed_to_it():
    stream, wire = openai_chat_wire.Stream("m"), ChatWire()
    rendering = wire.rendering(wire.read({**CHAT, "stream_options": {"include_usage": True}}, "k"), ABOUT)
    logprobs = {"content": [{"token": "H", "logprob": -0.1}]}
    first = {"choices": [{"index": 0, "delta": {"reasoning_content": "be"}, "logprobs": logprobs}]}
    last = {
        "choices": [{"index": 0, "delta": {"content": "Hm."}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}},
    }
    heard = [chunk for data in (first, last) for chunk in stream.take(msgspec.json.encode(data).decode())]
    assert heard[0] == MoreDelta("chat", {"delta": {"reasoning_content": "be"}, "logprobs": logprobs}, "be")
    told = b"".join(rendering.chunk(chunk) for chunk in [*heard, *stream.take("[DONE]")])
    events = [msgspec.json.decode(event.data) for event in Events().feed(told) if event.data != "[DONE]"]
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "reasoning_content": "be"}
    assert events[0]["choices"][0]["logprobs"] == logprobs
    assert events[-1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}


@pytest.mark.parametrize(
    ("schema", "is_strict"),
    [
        ({"type": "object"}, False),
        ({"type": "object", "additionalProperties": False}, True),
        ({"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"], "additionalProperties": False}, False),
        ({"type": "object", "properties": {}, "additionalProperties": False, "$defs": {"a": {"type": "object"}}}, False),
        ({"type": "string"}, True),
    ],
)  # fmt: skip
def test_strict_is_what_closes_every_object(schema, is_strict):
    assert openai_chat_wire.is_strict(schema) is is_strict
