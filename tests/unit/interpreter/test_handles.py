"""Secret handles and their escape: language.md 5.5."""

import pytest

from perdure.interpreter.handles import MARK, PARTS, SECRET, escape, resolve, restore

OUTSIDE = {
    "$perdure.secret": ["stolen"],
    "$$perdure.parts": [{"$perdure.parts": []}],
    "perdure.secret": 1,
    "$other": [{"deep": {"$perdure.blob": "x"}}],
}


def test_nothing_from_outside_is_a_handle():
    escaped = escape(OUTSIDE)
    assert escaped == {
        "$$perdure.secret": ["stolen"],
        "$$$perdure.parts": [{"$$perdure.parts": []}],
        "perdure.secret": 1,
        "$other": [{"deep": {"$$perdure.blob": "x"}}],
    }
    assert restore(escaped) == OUTSIDE
    assert resolve(escaped, lambda path: pytest.fail("resolved")) == OUTSIDE


@pytest.mark.parametrize("value", [None, 1, "$perdure.secret", [], {}, ["$perdure.secret"]])
def test_texts_and_plain_values_stay(value):
    assert escape(value) == restore(value) == value


def test_handles_are_resolved_wherever_they_are():
    value = {
        "whole": {SECRET: ["login"]},
        "text": {PARTS: ["Bearer ", {SECRET: ["token", "value"]}, {SECRET: ["number"]}]},
        "list": [{SECRET: ["login"]}, 1],
        "two": {SECRET: ["login"], "x": 1},
        "other": {"x": 1},
    }
    known = {("login",): {"username": "u"}, ("token", "value"): "t", ("number",): 7}
    resolved = resolve(value, lambda path: known[tuple(path)] if isinstance(path, list) else None)
    assert resolved == {
        "whole": {"username": "u"},
        "text": "Bearer t7",
        "list": [{"username": "u"}, 1],
        "two": {SECRET: ["login"], "x": 1},
        "other": {"x": 1},
    }


def test_the_mark_is_in_every_handle():
    assert MARK in SECRET.encode()
    assert MARK in PARTS.encode()
