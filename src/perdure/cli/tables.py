"""How answers look: JSON for programs, tables and facts of plain text for people and for `grep`. Asks nobody.

What a server hands out was written by others: what could steer a terminal is shown escaped.
"""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from perdure.language.values import Json

_TIMES = frozenset("asked at created deadline disabled due ended expires next revoked since started updated".split())
_STEERS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LONGEST_CELL = 120
_LONGEST_FACT = 2000


_VALUES = frozenset({"input", "output", "error"})


def print_json(value: object) -> None:
    """Indented JSON; all of it, however long."""
    sys.stdout.write(_steerless(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()) + "\n")


def print_runs(runs: Sequence[Any]) -> None:
    """A list of runs as JSON. Lists leave values out: `null` would say something that nobody looked at."""
    found = [msgspec.structs.asdict(run) for run in runs]
    print_json([{name: run[name] for name in run if name not in _VALUES or run[name] is not None} for run in found])


def print_rows(rows: Sequence[Any], columns: tuple[str, ...], none: str = "There is nothing to list.") -> None:
    """A table: what `grep` and `awk` can read, with a line of names. Without rows it is said on standard error."""
    if not rows:
        print(f"perdure: {none}", file=sys.stderr)
        return
    cells = [[_cell(column, getattr(row, column)) for column in columns] for row in rows]
    names = [column.replace("_", " ").upper() for column in columns]
    widths = [max(len(line[at]) for line in [names, *cells]) for at in range(len(columns))]
    for line in [names, *cells]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_facts(facts: dict[str, str | None]) -> None:
    """One thing, a line each of its facts; those that are None are left out, and long ones cut."""
    for name, value in facts.items():
        if value is not None:
            print(f"{name + ':':13}{shortened(printable(value))}")


def moment(when: int | str | None) -> str | None:
    """A time, in ms or RFC 3339, in the user's own zone to the second."""
    if when is None:
        return None
    if isinstance(when, str):
        when = milliseconds(when)
    return datetime.fromtimestamp(when / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(text: str) -> int:
    """Those of an RFC 3339 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def shortened(text: str, most: int = _LONGEST_FACT) -> str:
    """A text that a screen holds, and how to see the rest."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters; --json prints all of them)"


def printable(text: str) -> str:
    """The text on one line, with what could steer a terminal escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def lines_of(text: str) -> str:
    """A text with its lines, with what could steer a terminal escaped."""
    return "\n".join(printable(line) for line in text.split("\n"))


def text_of(value: Json) -> str:
    """A JSON value on one line."""
    return _steerless(msgspec.json.encode(value).decode())


def _steerless(text: str) -> str:
    """The same JSON with what JSON itself would not escape, and what could steer a terminal, escaped."""
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _cell(column: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, str) and column in _TIMES:
        return moment(value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = printable(value if isinstance(value, str) else text_of(value))
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
