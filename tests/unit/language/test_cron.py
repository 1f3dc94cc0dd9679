"""Cron expressions: what is refused, and which minute comes next."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.language.cron import parse


@pytest.mark.parametrize(
    ("text", "after", "following"),
    [
        ("* * * * *", "2026-01-31T23:59:30", "2026-02-01T00:00"),
        ("0 0 * * *", "2026-01-31T00:00", "2026-02-01T00:00"),
        ("*/15 * * * *", "2026-01-01T10:14", "2026-01-01T10:15"),
        ("5/20 * * * *", "2026-01-01T10:26", "2026-01-01T10:45"),
        ("30 9-17/4 * * *", "2026-01-01T09:30", "2026-01-01T13:30"),
        ("0 8 * * mon-FRI", "2026-01-02T08:00", "2026-01-05T08:00"),
        ("0 0 * * 7", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("0 0 1 * 1", "2026-01-01T00:00", "2026-01-05T00:00"),
        ("0 0 1 * 1", "2026-01-26T00:00", "2026-02-01T00:00"),
        ("0 0 */2 * 1", "2026-01-01T00:00", "2026-01-05T00:00"),
        ("0 0 31 * *", "2026-01-31T00:00", "2026-03-31T00:00"),
        ("0 0 29 2 *", "2096-02-29T00:00", "2104-02-29T00:00"),
        ("0 0 29 2 */7", "2088-02-29T00:00", "2128-02-29T00:00"),
        ("0 12 1,15 jan,JUL *", "2026-01-15T12:00", "2026-07-01T12:00"),
        ("59 23 31 12 *", "2026-12-31T23:59", "2027-12-31T23:59"),
    ],
)
def test_the_next_time(text, after, following):
    assert parse(text).next_after(datetime.fromisoformat(after)) == datetime.fromisoformat(following)
    assert repr(parse(text)) == f"<Cron {text}>"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("banana", "Five fields are expected (minute, hour, day, month, weekday), not 1."),
        ("", "not 0."),
        ("* * * * * *", "six fields"),
        ("@daily", "'@daily' is a shorthand"),
        ("60 * * * *", "minute 60 is not between 0 and 59"),
        ("* 24 * * *", "hour 24"),
        ("* * 0 * *", "day of the month 0"),
        ("* * * 13 *", "month 13"),
        ("* * * * 8", "day of the week 8"),
        ("5-1 * * * *", "range 5-1 runs backwards"),
        ("*/0 * * * *", "minute 0 is not between 1 and 59"),
        ("*/x * * * *", "minute 'x'"),
        ("1,,2 * * * *", "minute ''"),
        ("1- * * * *", "minute ''"),
        ("² * * * *", "minute '²'"),
        ("99999999999 * * * *", "not between"),
        ("* * * foo *", "month 'foo'"),
        ("0 0 31 2,4 *", "would never happen"),
    ],
)
def test_what_is_none_is_refused_with_a_sentence(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parse(text)


def test_a_weekday_rescues_an_impossible_day():
    assert parse("0 0 31 2 1").next_after(datetime(2026, 2, 1, tzinfo=UTC)) == datetime(2026, 2, 2, tzinfo=UTC)


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2090, 1, 1)),
    st.sampled_from(["*/7 * * * *", "3 */5 * * *", "0 0 13 * 5", "15 6 1-7 */3 *", "1 2 29 2 *", "* * * 6 sat"]),
)
def test_the_next_time_is_the_first_that_fits(moment, text):
    cron = parse(text)
    following = cron.next_after(moment)
    assert moment < following
    assert following == cron.next_after(following - timedelta(seconds=1))
