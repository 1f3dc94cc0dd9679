"""Schemas: the first violation in one sentence; offline, linear, and clear about schemas that are not valid."""

from typing import Any

import pytest

from perdure.language.schemas import Schema

ORDER = {"type": "object", "required": ["id"], "properties": {"a/b": {"type": "array", "items": {"type": "integer"}}}}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (ORDER, {"id": 1}, None),
        (True, 1, None),
        (ORDER, {}, '"id" is a required property, at the root.'),
        (ORDER, {"id": 1, "a/b": [1, "x"]}, '"x" is not of type "integer", at /a~1b/1.'),
        ({"$defs": {"n": {"type": "null"}}, "$ref": "#/$defs/n"}, None, None),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]}, [None], None),
    ],
)
def test_a_value_fits_or_one_sentence_says_why_not(schema: Any, value: Any, expected: str | None) -> None:
    assert Schema(schema).violation(value) == expected


def test_a_long_value_is_shortened_in_the_sentence() -> None:
    sentence = Schema({"type": "integer"}).violation("x" * 10_000)
    assert sentence is not None
    assert len(sentence) < 400
    assert "…" in sentence


def test_patterns_run_in_linear_time() -> None:
    assert Schema({"pattern": "^(a+)+$"}).violation("a" * 100_000 + "!")


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "nope"}, "not valid at /type"),
        ({"properties": {"a": {"type": "nope"}}}, "/properties/a/type"),
        ({"$ref": "https://example.org/x.json"}, "never fetched"),
        ({"$ref": "file:///etc/passwd"}, "never fetched"),
        ({"$ref": "#/$defs/none"}, "does not exist"),
        ({"pattern": "(?=a)"}, "Look-around"),
        ({"pattern": "(a{1000}){1000}"}, "regular expression"),
        ({"$schema": "https://example.org/none"}, "meta-schema"),
        (12, "not valid"),
        ({1: 2}, "not JSON"),
        (object(), "not"),
    ],
)
def test_a_schema_that_is_not_valid_is_refused(schema: Any, says: str) -> None:
    made = Schema(schema)
    for use in (made.check, lambda: made.violation(None)):
        with pytest.raises(ValueError, match=says):
            use()


def test_a_value_that_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Dict key"):
        Schema({"type": "object"}).violation({1: 2})


def test_it_compiles_on_first_use_and_shows_its_state() -> None:
    schema = Schema({"type": "null"})
    assert "not compiled" in repr(schema)
    schema.check()
    assert "not compiled" not in repr(schema)
