"""Models behind an Ollama server (`/api/chat`, `/api/embed`), reached through the egress port."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from perdure.adapters import model_answers, model_vectors, ollama_wire
from perdure.adapters.model_endpoint import EndpointModel
from perdure.ports.model import Answer, Chunk, Request, Texts, Vectors


class OllamaModel(EndpointModel):
    """One server. `model` is the default model."""

    address = "http://127.0.0.1:11434"
    paths = ("/api", "/chat", "/embed")

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
        with model_vectors.listed():
            usage = model_answers.usage(wire.get("model") or model, wire.get("prompt_eval_count"), 0)
            return model_vectors.checked(wire["embeddings"], usage, texts)
