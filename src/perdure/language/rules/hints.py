"""What to write instead, read off the grammar: where a key belongs, which keys an object has, what others call a task."""

from perdure.language.grammar import kinds
from perdure.language.grammar.table import SHAPES
from perdure.language.rules.report import listed

_OTHER_WORDS = {
    "parallel": "fork",
    "if": "switch",
    "else": "switch",
    "choice": "switch",
    "foreach": "for",
    "loop": "for",
    "map": "for",
    "while": "for",
    "sleep": "wait",
    "delay": "wait",
    "throw": "raise",
    "error": "raise",
    "catch": "try",
    "http": "call",
    "function": "call",
    "invoke": "call",
    "sequence": "do",
    "steps": "do",
    "subflow": "run",
    "workflow": "run",
    "assign": "set",
    "inject": "set",
    "publish": "emit",
    "event": "listen",
    "receive": "listen",
}
"""What other workflow languages call a task -> its kind here."""


def kind_for(key: str) -> str | None:
    """A hint for a key by which other languages name a task."""
    kind = _OTHER_WORDS.get(key.casefold())
    return f"What others call '{key}' is '{kind}' here." if kind else None


def place_for(key: str, shape: kinds.Shape) -> str | None:
    """A hint for a key that stands one object too high."""
    places = [name for name, field in shape.fields.items() if key in _fields_of(field.kind)]
    return f"Put it under '{places[0]}'." if len(places) == 1 else None


def keys_of(kind: kinds.Kind) -> str | None:
    """A hint that names the keys of the object that is expected."""
    fields = _fields_of(kind)
    return f"It may have {listed(fields)}." if fields else None


def _fields_of(kind: kinds.Kind | None) -> dict[str, kinds.Field]:
    if isinstance(kind, kinds.Either):
        return _fields_of(kind.object)
    return SHAPES[kind.shape].fields if isinstance(kind, kinds.Object) else {}
