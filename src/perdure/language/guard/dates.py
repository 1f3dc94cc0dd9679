"""Dates of jq without the machine's clock, time zone or locale: UTC and the C locale's names, always.

A broken-down time is jq's: `[year, month from 0, day, hours, minutes, seconds, weekday, day of the year from 0]`.
"""

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from purejq.errors import JqError

from perdure.language.guard.runtime import Env
from perdure.language.guard.values import describe, is_number
from perdure.language.values import Json

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = tuple("January February March April May June July August September October November December".split())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMPOSED = {"T": "%H:%M:%S", "D": "%m/%d/%y", "F": "%Y-%m-%d", "R": "%H:%M", "c": "%a %b %e %H:%M:%S %Y"}


def gmtime(value: Json, _env: Env) -> Json:
    """Seconds since 1970 to a broken-down time; fractions stay with the seconds."""
    if not is_number(value):
        raise JqError(f"gmtime() requires a number, not {describe(value)}")
    try:
        moment = _EPOCH + timedelta(seconds=int(value // 1))
    except (OverflowError, ValueError):
        raise JqError("The time is outside of the years 1 to 9999") from None
    return _broken(moment, value % 1)


def mktime(value: Json, _env: Env) -> Json:
    return calendar.timegm(_moment(value, "mktime").timetuple())


def strftime(value: Json, env: Env, form: Json) -> Json:
    if not isinstance(form, str):
        raise JqError("strftime/1 requires a string format")
    env.spend(len(form))
    moment = _moment(gmtime(value, env) if is_number(value) else value, "strftime/1")
    return _write(form, moment)


def strptime(value: Json, env: Env, form: Json) -> Json:
    if not isinstance(value, str) or not isinstance(form, str):
        raise JqError("strptime/1 requires string inputs and arguments")
    env.spend(len(form) + len(value))
    found = re.fullmatch(_pattern(form), value[:_LONGEST], re.ASCII | re.IGNORECASE)
    if found is None or len(value) > _LONGEST:
        raise JqError(f'date "{value[:40]}" does not match format "{form[:40]}"')
    try:
        return _broken(_read(found.groupdict()), 0)
    except (ValueError, OverflowError):
        raise JqError(f'date "{value[:40]}" is no date') from None


_LONGEST = 200


def _broken(moment: datetime, fraction: float) -> Json:
    parts = moment.timetuple()
    seconds = moment.second + fraction if fraction else moment.second
    weekday = (parts.tm_wday + 1) % 7
    return [moment.year, moment.month - 1, moment.day, moment.hour, moment.minute, seconds, weekday, parts.tm_yday - 1]


def _moment(value: Json, who: str) -> datetime:
    if not isinstance(value, list) or not 1 <= len(value) <= 8 or not all(map(is_number, value)):
        raise JqError(f"{who} requires parsed datetime inputs")
    try:
        year, month, day, hours, minutes, seconds = (
            int(part) for part in (value + [0, 0, 1, 0, 0, 0][len(value) :])[:6]
        )
        start = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return start + timedelta(days=day - 1, hours=hours, minutes=minutes, seconds=seconds)
    except (OverflowError, ValueError):
        raise JqError("The time is outside of the years 1 to 9999") from None


def _write(form: str, moment: datetime) -> str:
    written = []
    letters = iter(form)
    for letter in letters:
        if letter != "%":
            written.append(letter)
            continue
        code = next(letters, "")
        if code in _COMPOSED:
            written.append(_write(_COMPOSED[code], moment))
        elif code in _FIELDS:
            written.append(_FIELDS[code](moment))
        else:
            raise JqError(f"strftime has no %{code}")
    return "".join(written)


def _weekday(moment: datetime) -> int:
    return moment.isoweekday() % 7


_FIELDS: dict[str, Any] = {
    "Y": lambda m: str(m.year),
    "C": lambda m: f"{m.year // 100:02}",
    "y": lambda m: f"{m.year % 100:02}",
    "m": lambda m: f"{m.month:02}",
    "d": lambda m: f"{m.day:02}",
    "e": lambda m: f"{m.day:2}",
    "H": lambda m: f"{m.hour:02}",
    "I": lambda m: f"{(m.hour + 11) % 12 + 1:02}",
    "M": lambda m: f"{m.minute:02}",
    "S": lambda m: f"{m.second:02}",
    "p": lambda m: "AM" if m.hour < 12 else "PM",
    "j": lambda m: f"{m.timetuple().tm_yday:03}",
    "A": lambda m: _DAYS[_weekday(m)],
    "a": lambda m: _DAYS[_weekday(m)][:3],
    "B": lambda m: _MONTHS[m.month - 1],
    "b": lambda m: _MONTHS[m.month - 1][:3],
    "h": lambda m: _MONTHS[m.month - 1][:3],
    "u": lambda m: str(m.isoweekday()),
    "w": lambda m: str(_weekday(m)),
    "G": lambda m: str(m.isocalendar().year),
    "V": lambda m: f"{m.isocalendar().week:02}",
    "s": lambda m: str(calendar.timegm(m.timetuple())),
    "Z": lambda m: "UTC",
    "z": lambda m: "+0000",
    "n": lambda m: "\n",
    "t": lambda m: "\t",
    "%": lambda m: "%",
}

_names = "|".join
_PATTERNS: dict[str, str] = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d\d?)",
    "d": r" ?(?P<d>\d\d?)",
    "e": r" ?(?P<d>\d\d?)",
    "H": r"(?P<H>\d\d?)",
    "I": r"(?P<I>\d\d?)",
    "M": r"(?P<M>\d\d?)",
    "S": r"(?P<S>\d\d?)",
    "p": r"(?P<p>AM|PM)",
    "j": r"(?P<j>\d{1,3})",
    "A": f"(?:{_names(_DAYS)}|{_names(day[:3] for day in _DAYS)})",
    "B": f"(?P<B>{_names(_MONTHS)}|{_names(month[:3] for month in _MONTHS)})",
    "s": r"(?P<s>\d{1,12})",
    "Z": r"(?:Z|UTC|GMT)",
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
    "n": r"\s+",
    "t": r"\s+",
    "%": "%",
}
_PATTERNS.update(a=_PATTERNS["A"], b=_PATTERNS["B"], h=_PATTERNS["B"])


def _pattern(form: str) -> str:
    """A regular expression of ours, made of the fields above: each field once, so it cannot blow up."""
    written = []
    seen: set[str] = set()
    letters = iter("".join(_expanded(form)))
    for letter in letters:
        if letter != "%":
            written.append(r"\s*" if letter.isspace() else re.escape(letter))
            continue
        code = next(letters, "")
        if code not in _PATTERNS or (code in seen and code not in "%nt"):
            raise JqError(f"strptime has no %{code}, or has it twice")
        seen.add({"e": "d", "b": "B", "h": "B"}.get(code, code))
        written.append(_PATTERNS[code])
    return "".join(written)


def _expanded(form: str) -> list[str]:
    parts = re.split(r"(%.)", form, flags=re.DOTALL)
    return [_COMPOSED.get(part[1:2], part) if part.startswith("%") else part for part in parts]


def _read(found: dict[str, str | None]) -> datetime:
    given = {name: text for name, text in found.items() if text is not None}
    if "s" in given:
        return _EPOCH + timedelta(seconds=int(given["s"]))
    year = int(given.get("Y", "1900"))
    if "y" in given and "Y" not in given:
        year = int(given["y"]) + (1900 if int(given["y"]) >= 69 else 2000)
    month = int(given.get("m", "1"))
    if "B" in given:
        month = 1 + [name[:3].lower() for name in _MONTHS].index(given["B"][:3].lower())
    if "j" in given and "d" not in given:
        day = date(year, 1, 1) + timedelta(days=int(given["j"]) - 1)
    else:
        day = date(year, month, int(given.get("d", "1")))
    hour = int(given.get("H", "0"))
    if "I" in given:
        hour = int(given["I"]) % 12 + (12 if given.get("p", "").upper() == "PM" else 0)
    minute, second = int(given.get("M", "0")), min(int(given.get("S", "0")), 59)
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
