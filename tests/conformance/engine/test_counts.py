"""What is counted of runs is true, of each kind of engine, and nothing that is only recalled is counted twice."""

import asyncio
from typing import Any

from tests.conformance.engine.conftest import TENANT, Place

HELD = "- h: {call: held, with: {n: 1}}"
WAITS = "- w: {wait: {hours: 1}}"


async def _open(place: Place, **wanted: int) -> None:
    """The counts of runs that may still change become those: a server's list is a little late."""
    for _ in range(500):
        found = {status: count for (status,), count in (await place.standing()).items() if count}
        if found == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{found} instead of {wanted}")


def _ended(place: Place) -> dict[str, Any]:
    return {outcome: count for (outcome,), count in place.tally.ended().items()}


async def test_runs_are_counted_as_they_go(place: Place) -> None:
    held = await place.begin(HELD)
    waits = await place.begin(WAITS)
    await place.reaches(waits, "waiting")
    await place.world.arrived.wait()
    await _open(place, running=1, waiting=1)
    await place.engine.suspend(TENANT, waits)
    await place.reaches(waits, "suspended")
    await _open(place, running=1, suspended=1)
    assert (place.tally.began_total, _ended(place)) == (2, {"completed": 0, "faulted": 0, "cancelled": 0})
    place.world.gate.set()
    await place.end(held)
    await place.engine.cancel(TENANT, waits)
    await place.end(waits)
    await _open(place)
    assert (place.tally.began_total, _ended(place)) == (2, {"completed": 1, "faulted": 0, "cancelled": 1})


async def test_one_that_is_mended_ends_twice(place: Place) -> None:
    run = await place.begin("- b: {call: broken, with: {}}")
    await place.reaches(run, "faulted")
    await _open(place, faulted=1)
    assert _ended(place)["faulted"] == 1
    await place.engine.skip(TENANT, run, output=1, has_output=True)
    await place.reaches(run, "completed")
    await _open(place)
    assert (place.tally.began_total, _ended(place)) == (1, {"completed": 1, "faulted": 1, "cancelled": 0})


async def test_forks_and_what_was_there_before(place: Place) -> None:
    run = await place.begin(WAITS)
    await place.reaches(run, "waiting")
    forked = await place.engine.fork(TENANT, run)
    await place.reaches(forked, "waiting")
    assert place.tally.began_total == 2
    await place.reopen()
    await _open(place, waiting=2)
    await place.engine.cancel(TENANT, run)
    await place.end(run)
    await _open(place, waiting=1)
    assert (place.tally.began_total, _ended(place)["cancelled"]) == (0, 1)
