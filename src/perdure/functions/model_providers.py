"""Asks the models of this installation, and makes their failures faults of the run.

`infer`, `model` and `embed` ask through it.
"""

import contextlib
from collections.abc import Callable, Collection
from typing import Any, NoReturn

import msgspec

from perdure.interpreter.faults import problem
from perdure.ports.function import FunctionFault
from perdure.ports.model import Answer, Model, ModelFailed, Request, TextDelta, Texts, Vectors

TIMEOUT = 600.0
"""Seconds: a model on one thread answers one call after the other."""


class Providers:
    """`models` are all models behind one face, which takes `provider/model` for a name; `names` are the providers."""

    def __init__(self, models: Model, names: Collection[str]) -> None:
        self._models = models
        self._names = frozenset(names)

    async def ask(
        self, provider: str | None, request: Request, told: Callable[[dict[str, Any]], None] | None = None
    ) -> Answer:
        """Ask once; the usage names the provider. With `told` the text is reported as it comes. Raises FunctionFault."""
        request = msgspec.structs.replace(request, model=self._name(provider, request.model))
        try:
            return await (self._models.ask(request) if told is None else self._live(request, told))
        except ModelFailed as failed:
            raise _fault(failed) from None

    async def _live(self, request: Request, told: Callable[[dict[str, Any]], None]) -> Answer:
        answer = None
        async with contextlib.aclosing(self._models.stream(request)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, TextDelta):
                    told({"text": chunk.text})
                answer = chunk
        if not isinstance(answer, Answer):
            raise ModelFailed("The model's stream ended without an answer.", failure="communication", sent=True)
        return answer

    async def embed(self, provider: str | None, texts: Texts) -> Vectors:
        """Vectors of texts. Raises FunctionFault."""
        try:
            return await self._models.embed(msgspec.structs.replace(texts, model=self._name(provider, texts.model)))
        except ModelFailed as failed:
            raise _fault(failed) from None

    def _name(self, provider: str | None, model: str) -> str:
        if provider is None:
            return model
        if provider not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            refuse("configuration", f"There is no model provider named {provider!r} here (known: {known}).")
        return f"{provider}/{model}" if model else provider

    def __repr__(self) -> str:
        return f"Providers({self._models!r})"


def _fault(failed: ModelFailed) -> FunctionFault:
    fault = problem(failed.failure, status=failed.status, detail=str(failed))
    return FunctionFault(fault, "unknown" if failed.sent else "definite")


def refuse(name: str, detail: str) -> NoReturn:
    """Raise a fault of a standard type."""
    raise FunctionFault(problem(name, detail=detail))
