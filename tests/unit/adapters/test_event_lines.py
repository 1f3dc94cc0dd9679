"""Server-sent events out of bytes in any pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.adapters.event_lines import Event, Events, Lines, Malformed

BODY = "\ufeff: hi\n\nevent: a\ndata: é✓\ndata:two\nid: 1\n\ndata\n\nevent: lost\n\ndata: 3\n\ndata: cut".encode()
EXPECTED = [Event("a", "é✓\ntwo"), Event("", ""), Event("", "3")]


def read(*chunks, **more):
    reader = Events(**more)
    return [event for chunk in chunks for event in reader.feed(chunk)]


@given(st.lists(st.integers(0, len(BODY) + 6)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cuts_and_any_line_ends(cuts, end):
    body = BODY.replace(b"\n", end)
    places = [0, *sorted(cuts), len(body)]
    assert read(*(body[a:b] for a, b in itertools.pairwise(places))) == EXPECTED


def test_what_is_too_large_or_no_utf_8():
    with pytest.raises(Malformed, match="longer than 10 bytes"):
        read(b"data: 12345678", most=10)
    with pytest.raises(Malformed, match="larger than 10 bytes"):
        read(b"data:1234\ndata:1234\ndata:1\n", most=10)
    with pytest.raises(Malformed, match="UTF-8"):
        read(b"data: \xff\n\n")


def test_lines():
    lines = Lines()
    assert lines.feed(b"a\nb") == [b"a"]
    assert (lines.rest(), "1 bytes" in repr(lines)) == (b"b", True)
    assert lines.feed(b"c\r") == [b"bc"]
    assert lines.feed(b"\n") == []
    assert lines.feed(b"\n") == [b""]
    assert "0 lines" in repr(Events())
