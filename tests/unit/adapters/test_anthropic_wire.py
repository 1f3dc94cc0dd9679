"""Messages for conversations that began at another provider."""

from perdure.adapters import anthropic_wire
from perdure.ports.model import Message, Request, ToolCall


def asked(*ids):
    return Message("assistant", "", tuple(ToolCall(id, "f", {}) for id in ids))


def told(id, text):
    return Message("tool", text, tool_call=id)


def ids_of(*messages):
    wire = anthropic_wire.body(Request(messages=(Message("user", "Hi."), *messages), key="k"), "m")
    blocks = [block for message in wire["messages"] for block in message["content"]]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return calls, [(b["tool_use_id"], b["content"]) for b in blocks if b["type"] == "tool_result"]


def test_ids_that_fit_stay():
    assert ids_of(asked("a_1", "b-2"), told("a_1", "x"), told("b-2", "y")) == (
        ["a_1", "b-2"],
        [("a_1", "x"), ("b-2", "y")],
    )


def test_each_id_is_there_once_and_its_result_follows_it():
    calls, results = ids_of(
        asked("call-0", "call-0"), told("call-0", "1"), told("call-0", "2"), asked("call-0"), told("call-0", "3")
    )
    assert calls == ["call-0", "call-0-2", "call-0-3"]
    assert results == [("call-0", "1"), ("call-0-2", "2"), ("call-0-3", "3")]


def test_letters_that_the_wire_does_not_take_are_replaced():
    assert ids_of(asked("functions.f:0"), told("functions.f:0", "x")) == (["functions_f_0"], [("functions_f_0", "x")])
    assert ids_of(asked(""), told("", "x")) == (["call"], [("call", "x")])
    assert ids_of(told("a b", "nobody asked")) == ([], [("a_b", "nobody asked")])
