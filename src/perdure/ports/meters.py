"""Numbers that are counted while working, for `/metrics`. Names and labels are a table in `adapters/metrics.py`."""

from collections.abc import Callable, Mapping
from typing import Protocol


class Meters(Protocol):
    """A label's values must be few: routes, methods, statuses; never a tenant, a user or an id."""

    def add(self, name: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Count."""
        ...

    def observe(self, name: str, labels: tuple[str, ...], value: float) -> None:
        """Sort a measured value into its histogram."""
        ...

    def watch(self, name: str, read: Callable[[], float | Mapping[tuple[str, ...], float]]) -> None:
        """Ask whenever somebody looks: for the value, or for the values by their labels. A count never falls."""
        ...

    def text(self, accept: str) -> tuple[bytes, str]:
        """All of it in the exposition format that fits the `Accept` header, and its content type."""
        ...
