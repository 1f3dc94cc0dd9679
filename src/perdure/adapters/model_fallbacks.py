"""Several models in an order: the next is asked when one cannot answer.

A request that is itself at fault (400 and the like) would fail everywhere and is not sent on. A stream goes to the next
only while nothing of it was passed on.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from perdure.ports.clock import Clock
from perdure.ports.model import Answer, Chunk, Model, ModelFailed, Request, Texts, Vectors

T = TypeVar("T")

_AT_FAULT = frozenset({400, 413, 422})


def is_worth_another(failed: ModelFailed) -> bool:
    """Whether another provider may do better."""
    return failed.status not in _AT_FAULT and failed.failure != "validation"


class FallbackModel:
    """Asks `models` one after the other, within the time of the request; the last one's failure is the failure."""

    def __init__(self, models: Sequence[Model], clock: Clock) -> None:
        self._models = tuple(models)
        self._clock = clock

    def __repr__(self) -> str:
        return f"FallbackModel({', '.join(map(repr, self._models))})"

    def priced(self, usage: dict[str, Any], model: str) -> dict[str, Any]:
        """As the first of them costs: nobody knows which one answered."""
        return self._models[0].priced(usage, model) if hasattr(self._models[0], "priced") else usage

    async def ask(self, request: Request) -> Answer:
        return await self._first(
            request.timeout, lambda model, left: model.ask(msgspec.structs.replace(request, timeout=left))
        )

    async def embed(self, texts: Texts) -> Vectors:
        return await self._first(
            texts.timeout, lambda model, left: model.embed(msgspec.structs.replace(texts, timeout=left))
        )

    async def _first(self, timeout: float, attempt: Callable[[Model, float], Awaitable[T]]) -> T:
        ends = self._clock.monotonic() + timeout
        for number, model in enumerate(self._models, 1):
            try:
                return await attempt(model, ends - self._clock.monotonic())
            except ModelFailed as failed:
                self._go_on(failed, number, ends)
        raise _none()

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        ends = self._clock.monotonic() + request.timeout
        is_begun = False
        for number, model in enumerate(self._models, 1):
            wanted = msgspec.structs.replace(request, timeout=ends - self._clock.monotonic())
            try:
                async with contextlib.aclosing(model.stream(wanted)) as chunks:
                    async for chunk in chunks:
                        is_begun = True
                        yield chunk
                return
            except ModelFailed as failed:
                if is_begun:
                    raise
                self._go_on(failed, number, ends)
        raise _none()

    def _go_on(self, failed: ModelFailed, number: int, ends: float) -> None:
        is_over = number == len(self._models) or ends <= self._clock.monotonic()
        if is_over or not is_worth_another(failed):
            raise failed


def _none() -> ModelFailed:
    return ModelFailed("There is no model to ask.", failure="configuration")
