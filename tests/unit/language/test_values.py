"""Canonical text, content hashes and finite numbers."""

import json

import pytest

from perdure.language.values import TooMany, canonical, check_count, content_hash, is_finite, same


def test_equal_values_have_one_text_and_one_hash():
    left, right = {"b": [1, {"y": None, "x": "ü"}], "a": 2}, {"a": 2, "b": [1, {"x": "ü", "y": None}]}
    assert canonical(left) == canonical(right) == '{"a":2,"b":[1,{"x":"ü","y":null}]}'.encode()
    assert content_hash(left) == content_hash(right)
    assert len(content_hash(left)) == 64
    assert content_hash(left) != content_hash({**left, "a": 3})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_hold_is_refused(number):
    assert not is_finite({"a": [1.5, {"b": number}]})
    with pytest.raises(ValueError, match="not JSON numbers"):
        canonical([number])


def test_finite_values_of_every_kind():
    assert is_finite({"a": [1, 1.5, "x", None, True, {}], "b": 10**400})


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0.0, False, False),
        ({"a": [1, {"b": True}]}, {"a": [1.0, {"b": True}]}, True),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}, False),
        ([True], [1], False),
        ("1", 1, False),
        (None, False, False),
    ],
)
def test_a_boolean_is_equal_to_no_number(left, right, equal):
    assert same(left, right) is equal
    assert same(left, left)


@pytest.mark.parametrize(
    "text",
    [
        "[1, {}]",
        json.dumps(list(range(999_999))),
        "[" + "[]," * 249_998 + "1]",
        json.dumps('a,b\n[{"x\\' * 300_000),
        json.dumps([["a,b,c,d,e,f"] * 50] * 5_000),
    ],
    ids=["few", "many numbers", "many lists", "a long text", "texts with commas"],
)
def test_honest_values_are_not_too_many(text):
    check_count(text.encode())


@pytest.mark.parametrize(
    "text, said",
    [
        ("[" + "1," * 1_000_000 + "1]", "it holds some 1,000,001 values, and 1,000,000 are allowed"),
        ("[" + "{}," * 250_000 + "1]", "it holds 250,001 arrays and objects, and 250,000 are allowed"),
        ("[" * 300_000, "300,000 arrays"),
    ],
)
def test_too_many_values_are_counted(text, said):
    with pytest.raises(TooMany, match=said):
        check_count(text.encode())
