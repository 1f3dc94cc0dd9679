"""Parameters that a provider does not take are left out."""

from perdure.adapters.model_parameters import TrimmedModel
from perdure.ports.model import Texts
from tests.unit.adapters.model_fakes import Listed, all_of, asked


async def test_they_are_left_out():
    inner = Listed("Hi.")
    model = TrimmedModel(inner, frozenset({"temperature"}))
    await model.ask(asked(parameters={"temperature": 0, "seed": 1}))
    await all_of(model.stream(asked(parameters={"temperature": 0})))
    await model.embed(Texts(texts=("a",), key="k"))
    assert [request.parameters for request in inner.requests[:2]] == [{"seed": 1}, {}]
    assert "without temperature" in repr(model)
