"""Big values in memory, for as long as the process lives: tests and trials."""

from perdure.adapters.blobs_directory import checked
from perdure.ports.clock import Clock


class MemoryBlobs:
    """Implements `ports/blobs.py`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[int, bytes]] = {}

    def __repr__(self) -> str:
        return f"MemoryBlobs({len(self._kept)} values)"

    async def put(self, name: str, body: bytes, *, is_hash: bool = False) -> bool:
        is_new = checked(name) not in self._kept
        if is_new or is_hash:
            self._kept[name] = (self._clock.now(), bytes(body))
        return is_new

    async def get(self, name: str) -> bytes | None:
        return self._kept.get(checked(name), (0, None))[1]

    async def names(self, prefix: str) -> list[str]:
        front = checked(prefix) + "/"
        return sorted({name[len(front) :].partition("/")[0] for name in self._kept if name.startswith(front)})

    async def delete(self, name: str, *, before: int) -> bool:
        at, _ = self._kept.get(checked(name), (before, b""))
        return at < before and self._kept.pop(name, None) is not None
