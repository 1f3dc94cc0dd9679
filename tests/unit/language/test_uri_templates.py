"""URI templates: simple expansion and nothing more (B25, T29)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.language.expressions import ExpressionFault
from perdure.language.uri_templates import expand, variables


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("https://x/{id}", {"id": 7}, "https://x/7"),
        ("https://x/{pet.id}", {"pet.id": "a b/ü?", "pet": {"id": 1}}, "https://x/a%20b%2F%C3%BC%3F"),
        ("https://x/{pet.id}", {"pet": {"id": 1}}, "https://x/"),
        ("{a}{b}{c}{d}", {"a": True, "b": None, "c": 1.5, "d": 2.0}, "true1.52"),
        ("{a,b,c}", {"a": 1, "c": "x"}, "1,x"),
        ("{a}", [1], ""),
        ("{a}", None, ""),
        ("", {}, ""),
        ("https://x/a%20b?q=1&r=ä b", {}, "https://x/a%20b?q=1&r=%C3%A4%20b"),
        ("x%zz\ud800", {}, "x%25zz%3F"),
        ("{%20a}", {"%20a": "~-._"}, "~-._"),
    ],
)
def test_a_template_expands(template: str, value: Any, expected: str) -> None:
    assert expand(template, value) == expected


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{+a}", "operator"),
        ("{#a}", "operator"),
        ("{.a}", "operator"),
        ("{/a}", "operator"),
        ("{;a}", "operator"),
        ("{?a}", "operator"),
        ("{&a}", "operator"),
        ("{a:3}", "modifier"),
        ("{a*}", "modifier"),
        ("{}", "no variable name"),
        ("{a b}", "no variable name"),
        ("{a,}", "no variable name"),
        ("{a", "without }"),
        ("a}", "without {"),
        ("https://x/${.id}", "mixes text with an expression"),
    ],
)
def test_everything_else_is_refused_with_what_to_write(template: str, says: str) -> None:
    with pytest.raises(ExpressionFault, match=says) as caught:
        variables(template)
    assert caught.value.hint
    assert caught.value.offset is not None


def test_an_array_or_object_does_not_fit_into_a_uri() -> None:
    for value in ([1], {"b": 1}):
        with pytest.raises(ExpressionFault, match=r"\{a\} is an"):
            expand("{a}", {"a": value})


def test_variables_are_named_once_in_order() -> None:
    assert variables("https://{host}/{a}/{b,a}?x={c.d}") == ["host", "a", "b", "c.d"]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}a,.+:*/$% ü\ud800", max_size=20), st.dictionaries(st.just("a"), st.text(max_size=5)))
def test_any_template_expands_to_ascii_or_is_refused(template: str, value: Any) -> None:
    try:
        assert expand(template, value).isascii()
    except ExpressionFault as fault:
        assert fault.message  # noqa: PT017 - what is raised is the subject
