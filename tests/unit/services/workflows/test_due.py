"""When schedules come due: time zones with their jumps and repeated hours, and what was missed meanwhile."""

from datetime import UTC, datetime

import msgspec
import pytest

from perdure.errors import Invalid
from perdure.services.workflows import due
from perdure.services.workflows.models import Schedule


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def shown(moment: int | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment / 1000, UTC).strftime("%m-%d %H:%M")


def schedule(kind="cron", spec="0 0 * * *", **more) -> Schedule:
    made = {"tenant": "t", "id": "sch_1", "workflow": "n.w", "created": 0, "updated": 0} | more
    return Schedule(kind=kind, spec=spec, **made)


def following(one: Schedule, since: str, count: int) -> list[str]:
    found, moment = [], at(since)
    for _ in range(count):
        moment = due.next_after(one, moment)
        found.append(shown(moment))
    return found


BERLIN = "Europe/Berlin"  # forward on 29 March 2026, 02:00 -> 03:00 (01:00 UTC); back on 25 October, 03:00 -> 02:00


@pytest.mark.parametrize(
    ("spec", "zone", "since", "expected"),
    [
        ("30 8 * * *", "UTC", "2026-03-28T08:29:59+00:00", ["03-28 08:30", "03-29 08:30"]),
        ("30 8 * * *", BERLIN, "2026-03-28T00:00:00+00:00", ["03-28 07:30", "03-29 06:30", "03-30 06:30"]),
        ("30 2 * * *", BERLIN, "2026-03-28T00:00:00+00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("15,45 2 * * *", BERLIN, "2026-03-29T00:00:00+00:00", ["03-29 01:00", "03-30 00:15", "03-30 00:45"]),
        ("30 2 * * *", BERLIN, "2026-10-24T12:00:00+00:00", ["10-25 00:30", "10-26 01:30"]),
        ("*/30 * * * *", BERLIN, "2026-03-29T00:29:00+00:00", ["03-29 00:30", "03-29 01:00", "03-29 01:30"]),
        ("0 * * * *", BERLIN, "2026-10-24T23:30:00+00:00", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("30 * * * *", BERLIN, "2026-10-25T00:10:00+00:00", ["10-25 00:30", "10-25 01:30", "10-25 02:30"]),
        ("0 */2 * * *", BERLIN, "2026-10-24T22:00:00+00:00", ["10-25 00:00", "10-25 03:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00+00:00", ["10-03 15:30", "10-04 15:15"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00+00:00", ["02-29 00:00"]),
    ],
)
def test_cron(spec, zone, since, expected):
    assert following(schedule(spec=spec, zone=zone), since, len(expected)) == expected


def test_every_counts_from_its_creation():
    one = schedule("every", 90_000, created=1_000)
    assert due.next_after(one, 0) == 91_000
    assert due.next_after(one, 91_000) == 181_000
    assert due.next_after(one, 91_001) == 181_000


def test_arming():
    assert due.armed(schedule("every", 1000, created=500), 700) == 1500
    assert due.armed(schedule("after", 1000), 700) == 700
    assert due.armed(schedule("after", 1000), 700, ended=600) == 1600
    assert due.armed(schedule("after", 1000), 9000, ended=600) == 9000
    assert due.armed(schedule("on", {"one": {}}), 700) is None
    assert due.armed(schedule(state="paused"), 700) is None
    assert due.armed(schedule(is_held=True), 700) is None


NOON = at("2026-05-01T12:00:00+00:00")
HOUR = 3_600_000


def hourly(**more) -> Schedule:
    return msgspec.structs.replace(schedule(spec="0 * * * *", due=NOON), **more)


def test_in_time():
    for catch_up in ("none", "last", "all"):
        assert due.plan(hourly(catch_up=catch_up), NOON + 500) == ([NOON], 0, NOON + HOUR)
    assert due.plan(hourly(), NOON - 1) == ([], 0, NOON)
    assert due.plan(hourly(due=None), NOON) == ([], 0, None)


def test_what_was_missed():
    now = NOON + 3 * HOUR + 600_000
    every = schedule("every", HOUR, created=NOON - HOUR, due=NOON)
    for one in (hourly(), every):
        last = msgspec.structs.replace(one, catch_up="last")
        assert due.plan(last, now) == ([NOON + 3 * HOUR], 3, NOON + 4 * HOUR)
        none = msgspec.structs.replace(one, catch_up="none")
        assert due.plan(none, now) == ([], 4, NOON + 4 * HOUR)
        all_ = msgspec.structs.replace(one, catch_up="all")
        assert due.plan(all_, now) == ([NOON + HOUR * n for n in range(4)], 0, NOON + 4 * HOUR)
        window = msgspec.structs.replace(all_, window=2 * HOUR)
        assert due.plan(window, now) == ([NOON + HOUR * n for n in (2, 3)], 2, NOON + 4 * HOUR)


def test_years_of_absence_are_bounded():
    now = NOON + 3 * 365 * 24 * HOUR
    minutely = schedule(spec="* * * * *", due=NOON, catch_up="all", window=10 * 365 * 24 * HOUR)
    found = due.plan(msgspec.structs.replace(minutely, catch_up="last"), now)
    assert found == ([now], due.MOST, now + 60_000)
    secondly = schedule("every", 1000, due=NOON, catch_up="all", window=10**12)
    found = due.plan(secondly, now)
    assert len(found.fire) == due.MOST
    assert found.fire[-1] == now
    yearly = schedule(spec="0 12 1 5 *", due=NOON)
    assert due.plan(yearly, now + 24 * HOUR).fire == [at("2029-05-01T12:00:00+00:00")]


def test_after_waits_for_its_run():
    assert due.plan(schedule("after", 1000, due=NOON), NOON + 99 * HOUR) == ([NOON], 0, None)


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("cron", "banana", "Five fields"),
        ("cron", 5, "five fields"),
        ("every", {"milliseconds": 10}, "once a second"),
        ("every", "P1M", "no fixed length"),
        ("after", {"seconds": -1}, "negative"),
    ],
)
def test_what_is_none_is_refused(kind, spec, words):
    with pytest.raises(Invalid, match=words):
        due.checked_spec(kind, spec)


def test_specs_as_kept():
    assert due.checked_spec("cron", "0 0 * * mon") == "0 0 * * mon"
    assert due.checked_spec("every", {"minutes": 5}) == 300_000
    assert due.checked_spec("after", "PT0S") == 0


@pytest.mark.parametrize("name", ["Nowhere/City", "../../etc/passwd", "", "a" * 300, "Europe"])
def test_zones_that_are_none(name):
    with pytest.raises(Invalid, match="time zone"):
        due.zone(name)
