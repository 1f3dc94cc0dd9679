"""Values from outside as JSON has them: what functions and callers hand in, copied and checked, for both engines."""

import json
from typing import Any

import msgspec

from perdure.errors import Invalid
from perdure.language.values import Json, check_count

_TOO_DEEP = 500
_ACCEPTED_BYTES = 64 * 1024 * 1024
_strict = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode
_decode = msgspec.json.Decoder().decode


class NotJson(ValueError):
    """A value that JSON cannot hold; the text says where the trouble is."""


def plain(value: Any, limit: int) -> Json:
    """A private copy of a value from outside, as JSON has it. NotJson for NaN, bytes, objects, depth, size over `limit`,
    too many values."""
    if value is None or value is True or value is False:
        return value
    try:
        text = _strict(value).encode()
        if len(text) > limit:
            raise NotJson(f"it has {len(text):,} bytes, and {limit:,} are allowed")
        check_count(text)
        if b"[" * 64 in text or text.count(b"[") + text.count(b"{") > _TOO_DEEP:
            _check_depth(value)
        return _decode(text)
    except RecursionError:
        raise NotJson(f"it is nested more than {_TOO_DEEP} levels deep") from None
    except NotJson:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise NotJson(str(error)) from None


def accepted(value: Any) -> Any:
    """The same of what a caller hands in. Invalid where it cannot be kept."""
    try:
        return plain(value, _ACCEPTED_BYTES)
    except NotJson as error:
        raise Invalid(f"That is not a JSON value that can be kept: {error}.") from None


def accepted_event(event: dict[str, Any]) -> dict[str, Any]:
    """The same of a CloudEvent. Invalid when it lacks an attribute that all have."""
    for name in ("id", "source", "type"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise Invalid(
                f"A CloudEvent needs `{name}` as a text.", hint="See cloudevents.io: id, source, type, specversion."
            )
    sound: dict[str, Any] = accepted(event)
    return sound


def _check_depth(value: Json) -> None:
    level = [value]
    for _ in range(_TOO_DEEP):
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(part for part in item.values() if isinstance(part, dict | list | tuple))
            elif isinstance(item, list | tuple):
                below.extend(part for part in item if isinstance(part, dict | list | tuple))
        if not below:
            return
        level = below
    raise NotJson(f"it is nested more than {_TOO_DEEP} levels deep")
