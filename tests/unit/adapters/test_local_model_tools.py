"""Calls of tools by the local model: what it is told, the form it is held to, and how its answer is read."""

import json

import pytest

from perdure.adapters import local_model_tools
from perdure.language.schemas import Schema

WORDS = {"type": "object", "properties": {"words": {"type": "string"}}, "required": ["words"]}


def tool(name, parameters=WORDS, description=""):
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def request(*said, tools=(), **more):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}, *said]
    return {"messages": messages, **({"tools": list(tools)} if tools else {}), **more}


def asked(answer, given, finish="stop"):
    """What the engine is asked, and what the caller hears."""
    heard = []

    def compute(body):
        heard.append(body)
        content = answer if isinstance(answer, str) else json.dumps(answer)
        message = {"role": "assistant", "content": content}
        return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": {"prompt_tokens": 3}}

    body = local_model_tools.whole(compute)(given)
    return (heard or [None])[0], body


def choice(answer, given, finish="stop"):
    return asked(answer, given, finish)[1]["choices"][0]


def form(given):
    return asked({"finish": ""}, given)[0]["response_format"]["json_schema"]["schema"]


def fits(schema, value):
    return Schema(schema).violation(value) is None


def test_a_request_without_tools_goes_through_as_it_is():
    given = request(temperature=0)
    assert asked("Ann.", given)[0] is given


def test_a_tool_is_told_in_words_and_called():
    given = request(tools=[tool("search", description="Find notes.")], temperature=0, parallel_tool_calls=True)
    wire, body = asked({"search": {"words": "grün"}}, given)
    assert set(wire) == {"messages", "temperature", "response_format"}
    assert wire["messages"][0]["content"].startswith("Be brief.\n")
    assert "search: Find notes." in wire["messages"][0]["content"]
    [told] = body["choices"]
    assert (told["finish_reason"], told["message"]["content"], body["usage"]) == (
        "tool_calls",
        None,
        {"prompt_tokens": 3},
    )
    assert told["message"]["tool_calls"] == [
        {"id": "call-1", "type": "function", "function": {"name": "search", "arguments": '{"words": "grün"}'}}
    ]


def test_an_answer_is_text_or_fits_its_form():
    given = request(tools=[tool("search")])
    assert choice({"finish": "Ann."}, given)["message"] == {"role": "assistant", "content": "Ann."}
    schema = {"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]}
    given["response_format"] = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    assert choice({"finish": {"who": "Ann"}}, given)["message"]["content"] == '{"who": "Ann"}'
    assert fits(form(given), {"finish": {"who": "Ann"}})
    assert not fits(form(given), {"finish": "Ann"})


@pytest.mark.parametrize(
    ("wanted", "may_search", "may_read", "may_finish"),
    [
        (None, True, True, True),
        ("auto", True, True, True),
        ("required", True, True, False),
        ({"type": "function", "function": {"name": "read"}}, False, True, False),
    ],
)
def test_the_choice_of_tools_holds(wanted, may_search, may_read, may_finish):
    schema = form(request(tools=[tool("search"), tool("read")], tool_choice=wanted))
    assert fits(schema, {"search": {"words": "a"}}) is may_search
    assert fits(schema, {"read": {"words": "a"}}) is may_read
    assert fits(schema, {"finish": "Ann."}) is may_finish
    assert not fits(schema, {"search": {"words": 7}})
    assert not fits(schema, {"search": {"words": "a"}, "read": {"words": "a"}})


def test_without_choice_no_tool_is_told_and_calls_of_before_are_words():
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"words": "a"}'}}
    said = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "[]"},
        {"role": "tool", "tool_call_id": "other", "content": "1"},
    ]
    wire, body = asked("Nobody.", request(*said, tools=[tool("search")], tool_choice="none"))
    assert [message["content"] for message in wire["messages"]] == [
        "Be brief.", "Who?", '{"search": {"words": "a"}}', "search gave: []", "The tool gave: 1"
    ]  # fmt: skip
    assert "response_format" not in wire
    assert body["choices"][0]["message"]["content"] == "Nobody."
    assert asked("Nobody.", request(*said))[0]["messages"] == wire["messages"]
    assert choice({"search": {"words": "b"}}, request(*said, tools=[tool("search")]))["message"]["tool_calls"][0][
        "id"
    ] == ("call-2")


def test_earlier_answers_stand_in_the_form_of_the_next():
    said = [{"role": "assistant", "content": "Ann."}, {"role": "assistant", "content": '{"who": "Ann"}'}]
    wire, _ = asked({"finish": "x"}, request(*said, tools=[tool("search")]))
    assert [message["content"] for message in wire["messages"][2:]] == [
        '{"finish": "Ann."}',
        '{"finish": {"who": "Ann"}}',
    ]
    given = {"messages": [{"role": "user", "content": "Who?"}], "tools": [tool("search")]}
    assert [message["role"] for message in asked({"finish": "x"}, given)[0]["messages"]] == ["system", "user"]


def test_a_tool_may_be_called_as_the_answer_is():
    given = request(tools=[tool("finish")])
    assert choice({"finish": {"words": "a"}}, given)["message"]["tool_calls"][0]["function"]["name"] == "finish"
    assert choice({"the finish": "Ann."}, given)["message"]["content"] == "Ann."


def test_a_tool_that_takes_nothing_and_schemas_that_point_into_themselves():
    bare = {"type": "function", "function": {"name": "now"}}
    tree = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}},
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "additionalProperties": False,
    }
    schema = form(request(tools=[bare, tool("walk", tree), tool("free", {})]))
    assert fits(schema, {"now": {}})
    assert not fits(schema, {"now": {"at": 1}})
    assert fits(schema, {"free": {"at": 1}})
    assert not fits(schema, {"free": 1})
    assert fits(schema, {"walk": {"root": {"next": {}}}})
    assert not fits(schema, {"walk": {"root": {"next": 7}}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"finish": "It is Ann', "It is Ann"),
        ('{ "finish" : "a\\u00', "a"),
        ('{"finish": "', ""),
        ('{"search": {"wor', ""),
        ("", ""),
    ],
)
def test_what_was_cut_is_no_call(text, expected):
    told = choice(text, request(tools=[tool("search")]), finish="length")
    assert (told["message"], told["finish_reason"]) == ({"role": "assistant", "content": expected}, "length")
    given = request(tools=[tool("search")], response_format={"type": "json_object"})
    assert choice('{"finish": {"a": ', given, finish="length")["message"]["content"] == '{"a": '


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"tools": "search"}, "no list"),
        ({"tools": [{"type": "retrieval"}]}, "only functions"),
        ({"tools": [tool("search")], "tool_choice": "never"}, "none of auto"),
        ({"tools": [tool("search")], "tool_choice": {"function": {"name": "read"}}}, "none of the tools"),
        ({"tool_choice": "required"}, "no tools"),
        ({"tools": [tool("search")], "messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]}]}, "no pictures"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_told_in_a_sentence(more, part):
    wire, body = asked("", {**request(), **more})
    assert wire is None
    assert body["error"]["code"] == 400
    assert part in body["error"]["message"]
    assert body["error"]["message"].endswith(".")


def test_a_computation_that_failed_stays_so():
    failed = {"error": {"message": "No.", "code": 400}}
    assert local_model_tools.whole(lambda body: failed)(request(tools=[tool("search")])) == failed


def test_a_stream_with_tools_is_told_at_its_end():
    def compute(body):
        message = {"role": "assistant", "content": '{"finish": "Ann."}'}
        return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}

    told = []
    streaming = local_model_tools.streamed(compute, lambda body, tell: tell(body))
    assert streaming(request(tools=[tool("search")]), told.append)["choices"][0]["message"]["content"] == "Ann."
    assert told == []
    streaming(request(), told.append)
    assert told == [request()]
