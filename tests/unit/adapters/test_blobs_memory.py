"""Ages of values go by the clock that is given; all else is in `tests/conformance/blobs`."""

from perdure.adapters.blobs_memory import MemoryBlobs


class Still:
    """A clock that is set."""

    def __init__(self) -> None:
        self.time = 1000

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1000

    async def sleep(self, seconds: float) -> None:
        self.time += round(seconds * 1000)


async def test_a_hash_becomes_young_again_and_other_names_do_not():
    clock = Still()
    blobs = MemoryBlobs(clock)
    await blobs.put("a", b"1")
    await blobs.put("b", b"1", is_hash=True)
    clock.time = 2000
    await blobs.put("a", b"2")
    await blobs.put("b", b"1", is_hash=True)
    assert await blobs.delete("b", before=2000) is False
    assert await blobs.delete("a", before=1000) is False
    assert await blobs.delete("a", before=2000) is True
