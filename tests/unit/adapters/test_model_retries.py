"""Asking again: when, after how long, and never when something would be bought twice."""

import asyncio

import pytest

from perdure.adapters.clock import SystemClock, TestClock
from perdure.adapters.model_retries import Patience, RetriedModel, pause
from perdure.ports.model import ModelFailed, TextDelta, Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked, busy, lost


class Hurried(SystemClock):
    """Does not wait, and remembers how long it should have."""

    def __init__(self):
        self.waited = []

    def sleep(self, seconds):
        self.waited.append(seconds)
        return asyncio.sleep(0)


@pytest.mark.parametrize(
    ("failed", "retry", "left", "least", "most"),
    [
        (busy(), 0, 60, 0.25, 0.5),
        (busy(), 1, 60, 0.5, 1.0),
        (busy(wait=3.0), 0, 60, 3, 3),
        (busy(wait=0.0), 0, 60, 0, 0),
    ],
)
def test_how_long_to_wait(failed, retry, left, least, most):
    assert least <= pause(failed, retry, left, "key") <= most


@pytest.mark.parametrize(
    ("failed", "retry", "left"), [(busy(), 2, 60), (busy(wait=31.0), 0, 60), (busy(wait=5.0), 0, 4), (lost(), 0, 60)]
)
def test_when_to_give_up(failed, retry, left):
    assert pause(failed, retry, left, "key") is None


def test_requests_that_failed_together_do_not_come_again_together():
    waits = {pause(busy(), 0, 60, f"key-{number}") for number in range(20)}
    assert len(waits) == 20
    assert pause(busy(), 0, 60, "a") == pause(busy(), 0, 60, "a")


async def test_asked_again_with_the_time_that_is_left():
    inner, clock = Listed(busy(), busy(), "Hi."), Hurried()
    answer = await RetriedModel(inner, clock).ask(asked(timeout=9.0))
    assert (answer.text, len(clock.waited)) == ("Hi.", 2)
    assert all(request.timeout <= 9.0 and request.key == "key-1" for request in inner.requests)


async def test_the_last_failure_is_the_failure():
    inner = Listed(busy(), busy(), busy(status=503))
    with pytest.raises(ModelFailed) as failed:
        await RetriedModel(inner, Hurried()).embed(Texts(texts=("a",), key="k"))
    assert failed.value.status == 503
    inner = Listed(lost())
    with pytest.raises(ModelFailed):
        await RetriedModel(inner, Hurried()).ask(asked())
    assert len(inner.requests) == 1


async def test_a_stream_is_begun_again_only_while_nothing_was_passed_on():
    chunks = await all_of(RetriedModel(Listed(busy(), ["a", "b"]), Hurried()).stream(asked()))
    assert [chunk.text for chunk in chunks] == ["a", "b", "ab"]
    inner, seen = Listed(["a", busy()], "x"), []
    with pytest.raises(ModelFailed):
        async for chunk in RetriedModel(inner, Hurried()).stream(asked()):
            seen.append(chunk)
    assert (seen, len(inner.requests)) == ([TextDelta("a")], 1)


@pytest.mark.parametrize("way", ["ask", "stream"])
async def test_no_time_left(way):
    model = RetriedModel(Listed("x"), TestClock(), Patience(retries=0))
    with pytest.raises(ModelFailed) as failed:
        if way == "ask":
            await model.ask(asked(timeout=0.0))
        else:
            await all_of(model.stream(asked(timeout=0.0)))
    assert failed.value.failure == "timeout"
    assert "0 retries" in repr(model)
