"""Who waits for which CloudEvent: an index in memory for runs in memory, rows for the others.

Every subscription is offered each kept event once, in order: first the kept ones, then each new one in the transaction
that stores it. `upto` in a run's record says how far it got, so a crash between the two loses and repeats nothing.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from perdure.interpreter.commands import Subscribe
from perdure.interpreter.correlation import could_match

Filters = list[dict[str, Any]]
Event = dict[str, Any]


class Subscriptions:
    """The index in memory. `read(tenant, type)` gives the rows of runs outside memory."""

    def __init__(self, read: Callable[[str, str], list[tuple[int, str, bytes]]]) -> None:
        self._read = read
        self._by_type: dict[tuple[str, str], dict[tuple[int, str], Filters]] = {}
        self._types: dict[tuple[int, str], list[tuple[str, str]]] = {}
        self._runs: dict[int, dict[str, None]] = {}
        """Runs in memory with their subscriptions: their rows, if any, are out of date."""

    def __repr__(self) -> str:
        return f"Subscriptions(in memory={len(self._types)})"

    def add(self, tenant: str, run: int, command: Subscribe) -> None:
        """From now on new events are offered to it."""
        if (run, command.id) in self._types:
            return
        places = [(tenant, type) for type in types_of(command.filters)]
        for place in places:
            self._by_type.setdefault(place, {})[run, command.id] = command.filters
        self._types[run, command.id] = places
        self._runs.setdefault(run, {})[command.id] = None

    def remove(self, run: int, id: str) -> None:
        """Nothing more is offered to it."""
        for place in self._types.pop((run, id), []):
            waiting = self._by_type[place]
            waiting.pop((run, id), None)
            if not waiting:
                del self._by_type[place]
        if run in self._runs:
            self._runs[run].pop(id, None)

    def leave(self, run: int) -> None:
        """The run is outside memory and its rows are written."""
        for id in list(self._runs.get(run, ())):
            self.remove(run, id)
        self._runs.pop(run, None)

    def enter(self, run: int) -> None:
        """The run is in memory: its rows do not count any more."""
        self._runs.setdefault(run, {})

    def matching(self, tenant: str, event: Event) -> Iterator[tuple[int, str]]:
        """(run, subscription) of everyone who might take the event, each once, oldest run first."""
        found: dict[tuple[int, str], Filters] = {}
        type = event.get("type")
        type = type if isinstance(type, str) else ""
        for place in ((tenant, type), (tenant, "")):
            found.update(self._by_type.get(place, {}))
        for run, id, filters in self._read(tenant, type):
            if run not in self._runs:
                found[run, id] = msgspec.json.decode(filters)
        for key in sorted(found):
            if could_match(found[key], event):
                yield key


def types_of(filters: Filters) -> list[str]:
    """The literal event types of the filters; `['']` when any type may match."""
    types: dict[str, None] = {}
    for one in filters:
        type = (one.get("with") or {}).get("type")
        types[type if isinstance(type, str) else ""] = None
    return [""] if not types or "" in types else list(types)


def wants_earlier(filters: Filters) -> bool:
    """Whether events from before the run's start are offered too (T14): some filter correlates with a known value."""
    return any("expect" in key for one in filters for key in (one.get("correlate") or {}).values())
