"""Timers: never early by monotonic time, once, and right when the wall clock is set."""

import asyncio

from perdure.adapters.clock import TestClock
from perdure.engines.embedded.timers import Row, Timers


class Rows:
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.reads = 0

    def read(self, after: Row, limit: int) -> list[Row]:
        self.reads += 1
        return [row for row in sorted(self.rows) if row > after][:limit]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_timer_fires_when_due_and_once():
    clock, fired = TestClock(), []
    timers = Timers(clock, 10, Rows().read, lambda run, id: fired.append((run, id)))
    task = asyncio.create_task(timers.run())
    timers.arm_at_wall_time(1, "a", clock.now() + 1000)
    timers.arm_at_wall_time(1, "a", clock.now() + 1000)
    timers.arm_at_wall_time(1, "b", clock.now() + 2000)
    await settle()
    clock.advance(0.999)
    await settle()
    assert fired == []
    clock.advance(0.001)
    await settle()
    assert fired == [(1, "a")]
    clock.advance(5)
    await settle()
    assert fired == [(1, "a"), (1, "b")]
    task.cancel()


async def test_a_cancelled_timer_never_fires():
    clock, fired = TestClock(), []
    timers = Timers(clock, 10, Rows().read, lambda run, id: fired.append(id))
    task = asyncio.create_task(timers.run())
    timers.arm_at_wall_time(1, "a", clock.now() + 1000)
    timers.cancel(1, "a")
    clock.advance(10)
    await settle()
    assert fired == []
    task.cancel()


async def test_an_earlier_timer_wakes_the_sleeper():
    clock, fired = TestClock(), []
    timers = Timers(clock, 10, Rows().read, lambda run, id: fired.append(id))
    task = asyncio.create_task(timers.run())
    timers.arm_at_wall_time(1, "late", clock.now() + 60_000)
    await settle()
    timers.arm_at_wall_time(1, "soon", clock.now() + 100)
    await settle()
    clock.advance(0.1)
    await settle()
    assert fired == ["soon"]
    task.cancel()


async def test_setting_the_wall_clock_moves_no_timer_under_way():
    clock, fired = TestClock(), []
    timers = Timers(clock, 10, Rows().read, lambda run, id: fired.append(id))
    task = asyncio.create_task(timers.run())
    timers.arm_at_wall_time(1, "a", clock.now() + 10_000)
    clock.jump(3600)
    assert timers.jump() == 3_600_000
    assert timers.jump() == 0
    assert timers.pending_move == 3_600_000
    timers.moved()
    assert timers.pending_move == 0
    assert timers.due(1, "a", 0) == clock.now() + 10_000
    await settle()
    clock.advance(9.9)
    await settle()
    assert fired == []
    clock.jump(-86_400)
    clock.advance(0.2)
    await settle()
    assert fired == ["a"]
    task.cancel()


async def test_rows_beyond_the_limit_come_to_hand_in_time():
    clock, rows, fired = TestClock(), Rows(), []
    rows.rows = [(clock.now() + number * 1000, number, "t") for number in range(1, 51)]
    timers = Timers(clock, 1, rows.read, lambda run, id: fired.append(run))
    timers.refill()
    task = asyncio.create_task(timers.run())
    for _ in range(50):
        await settle()
        clock.advance(1)
    await settle()
    assert fired == list(range(1, 51))
    assert rows.reads <= 52
    task.cancel()


async def test_rows_that_are_far_away_leave_memory():
    clock, rows = TestClock(), Rows()
    timers = Timers(clock, 5, rows.read, lambda run, id: None)
    for number in range(100):
        row = (clock.now() + 60_000 + number, number + 1, "t")
        timers.arm_at_wall_time(row[1], "t", row[0])
        rows.rows.append(row)
        timers.stored([row])
    assert "at hand=5," in repr(timers)
