"""What calls under way report: gathered by the worker that makes the call, told apart by who watches its run.

The server keeps the last report of a call only, and shows it about once a second. So of a text that comes in pieces
(`{text, at}`, as models report it) the worker reports all that there is so far, and who watches finds what is new in it.
"""

import asyncio
from typing import Any

_WHOLE, _REST = 48_000, 16_000
"""Characters of a text that are reported together, and how many of its end when it has more."""


class Report:
    """What one call reported last."""

    def __init__(self, path: str, ref: str) -> None:
        self._place = (path, ref)
        self._number = 0
        self._data: dict[str, Any] = {}
        self._said: list[str] | None = None
        self._size = 0
        self.changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"Report({self._number} so far)"

    def take(self, data: dict[str, Any]) -> None:
        """The call reports something."""
        self._number += 1
        self._data = data
        if is_piece(data) and data["at"] in {0, self._size}:
            if data["at"] == 0 or self._said is None:
                self._said, self._size = [], 0
            self._said.append(data["text"])
            self._size += len(data["text"])
        else:
            self._said, self._size = None, 0
        self.changed.set()

    def shown(self) -> list[Any] | None:
        """As the server is told it; None when there was none."""
        if not self._number:
            return None
        data = self._data
        if self._said is not None:
            self._said = ["".join(self._said)]
            text = self._said[0] if self._size <= _WHOLE else self._said[0][-_REST:]
            data = {"text": text, "at": self._size - len(text)}
        return [self._number, *self._place, data]

    def last(self) -> list[Any] | None:
        """What goes with the answer: not a text, for the answer has it."""
        return None if self._said is not None else self.shown()


class Heard:
    """What somebody who watches has been told of each call."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Heard({len(self._numbers)} calls)"

    def news(self, call: str, number: int, data: dict[str, Any]) -> dict[str, Any] | None:
        """What is new in a report; None when nothing is. Another attempt counts its reports anew."""
        if self._numbers.get(call) == number:
            return None
        self._numbers[call] = number
        if not is_piece(data):
            return data
        before, text, at = self._texts.get(call, ""), data["text"], data["at"]
        known = before[at:]
        if at <= len(before) and text.startswith(known):
            self._texts[call] = before + text[len(known) :]
            return {"text": text[len(known) :], "at": len(before)} if text != known else None
        if at == 0:
            self._texts[call] = text
            return data
        return None  # something was missed; the whole comes with the answer


def is_piece(data: dict[str, Any]) -> bool:
    """Whether it is a part of a text, with the place where it begins."""
    return data.keys() == {"text", "at"} and isinstance(data["text"], str) and type(data["at"]) is int
