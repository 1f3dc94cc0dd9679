"""All models by name."""

import pytest

from perdure.adapters.model_catalog import ModelCatalog, NamedModel
from perdure.ports.model import ModelFailed, Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("", "a", ""),
        ("a", "a", ""),
        ("b/claude", "b", "claude"),
        ("b/meta/llama", "b", "meta/llama"),
        ("big", "a", "big"),
        ("other/thing", "a", "other/thing"),
    ],
)
async def test_where_a_name_leads(name, provider, model):
    models = {"a": Listed("A"), "b": Listed("B")}
    catalog = ModelCatalog(models, "a")
    answer = await catalog.ask(asked(model=name))
    assert (answer.text, answer.usage["provider"]) == (provider.upper(), provider)
    assert models[provider].requests[0].model == model
    assert (await all_of(catalog.stream(asked(model=name))))[-1].usage["provider"] == provider
    assert (await catalog.embed(Texts(texts=("a",), key="k", model=name))).usage["provider"] == provider


async def test_unknown_names():
    strict = ModelCatalog({"anthropic": Listed("x")}, "anthropic", listed=["anthropic/c"], is_strict=True)
    with pytest.raises(ModelFailed, match=r"named 'antropic' here \(known: anthropic\). Did you mean anthropic"):
        await strict.ask(asked(model="antropic/c"))
    assert (await strict.ask(asked(model="c"))).text == "x"
    with pytest.raises(ModelFailed, match="known: none"):
        await ModelCatalog({}, "local").ask(asked())
    assert strict.names() == ["anthropic", "anthropic/c"]
    assert strict.providers == ["anthropic"]
    assert "default anthropic" in repr(strict)


async def test_one_model_of_a_provider():
    inner = Listed("x")
    named = NamedModel(inner, "big")
    await named.ask(asked(model="small"))
    await all_of(named.stream(asked()))
    await named.embed(Texts(texts=("a",), key="k"))
    assert [request.model for request in inner.requests] == ["big"] * 3
    assert "big" in repr(named)
