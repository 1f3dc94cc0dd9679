"""Server-sent events, however the bytes are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.client.stream import LINE_LIMIT, Lines, StreamEvent

TEXT = b": hello\nretry: 2500\n\nid: 1\nevent: entry\ndata: one\n\nid: 2\r\ndata: a\r\ndata: b\xc3\xa9\r\n\r\ndata\n\nid: 3\n\n"
EVENTS = [StreamEvent("1", "entry", "one"), StreamEvent("2", "message", "a\nbé"), StreamEvent("2", "message", "")]


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_events_come_whole(cuts):
    lines = Lines()
    places = [0, *sorted(cuts), len(TEXT)]
    found = [event for a, b in itertools.pairwise(places) for event in lines.feed(TEXT[a:b])]
    assert found == EVENTS
    assert lines.retry == 2.5
    assert lines.headers() == {"last-event-id": "3"}


def test_another_connection_asks_for_what_came_only_in_part():
    lines = Lines("7")
    assert lines.headers() == {"last-event-id": "7"}
    lines.feed(b"id: 8\ndata: whole\n\nid: 9\ndata: ha")
    assert lines.headers() == {"last-event-id": "8"}
    assert lines.feed(b"id: 9\ndata: half\n\n") == [StreamEvent("9", "message", "half")]


def test_a_line_without_end_is_given_up():
    with pytest.raises(ValueError, match="too large"):
        Lines().feed(b"x" * (LINE_LIMIT + 1))
