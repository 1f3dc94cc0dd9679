"""JSON values: the alias, their canonical text and their content hash.

Values are treated as immutable everywhere: expression results may alias their input, so nobody changes one in place.
"""

import hashlib
import math
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = Any

_encoder = msgspec.json.Encoder(order="sorted")


def canonical(value: Json) -> bytes:
    """One byte string for equal values: UTF-8 JSON, keys sorted, no white space. ValueError on NaN or infinity."""
    if not is_finite(value):
        raise ValueError("NaN and infinity are not JSON numbers")
    return _encoder.encode(value)


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
