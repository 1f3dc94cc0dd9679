"""One request and its answer, as the layers of the gateway know it: each layer fills in its part. No behaviour."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.types import Scope

if TYPE_CHECKING:
    from perdure.gateway.routing import Entry

EXCHANGE = "perdure.exchange"


class Exchange:
    """Kept in the scope under EXCHANGE."""

    __slots__ = ("answer", "begun", "body", "entry", "headers", "id", "sent", "status", "still", "tenant")

    def __init__(self, id: str, headers: dict[bytes, bytes]) -> None:
        self.id = id
        self.headers = headers
        """Of the request, by lower-case name."""
        self.answer: list[tuple[bytes, bytes]] = []
        """Headers that layers add to whatever answer comes."""
        self.entry: Entry | None = None
        self.tenant = ""
        self.still: Callable[[], Awaitable[bool]] | None = None
        """Whether the caller may still have what was asked for: for answers that go on for long."""
        self.body: bytes | None = None
        """The whole body, where it was read before the route."""
        self.status = 0
        self.sent = 0
        self.begun = False

    def __repr__(self) -> str:
        return f"Exchange({self.id}, {self.entry and self.entry.path}, status={self.status}, sent={self.sent})"


def exchange(scope: Scope) -> Exchange:
    found: Exchange = scope[EXCHANGE]
    return found


def entry(scope: Scope) -> "Entry":
    """The route that the request means; only for layers below the routing."""
    found = exchange(scope).entry
    assert found is not None
    return found
