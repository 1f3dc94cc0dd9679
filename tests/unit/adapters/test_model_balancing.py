"""Several deployments of one model: the least in flight for its weight, and the next when one is busy."""

import asyncio

import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.model_balancing import BalancedModel, Member, choose
from perdure.adapters.model_breaker import Circuit, GuardedModel
from perdure.adapters.model_fallbacks import FallbackModel
from perdure.adapters.model_retries import RetriedModel
from perdure.ports.model import ModelFailed, Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked, busy, lost
from tests.unit.adapters.test_model_retries import Hurried


def members(*weights):
    return [Member(Listed("x"), weight) for weight in weights]


def test_the_least_in_flight_for_its_weight():
    light, heavy = members(1, 3)
    given = []
    for _ in range(8):
        chosen = choose([light, heavy])
        chosen.in_flight += 1
        chosen.given += 1
        given.append(chosen)
    assert (given.count(light), given.count(heavy)) == (2, 6)


def test_those_that_are_idle_take_turns_by_weight():
    light, heavy = members(1, 3)
    for _ in range(40):
        choose([light, heavy]).given += 1
    assert (light.given, heavy.given) == (10, 30)


def test_those_that_are_not_ready_are_passed_over():
    first, second = members(1, 1)
    first.is_ready = lambda: False
    assert choose([first, second]) is second
    second.is_ready = lambda: False
    assert choose([first, second]) is None


async def test_requests_at_once_are_spread_evenly():
    held = asyncio.Event()

    class Holding(Listed):
        async def ask(self, request):
            self.requests.append(request)
            await held.wait()

    models = [Holding(), Holding(), Holding()]
    balanced = BalancedModel([Member(model) for model in models])
    running = [asyncio.ensure_future(balanced.ask(asked())) for _ in range(9)]
    await asyncio.sleep(0)
    assert [len(model.requests) for model in models] == [3, 3, 3]
    assert "9 in flight" in repr(balanced)
    for one in running:
        one.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert "0 in flight" in repr(balanced)


async def test_a_busy_one_is_passed_over_at_once():
    balanced = BalancedModel([Member(Listed(busy())), Member(Listed(busy())), Member(Listed("third"))])
    assert (await balanced.ask(asked())).text == "third"
    assert [chunk.text for chunk in await all_of(balanced.stream(asked()))] == ["third", "third"]
    assert (await balanced.embed(Texts(texts=("a",), key="k"))).vectors


async def test_what_may_have_been_bought_is_not_bought_again():
    other = Listed("x")
    balanced = BalancedModel([Member(Listed(lost())), Member(other, 0.1)])
    with pytest.raises(ModelFailed, match="lost"):
        await balanced.ask(asked())
    balanced = BalancedModel([Member(Listed(["a", busy()])), Member(other, 0.1)])
    with pytest.raises(ModelFailed, match="busy"):
        await all_of(balanced.stream(asked()))
    assert other.requests == []


async def test_all_are_busy_or_left_alone():
    with pytest.raises(ModelFailed, match="busy"):
        await BalancedModel([Member(Listed(busy())), Member(Listed(busy()))]).ask(asked())
    with pytest.raises(ModelFailed, match="busy"):
        await all_of(BalancedModel([Member(Listed(busy()))]).stream(asked()))
    alone = BalancedModel([Member(Listed("x"), 1, lambda: False)])
    with pytest.raises(ModelFailed, match="left alone"):
        await alone.ask(asked())
    with pytest.raises(ModelFailed, match="left alone"):
        await all_of(alone.stream(asked()))


async def test_a_storm_of_429_and_5xx_goes_to_the_fallback_and_stops_hammering():
    clock = Hurried()
    stormy = [Listed(busy(status=status)) for status in (429, 500)]
    guarded = [GuardedModel(model, Circuit(failures=5, rest=60), SystemClock()) for model in stormy]
    pool = BalancedModel([Member(model, 1, lambda model=model: model.is_ready) for model in guarded])
    calm = Listed("calm")
    model = FallbackModel([RetriedModel(pool, clock), calm], SystemClock())
    answers = await asyncio.gather(*(model.ask(asked(key=f"k{number}")) for number in range(200)))
    assert {answer.text for answer in answers} == {"calm"}
    assert len(calm.requests) == 200
    before = sum(len(one.requests) for one in stormy)
    await asyncio.gather(*(model.ask(asked(key=f"l{number}")) for number in range(200)))
    assert sum(len(one.requests) for one in stormy) == before
