"""One model behind several keys or deployments: each request goes to the one with the least to do for its weight.

`choose` decides and is pure. A member that is busy or out of order is passed over for the next one at once, while
nothing of its answer was passed on.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from perdure.adapters.model_fallbacks import is_worth_another
from perdure.ports.model import Answer, Chunk, Model, ModelFailed, Request, Texts, Vectors

T = TypeVar("T")


class Member:
    """One deployment: its weight, whether it may be asked now, and what it has to do."""

    def __init__(self, model: Model, weight: float = 1.0, is_ready: Callable[[], bool] = lambda: True) -> None:
        self.model = model
        self.weight = weight
        self.is_ready = is_ready
        self.in_flight = 0
        self.given = 0

    def __repr__(self) -> str:
        return f"Member({self.model!r}, weight {self.weight:g}, {self.in_flight} in flight, {self.given} given)"


def choose(members: Sequence[Member]) -> Member | None:
    """The one with the least in flight for its weight; among equals the one that was given least for its weight."""
    ready = [member for member in members if member.is_ready()]
    if not ready:
        return None
    return min(ready, key=lambda member: (member.in_flight / member.weight, member.given / member.weight))


class BalancedModel:
    """Spreads requests over `members`."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)

    def __repr__(self) -> str:
        return f"BalancedModel({len(self._members)} members, {sum(m.in_flight for m in self._members)} in flight)"

    async def ask(self, request: Request) -> Answer:
        return await self._first(lambda model: model.ask(request))

    async def embed(self, texts: Texts) -> Vectors:
        return await self._first(lambda model: model.embed(texts))

    async def _first(self, attempt: Callable[[Model], Awaitable[T]]) -> T:
        left = list(self._members)
        failure = None
        while (member := choose(left)) is not None:
            left.remove(member)
            try:
                with _counted(member):
                    return await attempt(member.model)
            except ModelFailed as failed:
                failure = _kept(failed)
        raise failure or _none()

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        left = list(self._members)
        failure, is_begun = None, False
        while (member := choose(left)) is not None:
            left.remove(member)
            try:
                async with contextlib.aclosing(_counted_stream(member, request)) as chunks:
                    async for chunk in chunks:
                        is_begun = True
                        yield chunk
                return
            except ModelFailed as failed:
                if is_begun:
                    raise
                failure = _kept(failed)
        raise failure or _none()


@contextlib.contextmanager
def _counted(member: Member) -> Iterator[None]:
    member.in_flight += 1
    member.given += 1
    try:
        yield
    finally:
        member.in_flight -= 1


async def _counted_stream(member: Member, request: Request) -> AsyncGenerator[Chunk, None]:
    with _counted(member):
        async with contextlib.aclosing(member.model.stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk


def _kept(failed: ModelFailed) -> ModelFailed:
    """Only what cost nothing is asked of another deployment: a timeout would cost the time once more for each."""
    if not is_worth_another(failed) or (failed.sent and not failed.again):
        raise failed
    return failed


def _none() -> ModelFailed:
    return ModelFailed(
        "All deployments of this model have failed too often and are left alone for a while.", failure="communication"
    )
