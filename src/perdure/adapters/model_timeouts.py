"""Limits on how long a provider may take: for its first chunk, between two chunks, and for the whole."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import NamedTuple

import msgspec

from perdure.ports.model import Answer, Chunk, Model, ModelFailed, Request, Texts, Vectors


class Limits(NamedTuple):
    """Seconds; `first` and `idle` are about streams."""

    first: float = 120.0
    idle: float = 60.0
    total: float = 600.0


class TimedModel:
    """Asks `model` and gives up at the limits, or at the time of the request when that is sooner."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model = model
        self._limits = limits

    def __repr__(self) -> str:
        return f"TimedModel({self._model!r}, {self._limits!r})"

    async def ask(self, request: Request) -> Answer:
        seconds = min(self._limits.total, request.timeout)
        try:
            async with asyncio.timeout(seconds):
                return await self._model.ask(msgspec.structs.replace(request, timeout=seconds))
        except TimeoutError:
            raise _late("did not answer", seconds) from None

    async def embed(self, texts: Texts) -> Vectors:
        seconds = min(self._limits.total, texts.timeout)
        try:
            async with asyncio.timeout(seconds):
                return await self._model.embed(msgspec.structs.replace(texts, timeout=seconds))
        except TimeoutError:
            raise _late("did not answer", seconds) from None

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        total = min(self._limits.total, request.timeout)
        ends = asyncio.get_running_loop().time() + total
        step, what = self._limits.first, "did not begin to answer"
        async with contextlib.aclosing(self._model.stream(msgspec.structs.replace(request, timeout=total))) as chunks:
            while True:
                left = ends - asyncio.get_running_loop().time()
                try:
                    async with asyncio.timeout(max(0.0, min(step, left))):
                        chunk = await anext(chunks, None)
                except TimeoutError:
                    raise _late(what, step) if step < left else _late("did not answer", total) from None
                if chunk is None:
                    return
                yield chunk
                step, what = self._limits.idle, "stopped in the middle of its answer: nothing came"


def _late(what: str, seconds: float) -> ModelFailed:
    return ModelFailed(f"The model {what} within {seconds:g} s.", failure="timeout", sent=True)
