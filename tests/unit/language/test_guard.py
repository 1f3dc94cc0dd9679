"""The guard of expressions: what is refused, and what ends in a fault instead of running away (language.md 7.3, 7.4)."""

import resource
import time
from typing import Any

import pytest

from perdure.language.expressions import ExpressionFault, engine_name, parse
from perdure.language.guard.calls import compile_tree
from perdure.language.guard.limits import LIMITS
from perdure.language.guard.runtime import Env
from perdure.language.guard.syntax import parse_source

REFUSED = [
    *"env now localtime input inputs input_filename input_line_number debug stderr halt halt_error".split(),
    *"get_search_list builtins $ENV $__loc__ $__prog_args $ENV.PATH".split(),
    'strflocaltime("%Y")',
    'debug("x")',
    "halt_error(1)",
    'import "a" as a; 1',
    'include "a"; 1',
    "{$ENV}",
    "{$__loc__}",
    '"\\(env)"',
    "[.[] | select(now)]",
    "def f: env; f",
    "def f(g): 1; f(input)",
    ". as {a: $x, (env): $y} | 1",
    "reduce env as $x (0; 1)",
    ".[env]",
    "@nope",
    '@nope "x"',
    "break $out",
    "nothing",
    "map",
    "map(.; .)",
    "{1: 2}",
    '{"$perdure.secret": ["a"]}',
    '"$perdure.secret"',
]


@pytest.mark.parametrize("source", REFUSED)
def test_what_reaches_outside_is_refused_when_it_is_read(source: str) -> None:
    with pytest.raises(ExpressionFault):
        parse(source)


def test_a_refusal_names_the_place_and_what_to_do() -> None:
    with pytest.raises(ExpressionFault) as caught:
        parse(".a | now")
    assert caught.value.offset == 5
    assert caught.value.hint
    with pytest.raises(ExpressionFault) as caught:
        parse('"a \\(now)"')
    assert caught.value.offset == 5
    with pytest.raises(ExpressionFault, match=r"\$input is not offered here. This field offers \$context"):
        parse("$input", frozenset({"context"}))
    with pytest.raises(ExpressionFault, match="This field offers no arguments"):
        parse("$input", frozenset())
    with pytest.raises(ExpressionFault, match="There is map with 1 argument\\."):
        parse("map")
    with pytest.raises(ExpressionFault, match='For the field write ".name"'):
        parse("name")


LONG = "a" * 100_000
BOMBS: list[tuple[str, Any]] = [
    ("def f: f; f", None),
    ("def f: f | f; f", None),
    ("def f(x): f(x | x); f(.)", 1),
    ("def f($x): f($x + 1); f(1)", 1),
    ("def f: [f]; f", None),
    ("def f: .a | f; path(f)", None),
    ("[range(1e9)]", None),
    ("range(1e9) | empty", None),
    ('"x" * 1e12', None),
    ('"x" * 30000000 | length', None),
    ('"x" * infinite', None),
    ("[recurse(.)]", 1),
    ("[recurse([.])]", 1),
    ("[path(recurse(.))]", 1),
    ("reduce range(1e9) as $i (0; . + 1)", None),
    ("[foreach range(1e9) as $i (0; . + 1)]", None),
    ("[limit(1e9; limit(1e9; range(1e9)))]", None),
    ("[range(100)] | [combinations(100)]", None),
    ("[[range(20)]] * 1", None),
    ("[range(20)] as $a | [$a, $a, $a, $a, $a, $a] | [combinations]", None),
    ("reduce range(40) as $i (.; [., .]) | tojson", 1),
    ("reduce range(40) as $i (.; [., .])", 1),
    ("reduce range(40) as $i (.; {a: ., b: .}) | . == {a: .}", 1),
    ('reduce range(40) as $i ("x"; . + .)', 1),
    ("reduce range(100000) as $i (1; . * 9)", 1),
    ("reduce range(100000) as $i (0; [.])", 1),
    ("reduce range(100000) as $i (0; [.]) | tojson", 1),
    ("pow(10; 1e9)", 1),
    ("pow(10; 308) * 1e10", 1),
    ("until(false; .)", 1),
    ("[until(false; . + 1, 1)]", 1),
    ("[while(true; . + 1)]", 1),
    ("[repeat(1)]", 1),
    ("first(repeat(empty))", 1),
    ("last(range(1e9))", 1),
    ("isempty(range(1e9) | select(false))", 1),
    ("any(range(1e9); false)", 1),
    ("[label $a | range(1e9) | select(false) | break $a]", 1),
    ("[range(1000)] | [.[] as $x | .[] as $y | .[] as $z | 1]", 1),
    ('[match(""; "g")]', LONG),
    ('gsub("a"; "b", "c")', LONG),
    ('test("((a?){30}){20}b")', LONG),
    ('[match("x(a|b)*a(a|b){20}y|x"; "g")]', "xab" * 33_000),
    ('test("(?=a)")', "a"),
    ('test("(a)\\\\1")', "aa"),
    ('test("(((a{1,100}){1,100}){1,100})")', "a"),
    ('test("a" * 3000)', "a"),
    ("[range(1e9) | {a: ., b: ., c: {d: .}}]", 1),
    ("[..]", [[1] * 1000] * 1000),
    (". - .", list(range(100_000))),
    ("contains($big)", ["a" * 1000] * 1000),
    ("fromjson", "[" * 100_000),
    ('[splits("")] | length', LONG),
    ('setpath([range(100000) | "a"]; 1)', None),
    (".[1e12] = 1", None),
    ('{} | .["$perdure.secret"] = ["a"]', None),
    ('[{key: ("$perdure" + ".secret"), value: ["a"]}] | from_entries', None),
    ('{("$perdure" + ".secret"): ["a"]}', None),
    ('"{\\"$perdure" + ".secret\\": [1]}" | fromjson', None),
    ('"{\\"\\\\u0024perdure" + ".secret\\": [1]}" | [fromjson]', None),
    ("nan", None),
    ("map([., ., ., .])", list(range(300_000))),
    ('test("a{1000}b{1000}c{1000}d{1000}e{1000}f{500}")', "a"),
    ("[infinite]", None),
    ("{a: -infinite}", None),
    ("1e999", None),
    ("[.[][][]]", [[[1] * 1000] * 1000] * 1000),
]


@pytest.mark.parametrize(("source", "value"), BOMBS)
def test_a_bomb_ends_as_a_fault(source: str, value: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with pytest.raises(ExpressionFault):
        parse(source).evaluate(value, {"big": ["aa"] * 1000})
    assert time.process_time() - started < 5, "a generous bound: each takes less than one second alone"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "KiB"


@pytest.mark.parametrize(
    "source",
    [
        "[" * 1000,
        "[" * 40 + "]" * 40,
        "(" * 40 + "1" + ")" * 40,
        "{a:" * 40 + "1" + "}" * 40,
        "." + " | ." * 5000,
        "." + " | ." * 300,
        "1" + " + 1" * 200,
        "- " * 1000 + "1",
        "1" + " // 1" * 1000,
        '"\\(' * 30 + "1" + ')"' * 30,
        "if 1 then 1 " + "elif 1 then 1 " * 60 + "end",
        "." * 20_001,
        "1," * 9000 + "1",
        "9" * 5000,
        "",
        " ",
        "# nothing",
        '"open',
        '"\\x"',
        '"\\u12"',
        '"\\(1',
        "§",
        "1 +",
        "(1",
        "$",
        ".a.",
    ],
)
def test_a_source_too_large_or_broken_is_refused(source: str) -> None:
    with pytest.raises(ExpressionFault):
        parse(source)


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("map(. + 1) | length", list(range(100_000)), 100_000),
        ('map({id: ., name: "n\\(.)"}) | length', list(range(100_000)), 100_000),
        ("reduce .[] as $x (0; . + $x)", list(range(100_000)), 4999950000),
        ("[foreach range(100000) as $x (0; . + 1)] | length", None, 100_000),
        ("[range(100000)] | length", None, 100_000),
        ("until(. >= 100000; . + 1)", 0, 100_000),
        ("map(select(. % 2 == 0)) | length", list(range(100_000)), 50_000),
        ("group_by(. % 10) | length", list(range(100_000)), 10),
        ('map(tostring) | join(",") | length', list(range(100_000)), 588_889),
        (".[] |= . + 1 | length", list(range(100_000)), 100_000),
        ("def f: if . >= 90 then . else . + 1 | f end; f", 0, 90),
        ('test("(a+)+$")', LONG + "!", False),
        ("1, 2" + ", 3" * 900, None, 1),
        ("[1" + ", 1" * 900 + "] | length", None, 901),
        ("[recurse(if . < 50000 then . + 1 else empty end)] | length", 0, 50_001),
    ],
)
def test_honest_work_of_a_hundred_thousand_rounds_passes(source: str, value: Any, expected: Any) -> None:
    assert parse(source).evaluate(value, {}) == expected


@pytest.mark.parametrize(
    ("source", "value"),
    [(".a + [1]", {"a": [2]}), ("[.[] | . * 2]", [1, 2, 3]), ("sort_by(.a) | map(.a)", [{"a": 2}, {"a": 1}])],
)
def test_fuel_is_the_same_each_time(source: str, value: Any) -> None:
    spent = set()
    for _ in range(3):
        env = Env({})
        list(compile_tree(parse_source(source)).values(value, env))
        spent.add(LIMITS.fuel - env.fuel)
    assert len(spent) == 1
    assert spent.pop() > 0


def test_a_limit_cannot_be_caught_by_the_expression() -> None:
    for source in (
        "try [range(1e9)] catch 1",
        "[range(1e9)]? // 1",
        "isvalid([range(1e9)])",
        "def f: f; try f catch 1",
    ):
        with pytest.raises(ExpressionFault):
            parse(source).evaluate(None, {})


def test_values_are_never_changed_in_place() -> None:
    value = {"a": [1, {"b": [2]}], "c": {"d": 1}}
    before = repr(value)
    for source in (
        ".a[1].b[0] |= 9",
        ".a += [3]",
        "del(.a[0], .c.d)",
        ".a[0:1] = []",
        "(.a, .c) |= (.. | numbers)",
        "to_entries | from_entries | .c.d = 5",
        ".a |= reverse",
        'walk(if type == "number" then . + 1 else . end)',
        ". * {c: {e: 1}}",
        "(.a[1].b, .a[1]) |= [., .]",
        'setpath(["c", "d"]; 7) | delpaths([["a", 0]])',
    ):
        parse(source).evaluate(value, {"x": value})
        assert repr(value) == before, source


def test_a_value_that_was_read_is_not_changed_by_a_later_write() -> None:
    assert parse("(.a.b, .a) |= [., .] | .a").evaluate({"a": {"b": 1}}, {}) == [{"b": [1, 1]}] * 2
    assert parse("(.a, .b) = .c | .a.x = 1 | [.a, .b]").evaluate({"c": {}}, {}) == [{"x": 1}, {}]


def test_the_engine_name_carries_the_limits() -> None:
    assert engine_name().startswith("purejq 0.3.1 guard ")
    assert str(LIMITS.fuel) in engine_name()


def test_the_environment_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_PROBE", "found")
    with pytest.raises(ExpressionFault):
        parse("$ENV.PERDURE_PROBE")
    with pytest.raises(ExpressionFault, match="has no value"):
        parse("$anything").evaluate(None, {})
    with pytest.raises(ExpressionFault, match="has no value"):
        parse("$anything + 1").evaluate(None, {})
