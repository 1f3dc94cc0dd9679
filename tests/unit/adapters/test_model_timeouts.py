"""How long a provider may take."""

import asyncio

import pytest

from perdure.adapters.model_timeouts import Limits, TimedModel
from perdure.ports.model import ModelFailed, Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked


class Stuck(Listed):
    """Says so many pieces and then nothing."""

    closed = False

    async def ask(self, request):
        await asyncio.Event().wait()

    embed = ask

    async def stream(self, request):
        try:
            for piece in self.answers:
                yield piece
            await asyncio.Event().wait()
        finally:
            self.closed = True


@pytest.mark.parametrize("way", ["ask", "embed"])
async def test_the_whole(way):
    model = TimedModel(Stuck(), Limits(total=0.02))
    with pytest.raises(ModelFailed, match=r"within 0\.02 s") as failed:
        await (model.ask(asked()) if way == "ask" else model.embed(Texts(texts=("a",), key="k")))
    assert (failed.value.failure, failed.value.sent, failed.value.again) == ("timeout", True, False)


@pytest.mark.parametrize(
    ("pieces", "limits", "said"),
    [
        ((), Limits(first=0.02), "did not begin to answer within 0.02 s"),
        ((1, 2), Limits(idle=0.02), "nothing came within 0.02 s"),
        ((1, 2), Limits(total=0.05), "did not answer within 0.05 s"),
    ],
)
async def test_streams(pieces, limits, said):
    inner = Stuck(*pieces)
    with pytest.raises(ModelFailed, match=said):
        await all_of(TimedModel(inner, limits).stream(asked()))
    assert inner.closed


async def test_in_time():
    model = TimedModel(Listed("Hi."), Limits())
    inner = model._model
    assert (await model.ask(asked(timeout=5.0))).text == "Hi."
    assert len(await all_of(model.stream(asked()))) == 2
    assert await model.embed(Texts(texts=("a",), key="k"))
    assert [request.timeout for request in inner.requests] == [5.0, 300.0, 120.0]
    assert "TimedModel(" in repr(model)
