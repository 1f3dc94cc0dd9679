"""What a request may cost at most is reckoned with the dearest of all that may answer."""

from types import SimpleNamespace

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.model_catalog import ModelCatalog
from perdure.adapters.model_fallbacks import FallbackModel
from perdure.adapters.model_prices import Above, Price, PricedModel
from perdure.errors import Invalid
from perdure.platform import edge
from perdure.ports.model import ModelFailed
from perdure.settings import Settings

CHEAP, DEAR = Price(input=1, output=2), Price(input=1, output=50, above=Above(200_000, 3, 100))


class Silent:
    """A model that nobody asks."""


def priced(provider, prices, model):
    return PricedModel(Silent(), provider, prices, model)


@pytest.fixture
def installation():
    cheap, dear = priced("a", {"m": CHEAP}, "m"), priced("b", {"m": DEAR, "free": Price(input=0)}, "m")
    route = FallbackModel([cheap, dear], TestClock())
    models = ModelCatalog(
        {"a": cheap, "b": dear, "route": route}, "a", is_strict=True, asks={"route": ("a/m", "b/m"), "a": ("a/m",)}
    )
    return SimpleNamespace(models=models)


@pytest.mark.parametrize(
    ("name", "dollars"),
    [("a/m", 2), ("", 2), ("b/m", 100), ("route", 100), ("b/free", 0), ("a/unknown", None), ("nobody/m", None)],
)
def test_the_most_that_a_token_costs(installation, name, dollars):
    found = edge.price(installation, name)
    assert found == (None if dollars is None else dollars / 1_000_000)


def test_a_name_that_leads_nowhere_leads_nowhere(installation):
    with pytest.raises(ModelFailed):
        installation.models.priced("nobody/m", {})


@pytest.mark.parametrize(
    ("setting", "given"),
    [("hosts", ("http://x/",)), ("hosts", ("a.example:80",)), ("hosts", ("*",)), ("origins", ("*",)), ("origins", ("null",)),
     ("origins", ("https://a.example/",)), ("origins", ("https://A.example",)), ("origins", ("https://a.example:443",)),
     ("origins", ("https://u@a.example",)), ("origins", ("https://a:b",)), ("public_url", "perdure.example"), ("otlp_endpoint", "ftp://x")],
)  # fmt: skip
def test_an_address_that_no_request_can_have_is_refused(setting, given):
    """A server that nobody reaches, or that no page may call, would otherwise be all that one hears of it."""
    with pytest.raises(Invalid, match=f"PERDURE_{setting.upper()}"):
        edge.checked(Settings(**{setting: given}))


def test_addresses_that_requests_have():
    found = edge.rules(
        Settings(
            hosts=("perdure.example", "*.a.example", "[::1]", "127.0.0.1"), public_url="https://perdure.example/sub",
            origins=("https://a.example", "http://localhost:5173", "http://[::1]"),
        )
    )  # fmt: skip
    assert len(found.hosts) == 4 and len(found.origins) == 3
