"""Models behind an endpoint that speaks Anthropic's messages (`/v1/messages`), reached through the egress port."""

import contextlib
from collections.abc import AsyncGenerator

import msgspec

from perdure.adapters import anthropic_wire
from perdure.adapters.model_answer_tool import AnswerTool
from perdure.adapters.model_endpoint import EndpointModel
from perdure.ports.model import Answer, Chunk, ModelFailed, Request, Texts, Vectors

_VERSION = {"anthropic-version": "2023-06-01"}


def _asked(request: Request) -> AnswerTool:
    """What is to be sent; who says on this very wire what binds the answer needs no tool for it."""
    is_bound = anthropic_wire.is_bound(request)
    return AnswerTool(msgspec.structs.replace(request, schema=None) if is_bound else request)


def _headers(request: Request) -> dict[str, str]:
    beta = request.more.get(anthropic_wire.BETA) if request.dialect == anthropic_wire.DIALECT else None
    return {**_VERSION, anthropic_wire.BETA: beta} if isinstance(beta, str) else _VERSION


class AnthropicModel(EndpointModel):
    """One endpoint. `model` is the default model."""

    address = "https://api.anthropic.com"
    paths = ("/v1", "/messages")

    @staticmethod
    def header(secret: str) -> dict[str, str]:
        return {"x-api-key": secret}

    async def ask(self, request: Request) -> Answer:
        """One request. Raises ModelFailed."""
        tool, model = _asked(request), request.model or self._model
        body = anthropic_wire.body(tool.request, model)
        headers = _headers(request)
        wire = await self._endpoint.post("/messages", body, key=request.key, timeout=request.timeout, headers=headers)
        return tool.answer(anthropic_wire.answer(wire, model))

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request, its answer as it comes. Raises ModelFailed."""
        tool, model = _asked(request), request.model or self._model
        body = anthropic_wire.body(tool.request, model, is_streamed=True)
        reading = anthropic_wire.Stream(model)
        events = self._endpoint.events(
            "/messages",
            body,
            key=request.key,
            timeout=request.timeout,
            until=lambda: reading.is_done,
            headers=_headers(request),
        )
        async with contextlib.aclosing(events):
            async for event in events:
                for chunk in reading.take(event.data):
                    for shown in tool.chunk(chunk):
                        yield shown
        if not reading.is_done:
            reading.end()

    async def embed(self, texts: Texts) -> Vectors:
        """ModelFailed: this wire has no embeddings."""
        raise ModelFailed("This provider of models has no embeddings: name another one.", failure="configuration")
