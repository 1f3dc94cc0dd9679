"""Which models a key may use, by the patterns that it was given."""

import pytest

from perdure.services.agents.allowance import ModelDenied, allowed, is_allowed, refuse_others


@pytest.mark.parametrize(
    ("pattern", "name", "is_let_in"),
    [
        ("openai/gpt-5-mini", "openai/gpt-5-mini", True),
        ("openai/gpt-5-mini", "openai/gpt-5-mini-2", False),
        ("openai/gpt-5-mini", "openai", False),
        ("openai/*", "openai/gpt-5", True),
        ("openai/*", "openai", True),
        ("openai/*", "openai2/gpt-5", False),
        ("openai/*", "OpenAI/gpt-5", False),
        ("openai", "openai", True),
        ("openai", "openai/gpt-5", False),
        ("safe", "safe", True),
        ("*mini*", "openai/gpt-5-mini", True),
        ("*", "whatever", True),
        ("*", "", True),
        ("openai/gpt-[45]", "openai/gpt-4", True),
    ],
)
def test_a_pattern_is_compared_with_the_whole_name(pattern, name, is_let_in):
    assert is_allowed((pattern,), name) is is_let_in


def test_what_no_pattern_names_is_refused_with_what_is_allowed():
    refuse_others(("a/*", "b"), "b")
    with pytest.raises(ModelDenied, match="may not use the model 'c/d'") as caught:
        refuse_others(("a/*", "b"), "c/d")
    assert "a/*, b" in caught.value.hint


def test_without_patterns_every_name_is_told():
    assert allowed((), ["a", "b/c"]) == ["a", "b/c"]
    assert allowed(("b/*",), ["a", "b/c"]) == ["b/c"]
