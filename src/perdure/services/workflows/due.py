"""When a schedule comes due. Pure: the caller says what time it is.

Time zones are those of IANA. A cron expression whose hours are all hours follows the elapsed time: nothing of it is made
up for when clocks go forward, and it comes due in both passes of an hour that is repeated. Every other one names times of
the day: one that clocks jump over comes due at the first moment after the jump, and one that there is twice comes due the
first time only.
"""

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from perdure.errors import Invalid
from perdure.interpreter.commands import LIFECYCLE
from perdure.language import cron, durations
from perdure.language.values import Json
from perdure.services.workflows.events import RUN_FAULTED
from perdure.services.workflows.models import Schedule

LATE = 60_000
"""How late a firing may be and still count as in time: with `none`, what is older is not made up for."""
MOST = 1_000
"""Firings made up for at once, at most."""
SHORTEST = 1_000
"""Milliseconds between two firings, at least."""
_MINUTE = timedelta(minutes=1)
_REACHES = tuple(span * 60_000 for span in (2, 90, 36 * 60, 40 * 24 * 60, 400 * 24 * 60))
"""How far back the last due time is looked for, step by step."""


class Plan(NamedTuple):
    """What to do about a schedule that is due."""

    fire: list[int]
    missed: int
    """How many earlier times are let go."""
    next: int | None


def plan(schedule: Schedule, now: int) -> Plan:
    """Which times to fire for, and when it is due next. `schedule.due` has come."""
    first = schedule.due
    if first is None or first > now:
        return Plan([], 0, first)
    if schedule.kind == "after":
        return Plan([first], 0, None)
    last = _last_until(schedule, first, now)
    following = next_after(schedule, last)
    if schedule.catch_up == "all":
        fire = _all(schedule, max(first, now - schedule.window), last)
        skipped = bool(fire) and fire[0] > first
        return Plan(fire, _count(schedule, first, fire[0]) if skipped else 0, following)
    missed = _count(schedule, first, last)
    if schedule.catch_up == "none" and last < now - LATE:
        return Plan([], missed + 1, following)
    return Plan([last], missed, following)


def next_after(schedule: Schedule, moment: int) -> int | None:
    """The first due time strictly after a moment. None for kinds that do not depend on the clock alone."""
    if schedule.kind == "every":
        elapsed = max(0, moment - schedule.created)
        return schedule.created + (elapsed // int(schedule.spec) + 1) * int(schedule.spec)
    if schedule.kind == "cron":
        return _next_cron(_cron(str(schedule.spec)), zone(schedule.zone), moment)
    return None


def armed(schedule: Schedule, now: int, *, ended: int | None = None) -> int | None:
    """When a schedule that begins, or goes on after a pause, is due first. What passed meanwhile is not made up for.

    `after` begins at once, or follows a run that `ended`.
    """
    if schedule.state != "active" or schedule.is_held or schedule.kind == "on":
        return None
    if schedule.kind == "after":
        return now if ended is None else max(now, ended + int(schedule.spec))
    return next_after(schedule, now)


def checked_spec(kind: str, spec: Json) -> Json:
    """What a schedule is about, as it is kept, or Invalid."""
    if kind == "on":
        _check_heard(spec)
        return spec
    try:
        if kind == "cron":
            return (
                cron.parse(spec).text if isinstance(spec, str) else _refuse("A cron schedule is a text of five fields.")
            )
        length = durations.milliseconds(spec)
    except ValueError as error:
        raise Invalid(str(error)) from None
    if length < SHORTEST and kind == "every":
        raise Invalid("A schedule comes due once a second at most.", hint="Write for example {seconds: 1}.")
    return length


def _check_heard(spec: Json) -> None:
    """Invalid where a schedule would wait for ever: of the steps of runs it hears only that one faulted."""
    if isinstance(spec, list):
        for part in spec:
            _check_heard(part)
    if not isinstance(spec, dict):
        return
    wanted = spec.get("with")
    type = wanted.get("type") if isinstance(wanted, dict) else None
    if isinstance(type, str) and LIFECYCLE in type and type != RUN_FAULTED:
        raise Invalid(
            f"No schedule hears of {type[:100]!r}: of what runs do, only {RUN_FAULTED!r} reaches schedules.",
            hint="Let the workflow emit an event of its own when it is done, and listen for that one.",
        )
    for part in (spec.get(name) for name in ("one", "all", "any")):
        _check_heard(part)


def _refuse(sentence: str) -> Json:
    raise ValueError(sentence)


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone of this name, or Invalid."""
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"There is no time zone {name[:80]!r}.", hint="Write a name like Europe/Berlin, or UTC."
        ) from None


@lru_cache(maxsize=1024)
def _cron(text: str) -> cron.Cron:
    return cron.parse(text)


def _next_cron(expression: cron.Cron, where: tzinfo, moment: int) -> int:
    if len(expression.hours) == 24:
        return _next_elapsed(expression, where, moment)
    wall = datetime.fromtimestamp(moment / 1000, where).replace(tzinfo=None)
    while True:
        wall = expression.next_after(wall)
        found = _first_moment(wall, where)
        if found > moment:
            return found


def _first_moment(wall: datetime, where: tzinfo) -> int:
    """When clocks first show this, or would have: a time that is jumped over is the first moment after the jump."""
    early, late = (_utc(wall, where, fold) for fold in (0, 1))
    if early <= late:
        return early
    # In a jump the two readings are turned round; it lies between them.
    return _jump(where, late, early)


def _utc(wall: datetime, where: tzinfo, fold: int) -> int:
    return round(wall.replace(tzinfo=where, fold=fold).timestamp() * 1000)


def _offset(where: tzinfo, moment: int) -> timedelta:
    return datetime.fromtimestamp(moment / 1000, where).utcoffset() or timedelta()


def _jump(where: tzinfo, before: int, after: int) -> int:
    """The first moment with the offset of `after`, to the second: offsets of the two ends differ."""
    low, high, wanted = before // 1000, after // 1000, _offset(where, after)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(where, middle * 1000) == wanted else (middle, high)
    return high * 1000


def _next_elapsed(expression: cron.Cron, where: tzinfo, moment: int) -> int:
    """As if the clock never changed; where it does in between, from there on by the new time."""
    while True:
        offset = _offset(where, moment)
        wall = datetime.fromtimestamp(moment / 1000, UTC).replace(tzinfo=None) + offset
        found = round((expression.next_after(wall) - offset).replace(tzinfo=UTC).timestamp() * 1000)
        if _offset(where, found) == offset:
            return found
        jump = _jump(where, moment, found)
        shown = datetime.fromtimestamp(jump / 1000, where).replace(tzinfo=None)
        first = expression.next_after(shown - _MINUTE)
        if first == shown:
            return jump
        moment = jump


def _last_until(schedule: Schedule, first: int, now: int) -> int:
    """The last due time until now, `first` being one."""
    if schedule.kind == "every":
        return first + (now - first) // int(schedule.spec) * int(schedule.spec)
    last = first
    for reach in _REACHES:
        since = max(first, now - reach)
        found = next_after(schedule, since)
        while found is not None and found <= now:
            last = found
            found = next_after(schedule, found)
        if last > first or since == first:
            break
    return last


def _all(schedule: Schedule, since: int, last: int) -> list[int]:
    """The due times from `since` on; the newest when there are too many."""
    if schedule.kind == "every":
        spec = int(schedule.spec)
        count = min(MOST, (last - since) // spec + 1)
        return [last - spec * number for number in reversed(range(count))]
    found: list[int] = []
    moment: int | None = since if since == schedule.due else next_after(schedule, since - 1)
    while moment is not None and moment <= last:
        found.append(moment)
        moment = next_after(schedule, moment)
    return found[-MOST:]


def _count(schedule: Schedule, first: int, before: int) -> int:
    """How many due times there are from `first` on and before another; a count of `MOST` means at least as many."""
    if schedule.kind == "every":
        return (before - first) // int(schedule.spec)
    count, moment = 0, first
    while moment < before and count < MOST:
        count += 1
        moment = next_after(schedule, moment) or before
    return count
