"""Canonical text, content hashes and finite numbers."""

import pytest

from perdure.language.values import canonical, content_hash, is_finite


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
