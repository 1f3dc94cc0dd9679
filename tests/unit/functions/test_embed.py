"""`embed` of the default catalog."""

import msgspec
import pytest

from perdure.adapters.model_catalog import ModelCatalog
from perdure.functions.embed import Embed
from perdure.functions.model_providers import Providers
from perdure.ports.function import FunctionFault
from tests.unit.adapters.model_fakes import Listed, lost
from tests.unit.functions.test_infer import context


def embed(*answers):
    inner = Listed(*answers or ("x",))
    return Embed(Providers(ModelCatalog({"p": inner}, "p"), ["p"])), inner


async def test_a_text_is_a_vector_and_a_list_is_a_list():
    function, inner = embed()
    result = await function.execute({"input": "a"}, context())
    assert (result.output, result.usage["provider"]) == ([1.0], "p")
    given = {"input": ["a", "b"], "model": "m", "provider": "p", "dimensions": 3}
    assert (await function.execute(given, context())).output == [[1.0], [1.0]]
    assert (inner.requests[1].texts, inner.requests[1].model, inner.requests[1].dimensions) == (("a", "b"), "m", 3)
    assert inner.requests[0].key == context().key


@pytest.mark.parametrize("given", [{}, {"input": ""}, {"input": []}, {"input": [1]}, {"input": "a", "dimensions": 0}])
async def test_arguments_that_do_not_fit(given):
    with pytest.raises(FunctionFault, match="do not fit"):
        await embed()[0].execute(given, context())


async def test_faults():
    with pytest.raises(FunctionFault) as fault:
        await embed(lost())[0].execute({"input": "a"}, context())
    assert (fault.value.outcome, fault.value.problem["type"].endswith("/communication")) == ("unknown", True)
    with pytest.raises(FunctionFault, match="no model provider named 'q'"):
        await embed()[0].execute({"input": "a", "provider": "q"}, context())


async def test_a_secret_never_goes_to_a_model():
    function, inner = embed()
    from perdure.interpreter.handles import SECRET

    with pytest.raises(FunctionFault) as fault:
        await function.execute({"input": {SECRET: ["token"]}}, context())
    assert fault.value.problem["type"].endswith("/authorization")
    assert inner.requests == []


def test_its_own_description():
    function, _ = embed()
    assert (function.name, function.version, function.effect_of({}, {})) == ("embed", "1.0.0", "idempotent")
    assert msgspec.json.encode(function.input_schema)
    assert "default p" in repr(function)
