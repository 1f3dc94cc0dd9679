"""Durations (language.md B24): the object form and ISO 8601 text, both as whole milliseconds.

Years and months have no fixed length, so they are refused; so are negative durations and those over 100 years.
"""

import re

from perdure.language.values import Json

UNITS: dict[str, int] = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000, "milliseconds": 1}
"""Keys of the object form -> milliseconds each."""

MAXIMUM = 36_525 * UNITS["days"]
"""100 years."""

_DESIGNATORS = (("W", 7 * UNITS["days"]), ("D", UNITS["days"]))
_TIME_DESIGNATORS = (("H", UNITS["hours"]), ("M", UNITS["minutes"]), ("S", UNITS["seconds"]))

_part = re.compile(r"([0-9]+)(?:[.,]([0-9]+))?([A-Z])")
_TEXT_LIMIT = 100


def milliseconds(value: Json) -> int:
    """How long `value` is, in milliseconds; a fraction of a millisecond is rounded, half up.

    `value` is an object with integers under `days hours minutes seconds milliseconds`, or ISO 8601 text like `PT1.5S`,
    `P2DT12H` or `P2W`. ValueError with one clear sentence for everything else.
    """
    if isinstance(value, dict):
        return _bounded(_of_object(value))
    if isinstance(value, str):
        return _bounded(_of_text(value))
    raise ValueError(f"A duration is an object like {{seconds: 30}} or ISO 8601 text like PT30S, not {_kind(value)}.")


def _of_object(value: dict[str, Json]) -> int:
    if not value:
        raise ValueError("A duration needs at least one of days, hours, minutes, seconds, milliseconds.")
    total = 0
    for unit, count in value.items():
        if unit not in UNITS:
            hint = " Years and months have no fixed length; write days." if unit in ("years", "months") else ""
            raise ValueError(f"A duration has no {str(unit)[:40]!r}, only {', '.join(UNITS)}.{hint}")
        if type(count) is not int:
            raise ValueError(f"The {unit} of a duration are a whole number, not {_kind(count)}.")
        if count < 0:
            raise ValueError(f"The {unit} of a duration cannot be negative.")
        total += count * UNITS[unit]
    return total


def _of_text(text: str) -> int:
    if len(text) > _TEXT_LIMIT:
        raise ValueError(f"A duration is at most {_TEXT_LIMIT} characters long.")
    if text.startswith(("-", "+")):
        raise ValueError(f"{text!r} has a sign; a duration is never negative.")
    if not text.startswith("P"):
        raise ValueError(f"{text!r} is not an ISO 8601 duration; they look like PT30S, P1DT12H or P2W.")
    dates, separator, times = text[1:].partition("T")
    if not (dates or times) or (separator and not times):
        raise ValueError(f"{text!r} names no amount; write for example PT30S.")
    parts = _parts(text, dates, _DESIGNATORS) + _parts(text, times, _TIME_DESIGNATORS)
    if any(fraction for _, fraction, _ in parts[:-1]):
        raise ValueError(f"{text!r} has a decimal that is not in its smallest unit.")
    return sum(int(whole) * unit + _rounded(fraction, unit) for whole, fraction, unit in parts)


def _parts(text: str, section: str, designators: tuple[tuple[str, int], ...]) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    remaining = list(designators)
    position = 0
    while position < len(section):
        match = _part.match(section, position)
        if match is None:
            raise ValueError(f"{text!r} is not an ISO 8601 duration; they look like PT30S, P1DT12H or P2W.")
        letter = match.group(3)
        if letter == "Y" or (letter == "M" and designators is _DESIGNATORS):
            raise ValueError(f"{text!r} has years or months, which have no fixed length; write days (P30D).")
        while remaining and remaining[0][0] != letter:
            remaining.pop(0)
        if not remaining:
            raise ValueError(f"{text!r} has {letter!r} where ISO 8601 does not allow it; the order is P W D T H M S.")
        found.append((match.group(1), match.group(2) or "", remaining.pop(0)[1]))
        position = match.end()
    return found


def _rounded(fraction: str, unit: int) -> int:
    scale: int = 10 ** len(fraction)
    return (2 * int(fraction or "0") * unit + scale) // (2 * scale)


def _bounded(total: int) -> int:
    if total > MAXIMUM:
        raise ValueError("A duration is at most 100 years long.")
    return total


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, float):
        return "a number with decimals"
    names: dict[type, str] = {int: "a number", str: "text", list: "an array", dict: "an object"}
    return names.get(type(value), type(value).__name__)
