"""A circuit breaker: a provider that fails again and again is left alone for a while, then tried with one request.

`Circuit` decides and is pure: the time is handed in. `GuardedModel` is the thin loop around it.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Iterator
from typing import Literal, TypeVar

from perdure.ports.clock import Clock
from perdure.ports.model import Answer, Chunk, Model, ModelFailed, Request, Texts, Vectors

T = TypeVar("T")


class Circuit:
    """Open after `failures` in a row, for `rest` seconds; then one request may try (half open), and its end decides."""

    def __init__(self, failures: int = 5, rest: float = 30.0) -> None:
        self._most = failures
        self._rest = rest
        self._failed = 0
        self._until: float | None = None
        self._is_tried = False

    def __repr__(self) -> str:
        return f"Circuit({self._failed} failures, {'closed' if self._until is None else f'open until {self._until:g}'})"

    def state(self, now: float) -> Literal["closed", "open", "half-open"]:
        """Whether requests may pass: all, none, or one."""
        if self._until is None:
            return "closed"
        return "open" if now < self._until or self._is_tried else "half-open"

    def begin(self, now: float) -> bool:
        """Whether this request may be sent."""
        state = self.state(now)
        self._is_tried = self._is_tried or state == "half-open"
        return state != "open"

    def succeeded(self) -> None:
        """The provider answered, be it with a refusal that is the request's own fault."""
        self._failed, self._until, self._is_tried = 0, None, False

    def failed(self, now: float, wait: float | None = None) -> None:
        """The provider failed. What it asks for with `wait` is the least rest."""
        self._failed += 1
        if self._failed >= self._most or self._is_tried:
            self._until = now + max(self._rest, wait or 0.0)
        self._is_tried = False

    def abandoned(self) -> None:
        """Nobody waited for the end: that says nothing."""
        self._is_tried = False


def is_the_providers(failed: ModelFailed) -> bool:
    """Whether a failure says something about the provider, and not about the request or this installation."""
    if failed.status is None:
        return failed.failure in ("communication", "timeout")
    return failed.status in {401, 403, 408, 425, 429} or failed.status >= 500


class GuardedModel:
    """Asks `model` while its circuit lets requests pass."""

    def __init__(self, model: Model, circuit: Circuit, clock: Clock) -> None:
        self._model = model
        self._circuit = circuit
        self._clock = clock
        self._last = ""

    def __repr__(self) -> str:
        return f"GuardedModel({self._model!r}, {self._circuit!r})"

    @property
    def is_ready(self) -> bool:
        """Whether a request would be sent now."""
        return self._circuit.state(self._clock.monotonic()) != "open"

    async def ask(self, request: Request) -> Answer:
        return await self._guarded(self._model.ask(request))

    async def embed(self, texts: Texts) -> Vectors:
        return await self._guarded(self._model.embed(texts))

    async def _guarded(self, asking: Awaitable[T]) -> T:
        try:
            with self._passing():
                return await asking
        finally:
            if hasattr(asking, "close"):
                asking.close()  # one that was not let through was never begun

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        with self._passing():
            async with contextlib.aclosing(self._model.stream(request)) as chunks:
                async for chunk in chunks:
                    yield chunk

    @contextlib.contextmanager
    def _passing(self) -> Iterator[None]:
        if not self._circuit.begin(self._clock.monotonic()):
            raise ModelFailed(
                f"The model endpoint has failed too often and is left alone for a while. It last failed so: {self._last}",
                failure="communication",
            )
        is_known = False
        try:
            yield
            is_known = True
            self._circuit.succeeded()
        except ModelFailed as failed:
            is_known = True
            if is_the_providers(failed):
                self._last = str(failed)
                self._circuit.failed(self._clock.monotonic(), failed.wait)
            else:
                self._circuit.succeeded()
            raise
        finally:
            if not is_known:
                self._circuit.abandoned()
