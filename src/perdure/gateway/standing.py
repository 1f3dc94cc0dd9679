"""Whether this process takes requests, and the end of doing so: those who are under way hear of it."""

from collections.abc import Callable


class Standing:
    """Open until `drain`; then not ready, and every listener is called once."""

    def __init__(self) -> None:
        self.draining = False
        self._listeners: set[Callable[[], None]] = set()

    def __repr__(self) -> str:
        return f"Standing({'draining' if self.draining else 'open'}, listeners={len(self._listeners)})"

    def listen(self, listener: Callable[[], None]) -> None:
        self._listeners.add(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        self._listeners.discard(listener)

    def drain(self) -> None:
        """Say that the process is about to stop. Doing so twice changes nothing."""
        self.draining = True
        listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener()
