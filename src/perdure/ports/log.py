"""What a process says while it works: one line an event, with the request and the run it belongs to."""

from contextvars import ContextVar
from typing import Any, Literal, Protocol

Level = Literal["debug", "info", "warning", "error"]

REQUEST: ContextVar[str] = ContextVar("perdure_request", default="")
"""The id of the request being answered; every line written meanwhile carries it."""
RUN: ContextVar[str] = ContextVar("perdure_run", default="")
"""The id of the run being driven."""


class Log(Protocol):
    """Never raises and never waits for long. Values are plain; secrets have no place in them."""

    def __call__(self, level: Level, event: str, **fields: Any) -> None:
        """`event` is a few fixed words (`request answered`); what varies goes into the fields."""
        ...
