"""Secret handles: how a document's `$secrets` travel as data without being the secret.

A handle is `{"$perdure.secret": ["name", "key", ...]}`; a text around handles is
`{"$perdure.parts": ["Bearer ", {"$perdure.secret": ["token"]}]}`. Only a definition can make one: `escape` is applied
by an engine to everything that comes from outside (run input, results, events), `restore` to everything that leaves
(run output, arguments handed to a function, emitted events).
"""

import re
from collections.abc import Callable
from typing import Any

from perdure.language.values import Json

SECRET = "$perdure.secret"
PARTS = "$perdure.parts"
MARK = b"$perdure."
"""An encoded value without these bytes needs no escaping and no restoring: look before walking."""

_reserved = re.compile(r"^\$+perdure\.")


def escape(value: Json) -> Json:
    """Make outside data harmless: keys that look like ours get one more `$` in front."""
    return _rename(value, lambda key: "$" + key if _reserved.match(key) else key)


def restore(value: Json) -> Json:
    """Undo `escape`."""
    return _rename(value, _unescaped)


def resolve(value: Json, secret: Callable[[list[str]], Json]) -> Json:
    """The value with every handle replaced by what `secret(path)` gives, and parts joined to one text.

    Keys that `escape` changed are restored on the way: an engine hands arguments over unrestored, or outside data that
    looks like a handle would be opened here.
    """
    if isinstance(value, dict):
        if len(value) == 1:
            if SECRET in value:
                return secret(value[SECRET])
            if PARTS in value:
                return "".join(_text(resolve(part, secret)) for part in value[PARTS])
        return {_unescaped(key): resolve(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, secret) for item in value]
    return value


def has_secret(value: Json) -> bool:
    """Whether a handle stands anywhere in the value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if SECRET in item or PARTS in item:
                return True
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False


def _unescaped(key: str) -> str:
    return key[1:] if key.startswith("$$") and _reserved.match(key[1:]) else key


def _text(part: Json) -> str:
    return part if isinstance(part, str) else str(part)


def _rename(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {rename(key): _rename(item, rename) for key, item in value.items()}
    if isinstance(value, list):
        return [_rename(item, rename) for item in value]
    return value
