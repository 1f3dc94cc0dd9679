"""Models behind an OpenAI-compatible endpoint: chat completions and embeddings, reached through the egress port."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

from perdure.adapters import model_answers, model_vectors, openai_chat_wire
from perdure.adapters.model_endpoint import Endpoint, Key, base, bearer
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress
from perdure.ports.model import Answer, Chunk, Request, Texts, Vectors

ORIGIN = "api.openai.com"


class OpenAIModel:
    """One endpoint. `url` is its base address (`https://host` or `https://host/v1`), `model` the default model."""

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        url: str,
        key: str | Key = "",
        model: str = "",
        where: str = "PERDURE_MODEL_KEY",
    ) -> None:
        address = base(url, "/v1", "/chat/completions", "/embeddings")
        self._endpoint = Endpoint(egress, clock, url=address, key=key, header=bearer, where=where)
        self._is_origin = urlsplit(url).hostname == ORIGIN
        self._model = model
        self._has_key = bool(key)

    def __repr__(self) -> str:
        key = "with" if self._has_key else "without"
        return f"OpenAIModel({self._endpoint.url}, model {self._model or 'default'}, {key} key)"

    def _named(self, model: str) -> str:
        return model or self._model or "default"

    async def ask(self, request: Request) -> Answer:
        """One request. Raises ModelFailed."""
        model = self._named(request.model)
        body = openai_chat_wire.body(request, model, is_origin=self._is_origin)
        wire = await self._endpoint.post("/chat/completions", body, key=request.key, timeout=request.timeout)
        return openai_chat_wire.answer(wire, model)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request, its answer as it comes. Raises ModelFailed."""
        model = self._named(request.model)
        body = openai_chat_wire.body(request, model, is_origin=self._is_origin, is_streamed=True)
        reading = openai_chat_wire.Stream(model)
        events = self._endpoint.events(
            "/chat/completions", body, key=request.key, timeout=request.timeout, until=lambda: reading.is_done
        )
        async with contextlib.aclosing(events):
            async for event in events:
                for chunk in reading.take(event.data):
                    yield chunk
        if not reading.is_done:
            yield reading.end()  # some endpoints leave the last event out

    async def embed(self, texts: Texts) -> Vectors:
        """One request. Raises ModelFailed."""
        model = self._named(texts.model)
        body: dict[str, Any] = {"model": model, "input": list(texts.texts), "encoding_format": "float"}
        if texts.dimensions is not None:
            body["dimensions"] = texts.dimensions
        wire = await self._endpoint.post("/embeddings", body, key=texts.key, timeout=texts.timeout)
        with model_vectors.listed():
            placed = sorted(wire["data"], key=lambda item: int(item["index"]))
            used = wire.get("usage") or {}
            usage = model_answers.usage(wire.get("model") or model, used.get("prompt_tokens"), 0)
            return model_vectors.checked((item["embedding"] for item in placed), usage, texts)
