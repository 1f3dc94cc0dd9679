"""Durations: both forms, in milliseconds (B24)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.language.durations import MAXIMUM, milliseconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"seconds": 30}, 30_000),
        ({"days": 1, "hours": 2, "minutes": 3, "seconds": 4, "milliseconds": 5}, 93_784_005),
        ({"seconds": 0}, 0),
        ("PT30S", 30_000),
        ("PT0.5S", 500),
        ("PT0,25S", 250),
        ("PT1.0005S", 1001),
        ("PT1.0004S", 1000),
        ("P1DT2H3M4.005S", 93_784_005),
        ("P2W", 1_209_600_000),
        ("P1W2D", 777_600_000),
        ("P1.5D", 129_600_000),
        ("PT0.5H", 1_800_000),
        ("PT36H", 129_600_000),
        ({"days": 36_525}, MAXIMUM),
    ],
)
def test_a_duration_is_whole_milliseconds(value: Any, expected: int) -> None:
    assert milliseconds(value) == expected


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "at least one"),
        ({"seconds": -1}, "cannot be negative"),
        ({"seconds": 1.5}, "a whole number"),
        ({"seconds": True}, "a boolean"),
        ({"seconds": None}, "null"),
        ({"seconds": "1"}, "text"),
        ({"seconds": [1]}, "an array"),
        ({"weeks": 1}, "no 'weeks'"),
        ({"years": 1}, "write days"),
        ({"days": 36_526}, "100 years"),
        ("P1Y", "years or months"),
        ("P1M", "years or months"),
        ("PT1Y", "years or months"),
        ("-PT1S", "never negative"),
        ("PT-1S", "not an ISO 8601"),
        ("P", "names no amount"),
        ("PT", "names no amount"),
        ("P1DT", "names no amount"),
        ("1S", "not an ISO 8601"),
        ("", "not an ISO 8601"),
        ("PT1", "not an ISO 8601"),
        ("PT1S1H", "order is"),
        ("P1DT1D", "order is"),
        ("PT1.5H3M", "smallest unit"),
        ("P" + "1" * 200 + "D", "at most 100 characters"),
        ("PT99999999999999S", "100 years"),
        (5, "not a number"),
        (1.5, "a number with decimals"),
        (None, "not null"),
        ([], "not an array"),
        (b"", "not bytes"),
    ],
)
def test_what_is_no_duration_is_refused_with_one_sentence(value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        milliseconds(value)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="PTWDHMSY0123456789.,+-x", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_duration_or_a_clear_refusal(text: str) -> None:
    try:
        assert 0 <= milliseconds(text) <= MAXIMUM
    except ValueError as error:
        assert str(error).endswith(".") or "look like" in str(error)  # noqa: PT017 - what is raised is the subject
