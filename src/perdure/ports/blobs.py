"""A place for big values: by name, written once, forgotten by age."""

from typing import Protocol


class Blobs(Protocol):
    """Bytes by name. A name is made of parts separated by `/`; each part is letters, digits, `-`, `_`, `.`, `~` or `%`, and
    does not begin with a dot.

    Unavailable when the place cannot be reached.
    """

    async def put(self, name: str, body: bytes, *, is_hash: bool = False) -> bool:
        """Keep the bytes under a name, on the disk before the answer. False when the name is taken; what is there stays as it
        is, and of many who put at once, one hears True.

        `is_hash`: the name says what the bytes are, so that all who put there put the same; then what is there becomes
        young again (an hour old at most), and the answer says nothing.
        """
        ...

    async def get(self, name: str) -> bytes | None:
        """The bytes, or None when there are none of this name."""
        ...

    async def names(self, prefix: str) -> list[str]:
        """The parts that follow `prefix/` in the names there are, each once, in order of the alphabet."""
        ...

    async def delete(self, name: str, *, before: int) -> bool:
        """Forget the bytes if they were put before this time (milliseconds since the epoch); whether they were."""
        ...
