"""Waiting: timers, deadlines, retries, and clocks that are set."""

from tests.conformance.engine.conftest import TENANT


async def test_a_wait_ends_when_due(still_place):
    place = still_place
    run = await place.begin("- w: {wait: {hours: 2}}\n- t: {call: echo, with: {x: 1}}")
    await place.reaches(run, "waiting")
    await place.advance(7199)
    assert place.world.calls["echo"] == 0
    await place.advance(1)
    ended = await place.end(run)
    assert ended.status == "completed"
    assert ended.ended - ended.started >= 7_200_000


async def test_timers_survive_a_new_opening(still_place):
    place = still_place
    runs = [await place.begin(f"- w: {{wait: {{minutes: {minutes}}}}}", {"n": minutes}) for minutes in (3, 1, 2)]
    for run in runs:
        await place.reaches(run, "waiting")
    await place.advance(2)
    await place.reopen()
    await place.advance(59)
    assert (await place.end(runs[1])).status == "completed"
    await place.reopen()
    await place.advance(60)
    assert (await place.end(runs[2])).status == "completed"
    assert (await place.engine.describe(TENANT, runs[0])).status == "waiting"
    await place.advance(60)
    assert (await place.end(runs[0])).status == "completed"


async def test_time_that_passed_while_closed_counts(still_place):
    place = still_place
    run = await place.begin("- w: {wait: {minutes: 1}}")
    await place.reaches(run, "waiting")
    await place.engine.close()
    place.clock.advance(3600)
    await place.reopen()
    await place.turn()
    assert (await place.end(run)).status == "completed"


async def test_a_timeout_gives_up_the_call(still_place):
    place = still_place
    run = await place.begin("- t:\n    call: slow\n    with: {}\n    timeout: {after: {seconds: 5}}")
    await place.turn()
    await place.advance(5)
    ended = await place.end(run)
    assert (ended.status, ended.error["status"]) == ("faulted", 408)
    assert "under way=0" in repr(place.engine._calls)


async def test_a_retry_waits_for_its_delay(still_place):
    place = still_place
    place.world.failures = 2
    run = await place.begin(
        "- t:\n    try:\n      - c: {call: flaky, with: {x: 1}}\n"
        "    catch: {errors: {with: {status: 503}}, retry: {delay: {seconds: 10}, limit: {attempt: {count: 5}}}}"
    )
    for expected in (1, 2, 3):
        await place.turn()
        assert place.world.calls["flaky"] == expected
        await place.advance(10)
    assert (await place.end(run)).output == {"x": 1}


async def test_setting_the_clock_moves_no_wait(still_place):
    place = still_place
    run = await place.begin("- w: {wait: {minutes: 10}}")
    await place.reaches(run, "waiting")
    place.clock.jump(86_400)
    await place.advance(2)
    other = await place.begin("- w: {wait: {minutes: 1}}")
    await place.reaches(other, "waiting")
    await place.advance(590)
    assert (await place.end(other)).status == "completed"
    assert (await place.engine.describe(TENANT, run)).status == "waiting"
    place.clock.jump(-3 * 86_400)
    await place.advance(9)
    assert (await place.end(run)).status == "completed"
