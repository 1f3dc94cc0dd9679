"""Opening what stands on servers that may be away: again and again until they are there, and told in words meanwhile.

What is needed (engine, databases) is waited for, and the process is not ready; without what is only watched (cache,
broker) it goes on, and says so.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeVar

from perdure.errors import Unavailable

if TYPE_CHECKING:
    from perdure.gateway.health import Check

_Opened = TypeVar("_Opened")
_AGAIN = 2.0
_PATIENCE = 2.0
WITHOUT = {
    "cache": "Limits and idempotency keys are not kept until it is there.",
    "broker": "Events wait in the outbox until it is there.",
}
"""What a process does without that goes on without a part."""


class Away(Unavailable):
    """A part that is needed cannot be reached now."""

    def __init__(self, part: str, cause: Unavailable) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.part = part


@contextlib.contextmanager
def part(name: str) -> Iterator[None]:
    """What is unavailable in here is this part."""
    try:
        yield
    except Away:
        raise
    except Unavailable as error:
        raise Away(name, error) from error


def part_of(error: Unavailable) -> str:
    """Which part it is about."""
    return error.part if isinstance(error, Away) else "servers"


class Waiting:
    """Says what is waited for, each new reason once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = ""

    def __repr__(self) -> str:
        return f"Waiting({self._told!r})"

    def __call__(self, error: Unavailable) -> None:
        if self._told != str(error):
            self._told = str(error)
            self._say(f"{error} Trying again until it is there.")


async def reached(
    opened: Callable[[], AbstractAsyncContextManager[_Opened]],
    stack: contextlib.AsyncExitStack,
    stop: asyncio.Event,
    tell: Callable[[Unavailable], None],
) -> _Opened | None:
    """What is opened, as soon as everything can be reached; None when told to stop before."""
    while not stop.is_set():
        try:
            return await stack.enter_async_context(opened())
        except Unavailable as error:
            tell(error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _AGAIN)
    return None


async def missing(watched: Mapping[str, "Check"]) -> list[str]:
    """One line for each part that a process begins without."""
    states = await asyncio.gather(*(_reason(name, check) for name, check in watched.items()))
    return [f"{reason} {WITHOUT.get(name, '')}".strip() for name, reason in zip(watched, states, strict=True) if reason]


async def _reason(name: str, check: "Check") -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            await check()
    except Unavailable as error:
        return error.message
    except TimeoutError:
        return f"The {name} did not answer within {_PATIENCE:.0f} seconds."
    return ""
