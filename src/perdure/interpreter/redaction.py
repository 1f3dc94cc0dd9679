"""Keeps opened secrets out of everything that is written down: results, faults, progress (security.md, rule 9).

Whoever opens a secret adds it here and passes what comes back through `redact`. A secret that a server repeats is
found as it is, and as it stands in addresses, forms, JSON, base64 (in the midst of a longer text too) and hexadecimal.
"""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from perdure.language.values import Json

HIDDEN = "***"
SHORTEST = 4
"""A secret shorter than this cannot be told from ordinary text."""
_INNER = 6
"""Bytes in the midst of a base64 text that are enough to know a secret by."""


class Redaction:
    """The secrets that were opened for one call, and the texts made of them."""

    __slots__ = ("_spelt", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._spelt: list[str] = []

    def __repr__(self) -> str:
        return f"Redaction({len(self._texts)} texts)"

    def __bool__(self) -> bool:
        return bool(self._texts)

    def add(self, value: Json) -> None:
        """Keep this, and every text and number inside it, out of what is written down."""
        pending = [value]
        while pending:
            item = pending.pop()
            if isinstance(item, dict):
                pending.extend(item.values())
            elif isinstance(item, list):
                pending.extend(item)
            elif len(str(item)) >= SHORTEST and not isinstance(item, bool) and item is not None:
                self._texts[str(item)] = None
        self._spelt = []

    def text(self, text: str) -> str:
        """The text without any of them in it."""
        for spelling in self._spellings():
            text = text.replace(spelling, HIDDEN)
        return text

    def content(self, content: bytes) -> bytes:
        """The bytes without any of them in it."""
        for spelling in self._spellings():
            content = content.replace(spelling.encode("utf-8", "replace"), HIDDEN.encode())
        return content

    def value(self, value: Json) -> Json:
        """The value without any of them in it: in texts, in keys, or as a number."""
        if not self._texts:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return HIDDEN if is_number and str(value) in self._texts else value

    def _spellings(self) -> list[str]:
        """Every spelling, the longest first, so that none is found inside another one."""
        if not self._spelt:
            found = {spelling: None for text in self._texts for spelling in _spellings(text)}
            self._spelt = sorted(found, key=len, reverse=True)
        return self._spelt


def _spellings(text: str) -> Iterator[str]:
    yield from (text, quote(text, safe=""), quote(text), quote_plus(text))
    for in_json in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield from (in_json, in_json.replace("/", "\\/"))
    content = text.encode("utf-8", "replace")
    yield from (base64.b64encode(content).decode().rstrip("="), base64.urlsafe_b64encode(content).decode().rstrip("="))
    yield from (content.hex(), content.hex().upper())
    for at in range(3):
        # Whole groups of three bytes look the same, whatever stands before and after them.
        inner = content[at : at + (len(content) - at) // 3 * 3]
        if len(inner) >= _INNER:
            yield from (base64.b64encode(inner).decode(), base64.urlsafe_b64encode(inner).decode())
