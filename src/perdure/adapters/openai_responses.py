"""Models behind an endpoint that speaks OpenAI's responses (`/v1/responses`), reached through the egress port."""

import contextlib
from collections.abc import AsyncGenerator

from perdure.adapters import openai_responses_wire
from perdure.adapters.model_endpoint import Endpoint, Key, base, bearer
from perdure.adapters.openai import OpenAIModel
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress
from perdure.ports.model import Answer, Chunk, Request, Texts, Vectors


class OpenAIResponsesModel:
    """One endpoint. `url` is its base address, `model` the default model. Embeddings are those of the same endpoint."""

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        url: str,
        key: str | Key = "",
        model: str = "",
        where: str = "PERDURE_MODELS",
    ) -> None:
        address = base(url, "/v1", "/responses")
        self._endpoint = Endpoint(egress, clock, url=address, key=key, header=bearer, where=where)
        self._others = OpenAIModel(egress, clock, url=address, key=key, model=model, where=where)
        self._model = model

    def __repr__(self) -> str:
        return f"OpenAIResponsesModel({self._endpoint.url}, model {self._model or 'default'})"

    async def ask(self, request: Request) -> Answer:
        """One request. Raises ModelFailed."""
        model = request.model or self._model or "default"
        body = openai_responses_wire.body(request, model)
        wire = await self._endpoint.post("/responses", body, key=request.key, timeout=request.timeout)
        return openai_responses_wire.answer(wire, model)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request, its answer as it comes. Raises ModelFailed."""
        model = request.model or self._model or "default"
        body = openai_responses_wire.body(request, model, is_streamed=True)
        reading = openai_responses_wire.Stream(model)
        events = self._endpoint.events(
            "/responses", body, key=request.key, timeout=request.timeout, until=lambda: reading.is_done
        )
        async with contextlib.aclosing(events):
            async for event in events:
                for chunk in reading.take(event.data):
                    yield chunk
        if not reading.is_done:
            reading.end()

    async def embed(self, texts: Texts) -> Vectors:
        """One request. Raises ModelFailed."""
        return await self._others.embed(texts)
