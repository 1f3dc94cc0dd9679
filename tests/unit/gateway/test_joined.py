"""What is written in one go leaves in one piece, and nothing is held back for longer than a turn of the loop."""

import asyncio

from perdure.gateway.joined import Joined


class Pieces(asyncio.Transport):
    """A connection that keeps apart what was written apart."""

    def __init__(self):
        super().__init__()
        self.written = []
        self.is_closed = False

    def write(self, data):
        self.written.append(bytes(data))

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def test_head_and_body_leave_together():
    inner = Pieces()
    joined = Joined(inner)
    joined.write(b"head ")
    assert "held=5" in repr(joined)
    joined.write(b"body")
    assert inner.written == [b"head body"]
    await asyncio.sleep(0)
    assert inner.written == [b"head body"]


async def test_what_nothing_follows_leaves_by_itself():
    inner = Pieces()
    joined = Joined(inner)
    for number in range(3):
        joined.write(b"%d" % number)
        await asyncio.sleep(0)
        assert inner.written == [b"%d" % one for one in range(number + 1)]


async def test_a_large_piece_is_not_copied():
    inner = Pieces()
    joined = Joined(inner)
    joined.write(b"head")
    joined.write(b"x" * 100_000)
    assert [len(piece) for piece in inner.written] == [4, 100_000]


async def test_nothing_is_lost_at_the_end():
    inner = Pieces()
    joined = Joined(inner)
    joined.write(b"head")
    joined.close()
    assert inner.written == [b"head"] and joined.is_closing()
    await asyncio.sleep(0)
    assert inner.written == [b"head"]
