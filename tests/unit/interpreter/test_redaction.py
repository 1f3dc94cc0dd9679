"""Opened secrets stay out of what is written down, however they are spelt."""

import base64
import json
from urllib.parse import quote_plus

import pytest

from perdure.interpreter.redaction import HIDDEN, Redaction

SECRET = 'top/secret "ü" 1'


@pytest.fixture
def redaction():
    made = Redaction()
    made.add({"password": SECRET, "pin": 12345, "flags": [True, None, "abc"]})
    return made


@pytest.mark.parametrize(
    "spelt",
    [
        SECRET,
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1].replace("/", "\\/"),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        SECRET.encode().hex(),
    ],
)
def test_every_spelling_is_found(redaction, spelt):
    assert redaction.text(f"a {spelt} b") == "a *** b"
    assert redaction.content(f"a {spelt} b".encode()) == b"a *** b"
    assert redaction.value({spelt: [f"x{spelt}"]}) == {"***": ["x***"]}


def test_numbers_are_found_whole_and_short_values_are_left_alone(redaction):
    given = [12345, 123456, 1.5, True, None, "abc", "no 12345"]
    assert redaction.value(given) == ["***", 123456, 1.5, True, None, "abc", "no ***"]


def test_without_secrets_nothing_is_looked_at():
    empty = Redaction()
    value = {"a": object()}
    assert not empty
    assert empty.value(value) is value
    assert (empty.text("abc"), empty.content(b"abc")) == ("abc", b"abc")
    assert repr(empty) == "Redaction(0 texts)"


def test_one_secret_inside_another():
    made = Redaction()
    made.add("abcd")
    assert made.text("abcdef") == "***ef"
    made.add("abcdef")
    assert made.text("abcdef abcd") == "*** ***"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_secret_in_the_midst_of_a_text_in_base64_is_found(before):
    made = Redaction()
    made.add("s3cr3t-of-some-length")
    text = base64.b64encode(f"{before}s3cr3t-of-some-length and more".encode()).decode()
    hidden = made.text(text)
    assert HIDDEN in hidden
    assert len(hidden) < len(text) - 15
