"""How services hear of one another: CloudEvents in structured JSON form, with the extension attribute `tenant`."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

Exchange = Literal["workflow.events", "agent.events", "system.events"]
Listener = Callable[[dict[str, Any]], Awaitable[None]]


class Bus(Protocol):
    """At least once, in no promised order. Unavailable when the broker cannot be reached."""

    def publish(self, exchange: Exchange, event: dict[str, Any]) -> Awaitable[None]:
        """Return when the broker has confirmed that it keeps the event."""
        ...

    def subscribe(self, name: str, exchange: Exchange, types: tuple[str, ...], listener: Listener) -> Awaitable[None]:
        """Call the listener for each event whose type matches one of the patterns (`dev.perdure.approval.*`).

        Processes that subscribe under the same name share the events. An event whose listener fails comes again, a few
        times, and then goes to the dead letters (`dlx`).
        """
        ...

    def keep(self, name: str, exchange: Exchange, types: tuple[str, ...]) -> Awaitable[None]:
        """From now on keep these events for those who will subscribe under this name; nobody listens here. Whoever publishes
        says it first: what nobody has ever asked for is not kept."""
        ...

    def redrive(self, name: str, limit: int = 1000) -> Awaitable[int]:
        """Give the dead letters of a name back to its listener; how many."""
        ...

    def close(self) -> Awaitable[None]: ...
