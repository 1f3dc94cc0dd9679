"""How facts become bytes and come back: msgspec JSON, big values once by content, keys of ours escaped.

A subtree of more than 8 KB is replaced by `{"$perdure.blob": hash}` from the leaves upwards, so the same value gets the
same hash wherever it stands: in an event, in the state of a snapshot, inside another big value (`language.md` 6.5).
"""

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from perdure.interpreter import commands, events, handles
from perdure.language.values import Json

BLOB = "$perdure.blob"
LIMIT = 8192
_CONTAINERS = (dict, list)
_WITH_PARTS = (str, dict, list)
_BLOB_BYTES = b'"$perdure.blob"'

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Sent(msgspec.Struct, frozen=True, tag="sent", tag_field="kind"):
    """An unsafe call is about to be sent. A mark of the engine's own: the machine never sees it."""

    id: str
    now: int


Fact: TypeAlias = events.Event | Sent
Asking: TypeAlias = (
    commands.ScheduleCall | commands.StartTimer | commands.Subscribe | commands.Emit | commands.StartChild
)
"""Commands that stay open until something answers them or they are given up."""


class Saved(msgspec.Struct):
    """The body of a snapshot: the machine's state and what the engine knows besides."""

    state: Json
    open: list[Asking]
    sent: list[str]
    upto: dict[str, int]
    """Subscription -> the last position in `events` that it was offered."""
    entries: int
    """Lifecycle commands so far: the number of the last history entry."""


_decode_fact: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)
_decode_saved = msgspec.json.Decoder(Saved)
Load: TypeAlias = Callable[[bytes], bytes | None]
"""Hash -> body of a big value, or None when there is none: then what looked like a reference was data."""


def restored(value: Json) -> Json:
    """Undo `handles.escape` for what leaves; most values pass untouched after one look."""
    return handles.restore(value) if value and handles.MARK in encode(value) else value


def pack(fact: Any, store: Callable[[bytes, bytes], None]) -> bytes:
    """The bytes of a fact; `store(hash, body)` takes each big value out of it."""
    body = encode(fact)
    return body if len(body) <= LIMIT else shrunken(msgspec.to_builtins(fact), store)


def shrunken(value: dict[str, Json], store: Callable[[bytes, bytes], None]) -> bytes:
    """The bytes of an object without its big values, which go to `store`."""
    seen: dict[int, tuple[Json, int]] = {}
    return encode({key: _shrink(item, store, seen)[0] for key, item in value.items()})


def pack_saved(saved: Saved, store: Callable[[bytes, bytes], None]) -> tuple[bytes, int]:
    """The bytes of a snapshot, and how many it would have with its big values inside.

    The state is looked at where it is: it may hold a list of a million items, in several places.
    """
    whole = encode(saved)
    if len(whole) <= LIMIT:
        return whole, len(whole)
    fields = {name: getattr(saved, name) for name in Saved.__struct_fields__}
    return shrunken({**fields, "open": msgspec.to_builtins(saved.open)}, store), len(whole)


def read_fact(body: bytes, load: Load) -> Fact:
    """What `pack` made bytes of."""
    if _BLOB_BYTES not in body:
        return _decode_fact.decode(body)
    grown: Fact = msgspec.convert(_grow(decode(body), load), Fact)
    return grown


def read_saved(body: bytes, load: Load) -> Saved:
    """A snapshot. Equal big values are separate objects: the machine may grow a list of its state in place."""
    if _BLOB_BYTES not in body:
        return _decode_saved.decode(body)
    return msgspec.convert(_grow(decode(body), load), Saved)


def read_value(body: bytes, load: Load) -> Json:
    """A value of any shape that `pack` made bytes of."""
    value = decode(body)
    return _grow(value, load) if _BLOB_BYTES in body else value


def _shrink(value: Json, store: Callable[[bytes, bytes], None], seen: dict[int, tuple[Json, int]]) -> tuple[Json, int]:
    """What is kept of a value, and about how long that is. `seen` has the big ones that were met before, by identity."""
    if isinstance(value, str):
        return (value, len(value) + 2) if len(value) <= LIMIT else _store(value, store)
    if not isinstance(value, _CONTAINERS):
        return value, 8
    known = seen.get(id(value))
    if known is None:
        made, size = _shrink_items(value, store, seen)
        known = (made, size) if size <= LIMIT else _store(made, store)
        if size > LIMIT:
            seen[id(value)] = known
    return known


def _shrink_items(
    value: dict[str, Json] | list[Json], store: Callable[[bytes, bytes], None], seen: dict[int, tuple[Json, int]]
) -> tuple[Json, int]:
    size = 2
    if isinstance(value, dict):
        made: dict[str, Json] = {}
        for key, item in value.items():
            made[key], part = _shrink(item, store, seen)
            size += part + len(key) + 4
        return made, size
    items: list[Json] = []
    for item in value:  # one at a time: a list may hold a million numbers
        if isinstance(item, _WITH_PARTS):
            item, part = _shrink(item, store, seen)
            size += part + 1
        else:
            size += 9
        items.append(item)
    return items, size


def _store(value: Json, store: Callable[[bytes, bytes], None]) -> tuple[Json, int]:
    body = encode(value)
    digest = hashlib.sha256(body).digest()
    store(digest, body)
    return {BLOB: digest.hex()}, 85


def _grow(value: Json, load: Load) -> Json:
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get(BLOB), str):
            body = _fetch(value[BLOB], load)
            if body is not None:
                return read_value(body, load)
        return {key: _grow(item, load) for key, item in value.items()}
    if isinstance(value, list):
        return [_grow(item, load) for item in value]
    return value


def _fetch(name: str, load: Load) -> bytes | None:
    try:
        return load(bytes.fromhex(name))
    except ValueError:
        return None
