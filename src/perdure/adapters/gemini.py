"""Models behind Gemini's own API (`generateContent`, `streamGenerateContent`), reached through the egress port."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import quote

from perdure.adapters import gemini_wire, model_answers, model_vectors
from perdure.adapters.model_answer_tool import AnswerTool
from perdure.adapters.model_endpoint import EndpointModel
from perdure.ports.model import Answer, Chunk, Request, Texts, Vectors


class GeminiModel(EndpointModel):
    """One endpoint. `model` is the default model. A schema together with tools goes by way of a tool, since older
    models take only one of the two."""

    address = "https://generativelanguage.googleapis.com"
    paths = ("/v1beta", "/models")

    @staticmethod
    def header(secret: str) -> dict[str, str]:
        return {"x-goog-api-key": secret}

    async def ask(self, request: Request) -> Answer:
        """One request. Raises ModelFailed."""
        tool, sent, model = self._prepared(request)
        path = f"/models/{quote(model, safe='')}:generateContent"
        wire = await self._endpoint.post(path, gemini_wire.body(sent), key=request.key, timeout=request.timeout)
        answer = gemini_wire.answer(wire, model)
        return answer if tool is None else tool.answer(answer)

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request, its answer as it comes. Raises ModelFailed."""
        tool, sent, model = self._prepared(request)
        reading = gemini_wire.Stream(model)
        path = f"/models/{quote(model, safe='')}:streamGenerateContent?alt=sse"
        events = self._endpoint.events(path, gemini_wire.body(sent), key=request.key, timeout=request.timeout)
        async with contextlib.aclosing(events):
            async for event in events:
                for chunk in reading.take(event.data):
                    for shown in (chunk,) if tool is None else tool.chunk(chunk):
                        yield shown
        for shown in (reading.end(),) if tool is None else tool.chunk(reading.end()):
            yield shown

    def _prepared(self, request: Request) -> tuple[AnswerTool | None, Request, str]:
        model = (request.model or self._model).removeprefix("models/")
        if request.schema is None or not request.tools:
            return None, request, model
        tool = AnswerTool(request)
        return tool, tool.request, model

    async def embed(self, texts: Texts) -> Vectors:
        """One request. Raises ModelFailed. This wire tells no tokens of embeddings."""
        model = (texts.model or self._model).removeprefix("models/")
        more = {} if texts.dimensions is None else {"outputDimensionality": texts.dimensions}
        requests: list[dict[str, Any]] = [
            {"model": f"models/{model}", "content": {"parts": [{"text": text}]}, **more} for text in texts.texts
        ]
        path = f"/models/{quote(model, safe='')}:batchEmbedContents"
        wire = await self._endpoint.post(path, {"requests": requests}, key=texts.key, timeout=texts.timeout)
        usage = model_answers.usage(model, 0, 0)
        with model_vectors.listed():
            return model_vectors.checked((item["values"] for item in wire["embeddings"]), usage, texts)
