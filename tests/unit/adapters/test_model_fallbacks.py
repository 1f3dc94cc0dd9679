"""One model after the other, until one answers."""

import pytest

from perdure.adapters.clock import SystemClock, TestClock
from perdure.adapters.model_fallbacks import FallbackModel
from perdure.ports.model import ModelFailed, Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked, busy, lost

BAD = [busy(status=400, again=False), busy(status=422, again=False), ModelFailed("x", failure="validation")]


@pytest.mark.parametrize("failed", [busy(), lost(), busy(status=401), busy(status=404), busy(status=503)])
async def test_the_next_is_asked(failed):
    model = FallbackModel([Listed(failed), Listed(failed), Listed("third")], SystemClock())
    assert (await model.ask(asked())).text == "third"
    assert [chunk.text for chunk in await all_of(model.stream(asked()))] == ["third", "third"]
    assert (await model.embed(Texts(texts=("a",), key="k"))).vectors == ((1.0,),)


@pytest.mark.parametrize("failed", BAD)
async def test_a_request_that_is_at_fault_goes_no_further(failed):
    other = Listed("x")
    model = FallbackModel([Listed(failed), other], SystemClock())
    with pytest.raises(ModelFailed):
        await model.ask(asked())
    with pytest.raises(ModelFailed):
        await all_of(model.stream(asked()))
    assert other.requests == []


async def test_the_last_failure_is_the_failure_and_a_begun_stream_goes_no_further():
    with pytest.raises(ModelFailed, match="lost"):
        await FallbackModel([Listed(busy()), Listed(lost())], SystemClock()).ask(asked())
    other = Listed("x")
    with pytest.raises(ModelFailed, match="lost"):
        await all_of(FallbackModel([Listed(["a", lost()]), other], SystemClock()).stream(asked()))
    assert other.requests == []


async def test_without_time_nobody_else_is_asked():
    clock = TestClock()

    class Slow(Listed):
        async def ask(self, request):
            clock.advance(10)
            return await super().ask(request)

    other = Listed("x")
    with pytest.raises(ModelFailed):
        await FallbackModel([Slow(lost()), other], clock).ask(asked(timeout=9.0))
    assert other.requests == []


async def test_nobody_to_ask():
    with pytest.raises(ModelFailed, match="no model"):
        await FallbackModel([], SystemClock()).ask(asked())
    with pytest.raises(ModelFailed, match="no model"):
        await all_of(FallbackModel([], SystemClock()).stream(asked()))
