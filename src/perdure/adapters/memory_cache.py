"""A cache inside one process: bounded, gone with the process."""

from perdure.ports.clock import Clock

_ENTRIES = 100_000


class MemoryCache:
    """Implements `ports/cache.py`. When it is full, what has ended goes first, then what is oldest."""

    def __init__(self, clock: Clock, *, entries: int = _ENTRIES) -> None:
        self._clock = clock
        self._entries = entries
        self._values: dict[str, tuple[bytes | int, float]] = {}

    def __repr__(self) -> str:
        return f"MemoryCache({len(self._values)} entries)"

    async def get(self, key: str) -> bytes | None:
        value = self._alive(key)
        return str(value).encode() if isinstance(value, int) else value

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        self._set(key, value, self._clock.monotonic() + ttl)

    async def put_new(self, key: str, value: bytes, ttl: float) -> bool:
        if self._alive(key) is not None:
            return False
        self._set(key, value, self._clock.monotonic() + ttl)
        return True

    async def delete(self, key: str) -> None:
        self._values.pop(key, None)

    async def add(self, key: str, amount: int, ttl: float) -> int:
        value = self._alive(key)
        if value is None:
            self._set(key, amount, self._clock.monotonic() + ttl)
            return amount
        total = int(value) + amount
        self._values[key] = (total, self._values[key][1])
        return total

    async def close(self) -> None:
        self._values.clear()

    def _alive(self, key: str) -> bytes | int | None:
        found = self._values.get(key)
        if found is None:
            return None
        if found[1] <= self._clock.monotonic():
            del self._values[key]
            return None
        return found[0]

    def _set(self, key: str, value: bytes | int, until: float) -> None:
        self._values.pop(key, None)  # what is set anew is youngest
        if len(self._values) >= self._entries:
            self._make_room()
        self._values[key] = (value, until)

    def _make_room(self) -> None:
        now = self._clock.monotonic()
        self._values = {key: held for key, held in self._values.items() if held[1] > now}
        for key in list(self._values)[: len(self._values) - self._entries * 9 // 10]:
            del self._values[key]
