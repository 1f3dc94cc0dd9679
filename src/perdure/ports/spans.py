"""Where time goes, across processes: spans in the sense of OpenTelemetry, joined by W3C trace context."""

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

TRACEPARENT: ContextVar[str] = ContextVar("perdure_traceparent", default="")
"""The span we are in, as W3C `traceparent`; empty when nothing is traced. It goes out with calls and events."""


class Span(Protocol):
    """One piece of work in the making."""

    def set(self, name: str, value: str | float | bool) -> None: ...
    def fail(self, reason: str) -> None:
        """The work did not succeed; `reason` is an error code, never a text of a user."""
        ...


class Spans(Protocol):
    """Makes spans, or nothing at no cost."""

    @property
    def on(self) -> bool: ...
    def span(
        self, name: str, *, kind: str = "internal", parent: str = "", state: str = ""
    ) -> AbstractContextManager[Span]:
        """A span under `parent` (a `traceparent` with its `tracestate`), or under the one we are in.

        `kind` is `internal`, `server`, `client`, `producer` or `consumer`. An exception that passes marks it failed.
        """
        ...

    def close(self) -> None:
        """Send what is held back, within a few seconds."""
        ...
