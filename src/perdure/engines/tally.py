"""Counts of runs, for both engines: how many began, how they ended, and how many there are by status. No run is named."""

from perdure.ports.engine import Status

OUTCOMES: tuple[Status, ...] = ("completed", "faulted", "cancelled")
OPEN: tuple[Status, ...] = ("pending", "running", "waiting", "suspended", "faulted")
"""What a run may be while it may still change: one that faulted may be mended."""


class Tally:
    """Counts since a process began to work on runs. A run that is mended ends once more."""

    def __init__(self) -> None:
        self.began_total = 0
        self._ended = dict.fromkeys(OUTCOMES, 0)
        self.there: dict[str, int] = {}
        """Runs by status, where somebody knows how many there were to begin with."""

    def __repr__(self) -> str:
        return f"Tally(began={self.began_total}, ended={self._ended}, there={self.there})"

    def began(self, status: str) -> None:
        """A run that was not there before."""
        self.began_total += 1
        self._enter(status)

    def turned(self, before: str, after: str) -> None:
        """A run has another status."""
        self.there[before] = self.there.get(before, 0) - 1
        self._enter(after)

    def ended(self) -> dict[tuple[str, ...], float]:
        """How often runs ended, by outcome."""
        return {(outcome,): count for outcome, count in self._ended.items()}

    def open(self) -> dict[tuple[str, ...], float]:
        """How many runs there are that may still change, by status."""
        return {(status,): self.there.get(status, 0) for status in OPEN}

    def _enter(self, status: str) -> None:
        self.there[status] = self.there.get(status, 0) + 1
        if status in self._ended:
            self._ended[status] += 1
