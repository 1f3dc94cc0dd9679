"""A provider that fails again and again is left alone, then tried with one request."""

import asyncio

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.model_breaker import Circuit, GuardedModel, is_the_providers
from perdure.ports.model import ModelFailed, Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked, busy, lost


def test_closed_open_half_open_and_back():
    circuit = Circuit(failures=2, rest=10)
    assert (circuit.begin(0), circuit.state(0)) == (True, "closed")
    circuit.failed(0)
    circuit.succeeded()
    circuit.failed(1)
    assert circuit.state(1) == "closed"
    circuit.failed(2)
    assert (circuit.state(2), circuit.begin(11.9)) == ("open", False)
    assert circuit.state(12) == "half-open"
    assert (circuit.begin(12), circuit.begin(12)) == (True, False)
    circuit.failed(13)
    assert circuit.state(22) == "open"
    assert circuit.begin(23)
    circuit.abandoned()
    assert circuit.begin(23)
    circuit.succeeded()
    assert circuit.state(23) == "closed"
    assert "closed" in repr(circuit)


def test_the_provider_may_ask_for_a_longer_rest():
    circuit = Circuit(failures=1, rest=10)
    circuit.failed(0, wait=60)
    assert (circuit.state(59), circuit.state(60)) == ("open", "half-open")


@pytest.mark.parametrize(
    ("failed", "says"),
    [
        (busy(), True), (lost(), True), (busy(status=500), True), (busy(status=401), True),
        (ModelFailed("x", failure="timeout"), True), (busy(status=400), False), (busy(status=404), False),
        (ModelFailed("x", failure="configuration"), False),
    ],
)  # fmt: skip
def test_what_says_something_about_the_provider(failed, says):
    assert is_the_providers(failed) is says


async def test_requests_are_refused_without_being_sent():
    clock, inner = TestClock(), Listed(busy(), busy(), "Hi.")
    model = GuardedModel(inner, Circuit(failures=2, rest=10), clock)
    for _ in range(2):
        with pytest.raises(ModelFailed, match="busy"):
            await model.ask(asked())
    assert not model.is_ready
    for _ in range(50):
        with pytest.raises(ModelFailed, match="left alone.*last failed so: busy") as failed:
            await model.ask(asked())
    assert (failed.value.again, failed.value.sent, len(inner.requests)) == (False, False, 2)
    with pytest.raises(ModelFailed, match="left alone"):
        await all_of(model.stream(asked()))
    clock.advance(10)
    assert model.is_ready
    assert (await model.ask(asked())).text == "Hi."
    assert len(await all_of(model.stream(asked()))) == 2
    assert (await model.embed(Texts(texts=("a",), key="k"))).vectors
    assert "closed" in repr(model)


async def test_a_request_that_is_at_fault_closes_the_circuit():
    clock = TestClock()
    model = GuardedModel(Listed(busy(), busy(status=400), busy(), "x"), Circuit(failures=2, rest=10), clock)
    for _ in range(3):
        with pytest.raises(ModelFailed):
            await model.ask(asked())
    assert (await model.ask(asked())).text == "x"


async def test_who_gives_up_on_the_one_try_leaves_it_to_the_next():
    clock, held = TestClock(), asyncio.Event()

    class Holding(Listed):
        async def ask(self, request):
            if len(self.requests) == 1:
                self.requests.append(request)
                await held.wait()
            return await super().ask(request)

    model = GuardedModel(Holding(busy(), "x", "x"), Circuit(failures=1, rest=10), clock)
    with pytest.raises(ModelFailed):
        await model.ask(asked())
    clock.advance(10)
    trying = asyncio.ensure_future(model.ask(asked()))
    await asyncio.sleep(0)
    assert not model.is_ready
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    assert model.is_ready
