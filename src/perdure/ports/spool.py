"""Lines that outlive the process that wrote them, until they are kept elsewhere."""

from collections.abc import Sequence
from typing import Protocol


class Page(Protocol):
    """Some of the lines."""

    def lines(self) -> list[bytes]:
        """As they were put. The last one may be cut off, and all may be nonsense where the machine lost power."""
        ...

    def drop(self) -> None:
        """They are kept elsewhere."""
        ...

    def leave(self) -> None:
        """They could not be kept elsewhere: they are left to the next process."""
        ...


class Spool(Protocol):
    """Of one process. What others left is found once they have ended, however they ended."""

    def put(self, line: bytes) -> None:
        """Kept when this returns, whatever becomes of the process; not if the machine loses power. OSError when there is no room."""
        ...

    def turn(self) -> Page:
        """What was put since the last turn."""
        ...

    def left(self) -> Sequence[Page]:
        """What processes that have ended left."""
        ...

    def close(self) -> None: ...
