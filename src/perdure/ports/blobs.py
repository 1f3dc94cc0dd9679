"""A place for big values: by name, written once."""

from typing import Protocol


class Blobs(Protocol):
    """Bytes by name. A name is made of parts separated by `/`; each part is letters, digits, `-`, `_`, `.`, `~` or `%`.

    Unavailable when the place cannot be reached.
    """

    async def put(self, name: str, body: bytes) -> bool:
        """Keep the bytes under a name for ever. False when the name is taken; what is there stays as it is."""
        ...

    async def get(self, name: str) -> bytes | None:
        """The bytes, or None when there are none of this name."""
        ...

    async def names(self, prefix: str) -> list[str]:
        """The last parts of the names that have `prefix` and one part more, in order of the alphabet."""
        ...
