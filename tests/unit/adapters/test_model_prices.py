"""Prices by name, and the sum with the price it was made with."""

import msgspec
import pytest

from perdure.adapters.model_prices import FREE, PRICES, Above, Price, PricedModel, cost, price_of, priced
from perdure.ports.model import Message, Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-opus-4-0", "claude-opus-4"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5"),
        ("anthropic/claude-opus-5", "claude-opus-5"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-3-pro-preview", "gemini-3-pro"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
    ],
)
def test_names_with_and_without_their_date(name, listed):
    assert price_of(name) is PRICES[listed]


@pytest.mark.parametrize("name", ["", "gpt-5-ultra", "my-gpt-5", "claude", "gpt-4.1-huge-2025-01-01"])
def test_what_is_not_known_is_not_guessed(name):
    assert price_of(name) is None


def test_the_installations_own_prices_come_first():
    own = {"gpt-5": Price(9, 9), "azure/gpt-5": Price(8, 8), "lan/*": FREE}
    assert price_of("gpt-5-2025-08-07", "openai", own) == Price(9, 9)
    assert price_of("gpt-5", "azure", own) == Price(8, 8)
    assert price_of("whatever", "lan", own) is FREE
    assert price_of("whatever", "openai", own) is None


def test_sums():
    price = Price(3, 15, 0.3, above=Above(1_000, 6, 20))
    assert cost(price, {"inputTokens": 1_000, "outputTokens": 100, "inputTokensCached": 900}) == 0.00207
    assert cost(price, {"inputTokens": 2_000, "outputTokens": 100, "inputTokensCached": 500}) == 0.014
    assert cost(Price(2), {"inputTokens": 500_000}) == 1.0


def test_the_price_is_kept_with_the_sum():
    told = priced({"inputTokens": 1_000_000, "outputTokens": 0, "model": "gpt-5"}, "openai", {})
    assert told["cost"] == 1.25
    assert told["price"] == {"input": 1.25, "output": 10, "cached": 0.125, "since": "2025-11-13"}
    assert told["provider"] == "openai"
    assert "cost" not in priced({"model": "x"}, "p", {})
    assert priced({"model": "x", "cost": 7}, "p", {"x": Price(1)})["cost"] == 7
    assert priced({"model": "x"}, "p", {"p/*": FREE}) == {"model": "x", "provider": "p", "cost": 0.0}
    assert priced({"model": "served-as"}, "p", {"asked": Price(1)}, "asked")["cost"] == 0


async def test_around_a_model():
    model = PricedModel(Listed("Hi."), "p", {"m": Price(1, 2)})
    assert (await model.ask(asked())).usage["cost"] == 0.00002
    assert (await all_of(model.stream(asked())))[-1].usage["cost"] == 0.00002
    assert (await model.embed(Texts(texts=("a",), key="k"))).usage["provider"] == "p"
    assert "p: " in repr(model)


async def test_what_a_provider_does_not_count_is_reckoned():
    class Silent(Listed):
        async def ask(self, request):
            return msgspec.structs.replace(await super().ask(request), usage={"inputTokens": 0, "model": "m"})

        async def embed(self, texts):
            return msgspec.structs.replace(await super().embed(texts), usage={"model": "m"})

    model = PricedModel(Silent("y" * 80), "p", {"m": Price(1, 2)})
    usage = (await model.ask(asked(messages=(Message("user", "x" * 400),)))).usage
    assert (usage["inputTokens"], usage["outputTokens"], usage["isEstimated"]) == (101, 21, True)
    assert usage["cost"] == 0.000143
    usage = (await model.embed(Texts(texts=("a" * 40,), key="k"))).usage
    assert (usage["inputTokens"], usage["isEstimated"], usage["cost"]) == (11, True, 0.000011)
    assert "isEstimated" not in (await PricedModel(Listed("Hi."), "p", {}).ask(asked())).usage


def test_the_table_is_sound():
    for name, price in PRICES.items():
        assert price.since > "2025", name
        assert price.input > 0, name
        assert price.cached is None or price.cached < price.input, name
        assert price.above is None or price.above.input > price.input, name
