"""A coroutine that is begun at once behaves like one in a task of its own."""

import asyncio
from contextvars import ContextVar

import pytest

from perdure.engines.eager import Eager

_mark: ContextVar[str] = ContextVar("_mark", default="clean")


@pytest.fixture
async def eager():
    """With its spare task parked."""
    made = Eager()
    await made.begin(asyncio.sleep(0), lambda value: None)
    await asyncio.sleep(0)
    assert "parked=True" in repr(made)
    yield made
    await made.close()


async def begun(eager, coroutine):
    """(task or None, answers so far, all answers): begun where no task is current, as the engine's commits are."""
    answers: list[object] = []
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(
        lambda: done.set_result((eager.begin(coroutine, answers.append), list(answers), answers))
    )
    return await done


async def test_what_never_waits_needs_no_task(eager):
    async def work():
        return 7

    before = len(asyncio.all_tasks())
    for _ in range(3):
        assert await begun(eager, work()) == (None, [7], [7])
    assert len(asyncio.all_tasks()) == before


async def test_what_waits_goes_on_in_the_task_that_it_saw(eager):
    gate, seen = asyncio.Event(), []

    async def work():
        seen.append(asyncio.current_task())
        async with asyncio.timeout(5):
            await gate.wait()
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        return "done"

    task, at_once, answers = await begun(eager, work())
    assert at_once == []
    gate.set()
    await task
    assert seen == [task, task]
    assert answers == ["done"]


async def test_a_time_limit_set_before_the_first_wait_holds(eager):
    async def work():
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"

    task, _, answers = await begun(eager, work())
    await task
    assert answers == ["late"]


@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_it_can_be_cancelled_at_any_moment_after(eager, turns):
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(asyncio.current_task().cancelling())

    answers: list[object] = []
    done = asyncio.get_running_loop().create_future()

    def begin():
        task = eager.begin(work(), answers.append)
        if turns == 0:
            task.cancel()
        done.set_result(task)

    asyncio.get_running_loop().call_soon(begin)
    task = await done
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert ended and not answers


async def test_a_cancellation_meets_a_wait_that_is_over(eager):
    class Waits:
        def __await__(self):
            return (yield from asyncio.sleep(0).__await__())

    async def work():
        try:
            await Waits()
        except asyncio.CancelledError:
            return "told"

    answers: list[object] = []
    done = asyncio.get_running_loop().create_future()

    def begin():
        task = eager.begin(work(), answers.append)
        task.cancel()
        done.set_result(task)

    asyncio.get_running_loop().call_soon(begin)
    await asyncio.wait([await done])
    assert answers == ["told"]


async def test_who_cancels_himself_harms_nobody_else(eager):
    async def harmful():
        asyncio.current_task().cancel()

    async def waits_after():
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    async def good():
        return 1

    task, at_once, answers = await begun(eager, harmful())
    assert (task, at_once, answers) == (None, [], [])
    first = await begun(eager, waits_after())  # no spare at the moment: in a task of its own
    await asyncio.wait([first[0]])
    second = await begun(eager, waits_after())
    await asyncio.wait([second[0]])
    assert first[0].cancelled() and second[0].cancelled()
    for _ in range(3):
        task, _, answers = await begun(eager, good())
        if task is not None:
            await task
        assert answers == [1]


async def test_what_one_sets_in_its_context_no_other_sees(eager):
    async def work(waits):
        seen = _mark.get()
        _mark.set("set")
        if waits:
            await asyncio.sleep(0)
        return seen, _mark.get()

    for waits in (False, True, False, True):
        task, _, answers = await begun(eager, work(waits))
        if task is not None:
            await task
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert answers == [("clean", "set")]
    assert _mark.get() == "clean"


async def test_inside_a_task_it_makes_another(eager):
    async def work():
        return asyncio.current_task()

    answers: list[object] = []
    task = eager.begin(work(), answers.append)
    assert task is not None
    await task
    assert answers == [task]


async def test_after_closing_it_leaves_nothing_behind(eager):
    await eager.close()
    before = asyncio.all_tasks()
    await eager.begin(asyncio.sleep(0), lambda value: None)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_python_still_lets_us_say_which_task_is_at_work():
    """When this fails with a new Python, `engines/eager.py` must begin calls by `Task(eager_start=True)` there."""
    loop, said = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    one, other = (loop.create_task(asyncio.sleep(0)) for _ in range(2))

    def ask():
        before = asyncio.current_task(loop)
        asyncio._enter_task(loop, one)
        within = asyncio.current_task(loop)
        with pytest.raises(RuntimeError):
            asyncio._enter_task(loop, other)
        asyncio._leave_task(loop, one)
        said.set_result((before, within, asyncio.current_task(loop)))

    loop.call_soon(ask)
    assert await said == (None, one, None)
    await asyncio.gather(one, other)
