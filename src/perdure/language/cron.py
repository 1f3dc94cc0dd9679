"""Cron expressions of five fields: minute, hour, day of month, month, day of week (language.md A5).

Pure: the caller says what time it is. When both day fields are restricted, a day that fits either counts, as in cron(5).
"""

import calendar
from datetime import datetime, timedelta

_MONTHS = {
    name: number + 1
    for number, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"))
}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_LONGEST_MONTH = {month: 29 if month == 2 else calendar.monthrange(2001, month)[1] for month in range(1, 13)}


class Cron:
    """A parsed cron expression: the numbers that each field admits."""

    def __init__(self, text: str, fields: list[frozenset[int]], *, any_day: bool, any_weekday: bool) -> None:
        self.text = text
        self.minutes, self.hours, self.days, self.months, weekdays = fields
        self.weekdays = frozenset(day % 7 for day in weekdays)
        self._any_day = any_day
        self._any_weekday = any_weekday

    def __repr__(self) -> str:
        return f"<Cron {self.text}>"

    def next_after(self, moment: datetime) -> datetime:
        """The first matching minute strictly after a moment, in the moment's own time zone."""
        found = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        while True:  # ends: `parse` admits only days that exist; 29 February on a given weekday comes within 40 years
            if found.month not in self.months:
                found = (found.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._has_day(found):
                found = found.replace(hour=0, minute=0) + timedelta(days=1)
            elif found.hour not in self.hours:
                found = found.replace(minute=0) + timedelta(hours=1)
            elif found.minute not in self.minutes:
                found += timedelta(minutes=1)
            else:
                return found

    def _has_day(self, moment: datetime) -> bool:
        day = moment.day in self.days
        weekday = moment.isoweekday() % 7 in self.weekdays
        if self._any_day or self._any_weekday:
            return day and weekday
        return day or weekday


def parse(text: str) -> Cron:
    """The cron expression in a text. ValueError, with a sentence for people, when it is none."""
    parts = text.split()
    if text.strip().startswith("@"):
        raise ValueError(f"'{text.strip()}' is a shorthand that is not supported; write five fields, like '0 0 * * *'.")
    if len(parts) == 6:
        raise ValueError("There are six fields; seconds and years are not supported. Five are expected.")
    if len(parts) != 5:
        raise ValueError(f"Five fields are expected (minute, hour, day, month, weekday), not {len(parts)}.")
    fields = [_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True)]
    any_day, any_weekday = parts[2].startswith("*"), parts[4].startswith("*")
    if any_weekday and not any(day <= _LONGEST_MONTH[month] for day in fields[2] for month in fields[3]):
        raise ValueError(f"'{text}' names a day that no such month has, so it would never happen.")
    return Cron(text, fields, any_day=any_day, any_weekday=any_weekday)


def _field(part: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for item in part.split(","):
        span, slash, step_text = item.partition("/")
        step = _value(step_text, name, 1, high, {}) if slash else 1
        if span == "*":
            first, last = low, high
        else:
            first_text, dash, last_text = span.partition("-")
            first = _value(first_text, name, low, high, names)
            last = _value(last_text, name, low, high, names) if dash else high if slash else first
        if first > last:
            raise ValueError(f"In the {name}, the range {span} runs backwards.")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _value(text: str, name: str, low: int, high: int, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"The {name} '{text}' is not a number from {low} to {high}, a range, a list or *.")
    value = int(text) if len(text) < 4 else high + 1
    if not low <= value <= high:
        raise ValueError(f"The {name} {text} is not between {low} and {high}.")
    return value
