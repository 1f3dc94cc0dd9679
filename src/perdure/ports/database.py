"""A service's own database. Stores see a connection and a tenant; who opens and commits is the adapter."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from sqlalchemy import Connection

EVERY = "*"
"""The tenant of sweeps over all tenants (due schedules, the outbox); never that of a request."""

T = TypeVar("T")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, for others to hear: one CloudEvent, past tense and versioned (`dev.perdure.x.happened.v1`)."""

    type: str
    subject: str
    data: dict[str, Any]
    id: str = ""
    """Empty: the outbox gives one."""


class Transaction(Protocol):
    """One transaction in the making."""

    @property
    def connection(self) -> "Connection": ...
    @property
    def tenant(self) -> str: ...
    def tell(self, event: Told) -> None:
        """Put an event into the outbox: it goes out if and only if this transaction commits."""
        ...

    def once(self, event: str) -> bool:
        """Remember an event's identity here. False when it was taken before: then do nothing."""
        ...


class Database(Protocol):
    """Transactions of one service. Every one has a tenant, which the database itself enforces where it can.

    `work` is synchronous, runs in a thread, may be run again after a lost connection or a conflict, and must have no
    effect besides its transaction. Unavailable when the database cannot be reached; errors of `work` pass through.
    """

    def read(self, tenant: str, work: Callable[["Connection"], T]) -> Awaitable[T]: ...
    def write(self, tenant: str, work: Callable[[Transaction], T]) -> Awaitable[T]: ...
