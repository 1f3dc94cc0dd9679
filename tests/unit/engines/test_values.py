"""Bytes and back: big values once, outside data harmless, what JSON cannot hold refused."""

import math

import pytest

from perdure.engines.embedded.values import LIMIT, pack, read_value, restored
from perdure.engines.plain import NotJson, plain
from perdure.interpreter import handles


def roundtrip(value):
    blobs = {}
    body = pack(value, blobs.__setitem__)
    return body, blobs, read_value(body, blobs.get)


def test_small_values_stay_where_they_are():
    body, blobs, back = roundtrip({"a": [1, "x"]})
    assert not blobs
    assert back == {"a": [1, "x"]}
    assert body == b'{"a":[1,"x"]}'


def test_equal_big_values_are_kept_once_wherever_they_stand():
    big = [{"number": n, "text": "x" * 20} for n in range(1000)]
    first, blobs, back = roundtrip({"output": big})
    assert back == {"output": big}
    assert len(blobs) == 1
    assert len(first) < 200
    _, more, again = roundtrip({"state": {"deep": {"input": big, "raw": big}, "other": big}})
    assert again["state"]["other"] == big
    assert list(more) == list(blobs)


def test_big_values_inside_big_values():
    value = {"all": ["a" * (LIMIT + 1), {"b": ["b" * LIMIT] * 3}, "c" * 5000, "d" * 5000]}
    body, blobs, back = roundtrip(value)
    assert back == value
    assert len(body) < LIMIT
    assert all(len(part) <= 4 * LIMIT for part in blobs.values())


def test_equal_big_values_come_back_as_separate_objects():
    big = list(range(5000))
    _, _, back = roundtrip({"a": big, "b": big})
    assert back["a"] == back["b"]
    assert back["a"] is not back["b"]


@pytest.mark.parametrize("key", ["$perdure.blob", "$perdure.secret", "$$perdure.parts"])
def test_outside_data_cannot_pose_as_ours(key):
    value = {key: "00" * 32, "x": [{key: 1}]}
    body, _, back = roundtrip({"v": handles.escape(value), "big": "y" * (2 * LIMIT)})
    assert restored(back["v"]) == value
    assert b'{"' + key.encode() + b'"' not in body.replace(b'"big":{"$perdure.blob"', b"")


def test_a_reference_to_nothing_is_data():
    assert read_value(b'{"$perdure.blob":"zz"}', {}.get) == {"$perdure.blob": "zz"}
    assert read_value(b'{"$perdure.blob":"00"}', {}.get) == {"$perdure.blob": "00"}


@pytest.mark.parametrize(
    "value",
    [math.nan, [math.inf], {"a": object()}, b"bytes", {"a": {1, 2}}, "\ud800", {("a", 1): 1}],
    ids=["nan", "infinity", "object", "bytes", "set", "surrogate", "key"],
)
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(NotJson):
        plain(value, 1000)


def test_size_and_depth_are_limited():
    with pytest.raises(NotJson, match="1,002 bytes"):
        plain("x" * 1000, 1000)
    deep = []
    for _ in range(600):
        deep = [deep]
    with pytest.raises(NotJson, match="nested"):
        plain(deep, 10_000)
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotJson, match="nested"):
        plain(deep, 10_000_000)


def test_plain_makes_a_private_copy():
    given = {"a": (1, 2), 3: "x", "nul": "\x00", "big": 2**70}
    made = plain(given, 1000)
    assert made == {"a": [1, 2], "3": "x", "nul": "\x00", "big": 2**70}
    wide = [[1]] * 1000
    assert plain(wide, 10_000) == wide


def test_a_value_of_too_many_parts_is_refused_before_it_is_made():
    with pytest.raises(NotJson, match="250,001 arrays and objects"):
        plain([[] for _ in range(250_000)], 10_000_000)
