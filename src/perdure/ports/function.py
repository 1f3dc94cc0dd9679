"""A function: one effect that a document can call. Both engines run the same table of them."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec

from perdure.language.values import Json

Effect = Literal["read", "idempotent", "unsafe"]
"""`read` and `idempotent` are run again with the same key when a process died between sending and hearing the answer;
`unsafe` never is: such a call becomes `outcome unknown`."""


class FunctionFault(Exception):
    """A function's failure as the workflow sees it.

    `problem` is a problem of `interpreter/faults.py`. `outcome` is `definite` when whoever performs the effect said that
    it did not happen under this idempotency key, and `unknown` in every other case: an earlier delivery of the same call
    may have happened even when this one was never sent. A retry keeps the key while the outcome is unknown.
    """

    def __init__(self, problem: dict[str, Any], outcome: Literal["definite", "unknown"] = "definite") -> None:
        super().__init__(problem.get("detail") or problem.get("title") or problem["type"])
        self.problem = problem
        self.outcome: Literal["definite", "unknown"] = outcome


class Result(msgspec.Struct, frozen=True):
    """What a function gives back when it has more to tell than its output."""

    output: Json
    usage: dict[str, Any] | None = None


def _any_host(name: str) -> tuple[str, ...]:
    return ()


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds one call."""

    tenant: str
    run: str
    path: str
    ref: str
    key: str
    """Idempotency key: the same for every redelivery of this call."""
    attempt: int
    deadline: int | None
    """Milliseconds since the epoch by the engine's clock, or None. The engine cancels the call at that time anyway."""
    resources: dict[str, Json]
    """Outside documents pinned at publish, by absolute address (`functions/resolve.py`)."""
    secret: Callable[[list[str]], Json]
    """Resolves a secret path. FunctionFault `authorization`/403 when it is missing or forbidden."""
    secret_hosts: Callable[[str], tuple[str, ...]] = _any_host
    """The hosts that the secret of this name may be sent to (`*.example.com` patterns); empty: any."""
    progress: Callable[[dict[str, Any]], None]
    """Report something for the timeline of a live viewer (tokens so far, bytes so far); not journaled."""


class Function(Protocol):
    """One callable effect."""

    name: str
    version: str
    effect: Effect
    summary: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]

    def execute(self, arguments: Json, context: Context) -> Awaitable[Json | Result]:
        """Do it once. Arguments may hold secret handles: `handles.resolve(arguments, context.secret)` opens them.

        Raises FunctionFault; any other exception is reported as `runtime`/500 with its text as detail.
        """
        ...

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        """The effect class of this very call (an HTTP GET reads, a POST does not); `resources` as in Context."""
        ...
