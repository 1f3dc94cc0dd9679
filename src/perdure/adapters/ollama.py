"""Models behind an Ollama server (`/api/chat`, `/api/embed`), reached through the egress port."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from perdure.adapters import model_answers, ollama_wire
from perdure.adapters.model_endpoint import Endpoint, Key, base, bearer
from perdure.adapters.openai import checked
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress
from perdure.ports.model import Answer, Chunk, ModelFailed, Request, Texts, Vectors

ADDRESS = "http://127.0.0.1:11434"


class OllamaModel:
    """One server. `model` is the default model."""

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        url: str = ADDRESS,
        key: str | Key = "",
        model: str = "",
        where: str = "PERDURE_MODELS",
    ) -> None:
        address = base(url, "/api", "/chat", "/embed")
        self._endpoint = Endpoint(egress, clock, url=address, key=key, header=bearer, where=where)
        self._model = model

    def __repr__(self) -> str:
        return f"OllamaModel({self._endpoint.url}, model {self._model or 'default'})"

    async def ask(self, request: Request) -> Answer:
        """One request. Raises ModelFailed."""
        model = request.model or self._model
        body = ollama_wire.body(request, model)
        wire = await self._endpoint.post("/chat", body, key=request.key, timeout=request.timeout)
        return ollama_wire.answer(wire, model)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request, its answer as it comes. Raises ModelFailed."""
        model = request.model or self._model
        body = ollama_wire.body(request, model, is_streamed=True)
        reading = ollama_wire.Stream(model)
        lines = self._endpoint.lines("/chat", body, key=request.key, timeout=request.timeout)
        async with contextlib.aclosing(lines):
            async for line in lines:
                for chunk in reading.take(line):
                    yield chunk
        yield reading.end()

    async def embed(self, texts: Texts) -> Vectors:
        """One request. Raises ModelFailed."""
        model = texts.model or self._model
        body: dict[str, Any] = {"model": model, "input": list(texts.texts)}
        if texts.dimensions is not None:
            body["dimensions"] = texts.dimensions
        wire = await self._endpoint.post("/embed", body, key=texts.key, timeout=texts.timeout)
        try:
            vectors = tuple(tuple(float(value) for value in vector) for vector in wire["embeddings"])
            usage = model_answers.usage(wire.get("model") or model, wire.get("prompt_eval_count"), 0)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ModelFailed(
                "The model endpoint answered with something that is no list of embeddings.",
                failure="communication",
                sent=True,
            ) from None
        return checked(vectors, usage, texts)
