"""Patterns of event types."""

import pytest

from perdure.adapters.subscriptions import matches


@pytest.mark.parametrize(
    ("patterns", "type", "fits"),
    [
        (("a.b",), "a.b", True),
        (("a.b",), "a.bc", False),
        (("a.b",), "axb", False),
        (("a.*",), "a.b.c.v1", True),
        (("a.*",), "a", False),
        (("*",), "", True),
        (("*.v1",), "a.b.v1", True),
        (("a.*.v1", "c"), "a.b.v2", False),
        ((), "a", False),
    ],
)
def test_a_star_stands_for_anything(patterns, type, fits):
    assert matches(patterns, type) is fits
