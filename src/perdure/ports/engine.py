"""An engine: what drives runs. Two implementations, one conformance suite (`tests/conformance/engine`)."""

from collections.abc import AsyncIterator
from typing import Any, Literal, Protocol

import msgspec

from perdure.language.values import Json

Status = Literal["pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed"]
ENDED: frozenset[str] = frozenset({"cancelled", "faulted", "completed"})


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run as the outside sees it. Times in whole milliseconds since the Unix epoch."""

    id: str
    tenant: str
    namespace: str
    name: str
    version: str
    program: str
    """Content hash of the program that the run keeps for all its life."""
    status: Status
    started: int
    updated: int
    ended: int | None = None
    input: Json = None
    output: Json = None
    error: dict[str, Any] | None = None
    origin: str | None = None
    """The run this one was forked from."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are meant: all for which every given condition holds."""

    statuses: tuple[Status, ...] = ()
    """Any of these."""
    workflow: str | None = None
    """A name, `namespace.name`, or `namespace.` for all of a namespace."""
    version: str | None = None
    since: int | None = None
    """Started at this moment or later."""
    until: int | None = None
    """Started before this moment."""


ALL = Query()
"""Every run."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the canonical history: equal on every engine for the same document, input and outcomes.

    Made from the machine's Lifecycle commands in order; `number` counts from 1. Only `at` depends on the clock.
    """

    number: int
    at: int
    type: str
    path: str = ""
    ref: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class Engine(Protocol):
    """Every read takes the tenant. NotFound for an unknown run, Conflict where the status does not allow the verb."""

    async def start(
        self,
        tenant: str,
        document: Json,
        input: Json,
        *,
        run: str | None = None,
        resources: dict[str, Json] | None = None,
    ) -> str:
        """Start a run of a checked document and return its id, durable before the answer.

        Idempotent by `run`: the same id with the same document and input gives the same run; with others, Conflict.
        """
        ...

    async def publish(self, tenant: str, document: Json, resources: dict[str, Json]) -> str:
        """Keep a checked document so that `run.workflow` finds it by namespace, name and version; returns its hash.

        Conflict when that version exists with another content.
        """
        ...

    async def deliver(self, tenant: str, event: dict[str, Any]) -> bool:
        """Hand in a CloudEvent (structured JSON form) for all runs of the tenant. False: seen before (source, id)."""
        ...

    async def cancel(self, tenant: str, run: str, *, compensate: bool = False) -> None: ...
    async def suspend(self, tenant: str, run: str) -> None: ...
    async def resume(self, tenant: str, run: str) -> None:
        """Let a suspended run go on. On an interrupted run that is going on already, nothing happens."""
        ...

    async def retry(self, tenant: str, run: str, path: str | None = None) -> None:
        """Enter the faulted task (or the task at `path`) of a faulted or waiting run again."""
        ...

    async def skip(
        self, tenant: str, run: str, path: str | None = None, *, output: Json = None, has_output: bool = False
    ) -> None:
        """End the faulted task (or the task at `path`) with this output, and go on."""
        ...

    async def fork(
        self, tenant: str, run: str, *, path: str | None = None, input: Json = None, document: Json = None
    ) -> str:
        """A new run with the history of `run` up to where `path` began, then on its own; returns its id.

        Without `path` it starts at the beginning, where `input` may replace the input (None keeps it). `document`
        replaces the program; Conflict when the kept history does not fit it.
        """
        ...

    async def describe(self, tenant: str, run: str) -> Run: ...
    async def find(
        self,
        tenant: str,
        query: Query = ALL,
        *,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Run]:
        """Newest first. `before` is the id of the last run of the page before. Inputs and outputs are left out.

        A page shorter than `limit` is the last one. Its cost grows with what is looked at, not with all runs there
        are: an engine filters where its store does, and looks through the rest in pieces.
        """
        ...

    async def history(self, tenant: str, run: str) -> list[Entry]: ...
    async def wait(self, tenant: str, run: str) -> Run:
        """Return when the run has ended."""
        ...

    def watch(self, tenant: str, run: str) -> AsyncIterator[Entry]:
        """The history from its first entry, then live, until the run has ended. Progress of calls comes as entries
        of type `progress` with number 0, which are not part of the history."""
        ...
