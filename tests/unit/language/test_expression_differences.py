"""Our expressions against two other engines, jq (C) and jaq (Rust): a difference that is not listed here fails."""

import json
from typing import Any

import jaq
import jq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.language.expressions import ExpressionFault, parse
from perdure.language.guard.values import order
from tests.unit.language.expression_probes import ORDER, PROBES

FAULT = ["a fault"]
ARGUMENT = {"a": 1, "b": [1, 2]}

JQ: dict[str, str] = {
    r'"\(1, 2) and \(3, 4)"': "the first interpolation varies slowest, as in jaq",
    "[leaf_paths] | length": "this jq has dropped leaf_paths; we keep it",
    '[{"name": "a", "value": 1}, {"k": "b", "v": 2}] | from_entries': "we read k and v, as jq 1.5 to 1.7 do",
    "toarray": "this jq has no toarray",
    "reverse": "we turn texts around and refuse numbers and objects",
    'join(",")': "we join arrays only, not an empty object",
}
"""Where jq differs: expression -> our answer and why."""

JAQ: dict[str, str] = {
    r'"\ud83d\ude00" | length': "jaq refuses surrogate pairs; they are one character",
    '"test" | [match("(?<x>t)|(e)"; "g") | .captures | map(.name)]': "jaq leaves out groups without a name",
    ". % 2": "the remainder of whole parts, as in jq",
    ".[0]": "jaq gives null for an object; an error, as in jq",
    "has(0)": "jaq gives false for an object; an error, as in jq",
    "first": "jaq gives null for an object; an error, as in jq",
    '.customer.mail | [scan("([a-z])([a-z])")]': "scan finds all matches, as in jq",
    '.customer.mail | [scan("[a-z]+")]': "scan finds all matches, as in jq",
    "IN(.id; 7, 8)": "jaq has no IN",
    ".id | IN(1, 2)": "jaq has no IN",
    ".items | INDEX(.sku) | keys": "jaq has no INDEX",
    "[[1, 2]] | .[] as [$a] ?// $a | $a": "jaq has no ?//",
    "[leaf_paths] | length": "jaq has no leaf_paths",
    '[{"name": "a", "value": 1}, {"k": "b", "v": 2}] | from_entries': "we read k and v, as jq 1.5 to 1.7 do",
    'contains("a")': "different kinds are an error, as in jq",
    "flatten": "only arrays and objects are flattened, as in jq",
    "fromjson": "an empty text is no JSON",
    "tonumber": "an empty text is no number",
    'fromstream({"a": [1, {"b": 2}]} | tostream)': "jaq has no streams",
    '{"a": [1, {"b": 2}]} | [tostream]': "jaq has no streams",
    "have_decnum | type": "jaq has no have_decnum",
    "toarray": "jaq has no toarray",
    "reverse": "null turned around is an empty array, as in jq",
    **dict.fromkeys(
        [
            ".[0] |= 1",
            ".[1:]",
            ".[:-1]",
            ".a |= 1",
            ".new.deep.place = 1 | .new",
            "del(.[0])",
            "del(.a)",
            'null | .[1:3] = ["x"]',
            "{} | .a.b |= 1",
            "{} | .a[1] = 1",
        ],
        "null stands for an empty array or object where something is set, cut or deleted, as in jq",
    ),
    "del(.items[0, 2]) | .items | length": "all deletions count from the value before, as in jq",
}
"""Where jaq differs: expression -> our answer and why."""

ENDLESS_IN_JAQ = frozenset({"range(.)"})


def ours(source: str, value: Any) -> Any:
    try:
        return parse(f"[{source}\n]").evaluate(value, {"x": ARGUMENT})
    except ExpressionFault:
        return FAULT


def of_jq(source: str, value: Any) -> Any:
    try:
        return jq.compile(f"[{source}\n]", args={"x": ARGUMENT}).input_value(value).first()
    except ValueError:
        return FAULT


def of_jaq(source: str, value: Any) -> Any:
    try:
        return jaq.compile(f"[{source}\n]", vars=["x"]).run(value, vars={"x": ARGUMENT})[0]
    except jaq.JaqError:
        return FAULT


def is_same(left: Any, right: Any) -> bool:
    try:
        return order(left) == order(right)
    except TypeError:
        return False


@pytest.mark.parametrize("source", sorted({source for source, _ in PROBES}))
def test_a_probe_gives_what_jq_gives_or_a_listed_difference(source: str) -> None:
    inputs = [value for probe, value in PROBES if probe == source]
    differing = [value for value in inputs if not is_same(ours(source, value), of_jq(source, value))]
    assert bool(differing) is (source in JQ), [
        (json.dumps(value)[:60], ours(source, value), of_jq(source, value)) for value in differing
    ]


@pytest.mark.parametrize("source", sorted({source for source, _ in PROBES} - ENDLESS_IN_JAQ))
def test_a_probe_gives_what_jaq_gives_or_a_listed_difference(source: str) -> None:
    inputs = [value for probe, value in PROBES if probe == source]
    differing = [value for value in inputs if not is_same(ours(source, value), of_jaq(source, value))]
    assert bool(differing) is (source in JAQ), [
        (json.dumps(value)[:60], ours(source, value), of_jaq(source, value)) for value in differing
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.sampled_from(["", "a", "b", "1", "ab"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SIMPLE = st.sampled_from(
    [
        ".",
        ".a",
        ".b",
        ".c",
        ".[0]",
        ".[-1]",
        ".[]",
        ".[1:]",
        "$x",
        "$x.a",
        "1",
        '"a"',
        "null",
        "[]",
        "{}",
        "true",
        "length",
        "type",
        "keys",
        "not",
        "tostring",
        "tojson",
        "add",
        "sort",
        "unique",
        "first",
        "empty",
        "[..]",
        "values",
        "[paths]",
        "to_entries",
        "min",
        "max",
        "flatten",
        "any",
        "all",
        "ascii_downcase",
    ]
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+ - == != < <= > >= and or // , |".split()), inner),
        st.builds("[{}]".format, inner),
        st.builds("{{a: {}, b: {}}}".format, inner, inner),
        st.builds("({})?".format, inner),
        st.builds('(try {} catch "e")'.format, inner),
        st.builds("map({})".format, inner),
        st.builds("[.[]? | select({})]".format, inner),
        st.builds("(if {} then {} else {} end)".format, inner, inner, inner),
        st.builds("({} as $v | [$v, {}])".format, inner, inner),
        st.builds("(reduce .[]? as $i ({}; [., $i]))".format, inner),
        st.builds("[foreach .[]? as $i (0; . + 1; [$i, {}])]".format, inner),
        st.builds("first({})".format, inner),
        st.builds("[limit(2; {})]".format, inner),
        st.builds("(.a |= {})".format, inner),
        st.builds("(.[0]? = {})".format, inner),
        st.builds("(.[]? |= {})".format, inner),
        st.builds("(def f(g): [g, g]; f({}))".format, inner),
        st.builds('"x\\({})"'.format, inner),
    )


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(source=st.recursive(SIMPLE, grown, max_leaves=5), value=VALUES)
def test_a_generated_expression_gives_what_jq_or_jaq_gives(source: str, value: Any) -> None:
    """jq and jaq differ among themselves; where they agree, so do we."""
    first, second = of_jq(source, value), of_jaq(source, value)
    if is_same(first, second):
        mine = ours(source, value)
        assert is_same(mine, first), (source, value, mine, first)


def test_the_probe_set_is_large_enough() -> None:
    assert len({source for source, _ in PROBES}) >= 250
    assert ORDER["items"]
