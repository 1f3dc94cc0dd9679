"""A model that takes only some parameters: the others are left out before a request goes there."""

from collections.abc import AsyncGenerator, Awaitable

import msgspec

from perdure.ports.model import Answer, Chunk, Model, Request, Texts, Vectors


class TrimmedModel:
    """Asks `model` without the parameters named in `without`."""

    def __init__(self, model: Model, without: frozenset[str]) -> None:
        self._model = model
        self._without = without

    def __repr__(self) -> str:
        return f"TrimmedModel({self._model!r}, without {', '.join(sorted(self._without))})"

    def _trimmed(self, request: Request) -> Request:
        kept = {name: value for name, value in request.parameters.items() if name not in self._without}
        return msgspec.structs.replace(request, parameters=kept)

    def ask(self, request: Request) -> Awaitable[Answer]:
        return self._model.ask(self._trimmed(request))

    def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        return self._model.stream(self._trimmed(request))

    def embed(self, texts: Texts) -> Awaitable[Vectors]:
        return self._model.embed(texts)
