"""JSON values: the alias, their canonical text and their content hash.

Values are treated as immutable everywhere: expression results may alias their input, so nobody changes one in place.
"""

import hashlib
import math
import re
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any

MAX_VALUES = 1_000_000
MAX_CONTAINERS = 250_000
"""How many values, and how many arrays and objects among them, one value from outside may hold. What a step costs grows
with their number far more than with their size: these many take about a second and 200 MB."""

_string = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)

_encoder = msgspec.json.Encoder(order="sorted")


class TooMany(ValueError):
    """A text that holds more values than one value from outside may."""


def check_count(text: bytes) -> None:
    """TooMany for JSON text with more values than the limits: quick, and before anything is made of it."""
    if sum(_counts(text)) <= MAX_CONTAINERS:
        return
    containers, others = _counts(_string.sub(b"", text))  # a long text may be full of commas and brackets
    if containers > MAX_CONTAINERS:
        raise TooMany(f"it holds {containers:,} arrays and objects, and {MAX_CONTAINERS:,} are allowed")
    if containers + others > MAX_VALUES:
        raise TooMany(f"it holds some {containers + others:,} values, and {MAX_VALUES:,} are allowed")


def _counts(text: bytes) -> tuple[int, int]:
    return text.count(b"[") + text.count(b"{"), text.count(b",")


def canonical(value: Json) -> bytes:
    """One byte string for equal values: UTF-8 JSON, keys sorted, no white space. ValueError on NaN or infinity."""
    text = _encoder.encode(value)
    if b"null" in text and not is_finite(value):  # the encoder writes null for them
        raise ValueError("NaN and infinity are not JSON numbers")
    return text


def content_hash(value: Json) -> str:
    """SHA-256 of the canonical text, in hex (64 characters)."""
    return hashlib.sha256(canonical(value)).hexdigest()


def same(left: Json, right: Json) -> bool:
    """Equal as JSON values: `1` and `1.0` are, `1` and `true` are not, though Python's `==` says so."""
    if left is right:
        return True
    if left != right:
        return False
    pending = [(left, right)]
    while pending:
        one, other = pending.pop()
        if isinstance(one, bool) != isinstance(other, bool):
            return False
        if isinstance(one, dict):
            pending.extend((item, other[key]) for key, item in one.items())
        elif isinstance(one, list):
            pending.extend(zip(one, other, strict=True))
    return True


def is_finite(value: Json) -> bool:
    """Whether no number anywhere in the value is NaN or infinite (JSON has neither)."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                return False
        elif isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return True
