"""Templates: which strings of a definition are expressions (T30, A6, E11), and secrets as handles (5.5)."""

from typing import Any

import pytest

from perdure.interpreter import handles
from perdure.language.expressions import ExpressionFault, parse
from perdure.language.templates import PARTS, SECRET, compile_field, compile_template, pieces, whole


def evaluated(template: Any, value: Any = None, mode: Any = "strict", **arguments: Any) -> Any:
    return compile_template(template, None, mode).evaluate(value, arguments)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("${ .a }", " .a "),
        ("  ${.a}\n", ".a"),
        ('${ "}" }', ' "}" '),
        ('${ "\\"}" }', ' "\\"}" '),
        ('${ "\\("}")" }', ' "\\("}")" '),
        ("${ {a: {b: 1}} }", " {a: {b: 1}} "),
        ("${ [.a[0]] | (1) }", " [.a[0]] | (1) "),
        ("${ .a # } comment\n }", " .a # } comment\n "),
        ("${ .a # } }", None),
        ("${ .a } and ${ .b }", None),
        ("x ${ .a }", None),
        ("${ .a", None),
        ("${ (} }", None),
        (".a", None),
        ("", None),
    ],
)
def test_a_string_is_one_expression_as_a_whole_or_none(text: str, source: str | None) -> None:
    assert whole(text) == source


def test_strings_of_the_template_are_evaluated_and_keys_and_data_are_not() -> None:
    template = {"a": "${ .x }", "${ .k }": ["k", "${ $y }", {"b/~": "${ .x }"}], "c": {"d": [1, None]}}
    made = evaluated(template, {"x": "${ .y }"}, y=2)
    assert made == {"a": "${ .y }", "${ .k }": ["k", 2, {"b/~": "${ .y }"}], "c": {"d": [1, None]}}
    assert made["c"] is template["c"]
    assert template["a"] == "${ .x }"


def test_a_constant_template_gives_its_own_value() -> None:
    value = {"a": [1, "text", "$x", "echo ${HOME", "}"]}
    template = compile_template(value)
    assert template.is_constant
    assert template.evaluate(None, {}) is value
    assert "constant" in repr(template)
    assert "computed" in repr(compile_template("${ . }"))


@pytest.mark.parametrize("text", ["${ .a } and ${ .b }", "Hello ${ .name }", "${ .a }!", "https://x/${.id}"])
def test_text_around_an_expression_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ExpressionFault, match="text around an expression") as caught:
        compile_template({"a": [text]})
    assert caught.value.pointer == "/a/0"
    assert "\\(.field)" in str(caught.value.hint)


def test_an_expression_that_never_ends_or_does_not_parse_is_refused_with_its_place() -> None:
    with pytest.raises(ExpressionFault, match="never ends"):
        compile_template("${ .a")
    with pytest.raises(ExpressionFault) as caught:
        compile_template({"a/b": {"~": "${ 1 + }"}})
    assert caught.value.pointer == "/a~1b/~0"
    with pytest.raises(ExpressionFault, match="not offered"):
        compile_template("${ $output }", frozenset({"input"}))


def test_a_field_is_bare_jq_or_one_expression() -> None:
    assert compile_field(".a").evaluate({"a": 1}, {}) == 1
    assert compile_field("${ .a }").evaluate({"a": 1}, {}) == 1
    assert compile_field("$x", frozenset({"x"})).names == {"x"}
    for text in ("${ .a } and ${ .b }", "${ .a", "", "${ }"):
        with pytest.raises(ExpressionFault):
            compile_field(text)


def test_loose_mode_tries_every_string_and_keeps_what_fails() -> None:
    template = {"a": ".x", "b": "hello world", "c": "${ .x }", "d": "${ nope }", "e": ".x | error", "f": "1", "g": "$z"}
    made = compile_template(template, frozenset({"y"}), "loose").evaluate({"x": 5}, {})
    assert made == {"a": 5, "b": "hello world", "c": 5, "d": "${ nope }", "e": ".x | error", "f": 1, "g": "$z"}


def test_the_keys_of_handles_are_those_of_the_interpreter() -> None:
    assert (SECRET, PARTS) == (handles.SECRET, handles.PARTS)


TOKEN = {SECRET: ["token"]}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$secrets.token", TOKEN),
        ('$secrets["token"]', TOKEN),
        ('$secrets."token".deep["er"]', {SECRET: ["token", "deep", "er"]}),
        ("{a: $secrets.token, b: [$secrets.token, 1]}", {"a": TOKEN, "b": [TOKEN, 1]}),
        ("[.x | . + 1, $secrets.token]", [2, TOKEN]),
        ("if .x == 1 then $secrets.token else 2 end", TOKEN),
        ("if .x == 2 then 3 end", 1),
        ("if .x == 2 then $secrets.token end", {"x": 1}),
        (".x as $v | {v: $v, t: $secrets.token}", {"v": 1, "t": TOKEN}),
        ("def f: 1; $secrets.token", TOKEN),
        ("label $l | $secrets.token", TOKEN),
        (".x | {t: $secrets.token}", {"t": TOKEN}),
        ('"Bearer \\($secrets.token)"', {PARTS: ["Bearer ", TOKEN]}),
        ('@text "\\(.x):\\($secrets.token)!"', {PARTS: ["1", ":", TOKEN, "!"]}),
        ('"\\(.x) \\([.x])" | {a: .}', {"a": "1 [1]"}),
        ('"Bearer \\($authorization.parameter)"', {PARTS: ["Bearer ", {SECRET: ["auth"]}]}),
        ("$authorization.scheme", "Bearer"),
        ('[$secrets.token, "\\(.x)"]', [TOKEN, "1"]),
    ],
)
def test_a_secret_is_a_handle(source: str, expected: Any) -> None:
    authorization = {"scheme": "Bearer", "parameter": {SECRET: ["auth"]}}
    made = parse(source).evaluate({"x": 1}, {"authorization": authorization, "secrets": {}})
    assert made == expected or source.startswith("if .x == 2 then 3")


@pytest.mark.parametrize(
    "source",
    [
        "$secrets",
        "$secrets[0]",
        "$secrets[.x]",
        "$secrets.token | length",
        '$secrets.token + "x"',
        '"Bearer " + $secrets.token',
        "$secrets.token == 1",
        "$secrets.token?",
        "$secrets.token // 1",
        "$secrets | keys",
        "{($secrets.token): 1}",
        "if $secrets.token then 1 else 2 end",
        "$secrets.token as $t | $t",
        "def f: $secrets.token; f",
        "def f($secrets): 1; f(1)",
        ". as $secrets | 1",
        "reduce $secrets.token as $x (0; 1)",
        '@base64 "\\($secrets.token)"',
        '"\\($secrets.token | length)"',
        '"\\($secrets.token) \\($secrets | tojson)"',
        "[$secrets[]]",
    ],
)
def test_any_other_computation_on_a_secret_is_refused(source: str) -> None:
    with pytest.raises(ExpressionFault):
        parse(source)


def test_the_names_of_secrets_are_known_and_must_be_offered() -> None:
    template = compile_template({"a": "${ $secrets.one.x }", "b": ['${ "\\($secrets.two)" }']})
    assert template.secrets == {"one", "two"}
    assert template.names == {"secrets"}
    with pytest.raises(ExpressionFault, match="not offered"):
        compile_template("${ $secrets.a }", frozenset({"input"}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("${ .a }", [(" .a ",)]),
        ('Dear ${ .name }, from ${ {a: "}"} }!', ["Dear ", (" .name ",), ", from ", (' {a: "}"} ',), "!"]),
    ],
)
def test_a_text_in_pieces(text, found):
    assert [piece if isinstance(piece, str) else (piece.source,) for piece in pieces(text)] == found


@pytest.mark.parametrize("text", ["Dear ${ .name", "${ .name | }"])
def test_a_text_with_a_broken_piece(text):
    with pytest.raises(ExpressionFault):
        pieces(text)
