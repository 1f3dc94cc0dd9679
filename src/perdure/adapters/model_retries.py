"""A model that is asked again a few times when that may help and buys nothing twice.

What to do is decided by `pause`, which is pure; the rest is a loop. A stream is begun again only while nothing of it was
passed on.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from hashlib import blake2b
from typing import NamedTuple, TypeVar

import msgspec

from perdure.ports.clock import Clock
from perdure.ports.model import Answer, Chunk, Model, ModelFailed, Request, Texts, Vectors

T = TypeVar("T")


class Patience(NamedTuple):
    """How often to ask again, after how many seconds at first (doubled each time), and how long to wait at most."""

    retries: int = 2
    first: float = 0.5
    longest: float = 30.0


PATIENCE = Patience()


def pause(failed: ModelFailed, retry: int, left: float, key: str, patience: Patience = PATIENCE) -> float | None:
    """Seconds to wait before asking again, or None to give up. `retry` counts from 0, `left` is the time left.

    What the endpoint asks for is kept to; else the wait is spread over its second half, by the key, so that requests that
    failed together do not come again together.
    """
    if not failed.again or retry >= patience.retries:
        return None
    wait = failed.wait
    if wait is None:
        spread = blake2b(f"{key}/{retry}".encode(), digest_size=2).digest()
        wait = patience.first * 2.0**retry * (1 - int.from_bytes(spread) / 131_072)
    return None if wait > min(left, patience.longest) else wait


class RetriedModel:
    """Asks `model` again as `patience` says, within the time of the request."""

    def __init__(self, model: Model, clock: Clock, patience: Patience = PATIENCE) -> None:
        self._model = model
        self._clock = clock
        self._patience = patience

    def __repr__(self) -> str:
        return f"RetriedModel({self._model!r}, {self._patience.retries} retries)"

    async def ask(self, request: Request) -> Answer:
        return await self._again(request, lambda left: self._model.ask(msgspec.structs.replace(request, timeout=left)))

    async def embed(self, texts: Texts) -> Vectors:
        return await self._again(texts, lambda left: self._model.embed(msgspec.structs.replace(texts, timeout=left)))

    async def _again(self, request: Request | Texts, attempt: Callable[[float], Awaitable[T]]) -> T:
        ends = self._clock.monotonic() + request.timeout
        retry = 0
        while True:
            try:
                return await attempt(self._left(ends, request.timeout))
            except ModelFailed as failed:
                await self._rest(failed, retry, ends, request.key)
                retry += 1

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        ends = self._clock.monotonic() + request.timeout
        retry, is_begun = 0, False
        while True:
            wanted = msgspec.structs.replace(request, timeout=self._left(ends, request.timeout))
            try:
                async with contextlib.aclosing(self._model.stream(wanted)) as chunks:
                    async for chunk in chunks:
                        is_begun = True
                        yield chunk
                return
            except ModelFailed as failed:
                if is_begun:
                    raise
                await self._rest(failed, retry, ends, request.key)
                retry += 1

    def _left(self, ends: float, timeout: float) -> float:
        left = ends - self._clock.monotonic()
        if left <= 0:
            raise ModelFailed(f"The model did not answer within {timeout:g} s.", failure="timeout")
        return left

    async def _rest(self, failed: ModelFailed, retry: int, ends: float, key: str) -> None:
        """Wait, or raise the failure when there is nothing to wait for."""
        wait = pause(failed, retry, ends - self._clock.monotonic(), key, self._patience)
        if wait is None:
            raise failed
        await self._clock.sleep(wait)
