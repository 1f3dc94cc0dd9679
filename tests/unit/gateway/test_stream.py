"""Server-sent events, event by event, with a clock that does not matter: what must come is waited for."""

import asyncio

import msgspec
import pytest

from perdure.gateway.rules import Rules
from perdure.gateway.stream import encoded
from perdure.ports.edge import Sent
from tests.unit.gateway.world import CALLERS, World, scope_of

PATH = "/api/v1/notes/stream"


class Reader:
    """A client of one stream."""

    def __init__(self, world: World, headers: dict[str, str] | None = None, key: str = "key-a") -> None:
        self.parts: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.taking = asyncio.Event()
        self.taking.set()
        self.status = 0
        scope = scope_of("GET", PATH, {"host": "x", "x-api-key": key, **(headers or {})}, ("192.0.2.1", 1))
        self.task = asyncio.create_task(world.edge(scope, self._receive, self._send))
        self._told = False

    async def _receive(self):
        if not self._told:
            self._told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        await self.taking.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.parts.put_nowait(message.get("body", b""))

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.parts.get(), 5)

    async def end(self) -> None:
        await asyncio.wait_for(asyncio.gather(self.task, return_exceptions=True), 5)


async def test_events_come_as_they_happen_until_the_end():
    world = World()
    reader = Reader(world)
    assert (await reader.next()).startswith(b":")
    assert reader.status == 200 and reader.headers[b"content-type"].startswith(b"text/event-stream")
    assert reader.headers[b"cache-control"] == b"no-store"
    world.notes.events.put_nowait(Sent(data=b'{"a":1}', event="note", id="7"))
    assert await reader.next() == b'id: 7\nevent: note\ndata: {"a":1}\n\n'
    world.notes.events.put_nowait(None)
    assert await reader.next() == b""
    await reader.end()
    assert repr(world.edge).count("open=0") == 1
    assert b'perdure_http_streams_ended_total{why="ended"} 1.0' in world.meters.text("")[0]


async def test_who_comes_back_names_the_last_id():
    world = World()
    reader = Reader(world, {"last-event-id": "41"})
    await reader.next()
    world.notes.events.put_nowait(None)
    await reader.end()
    assert world.notes.followed == ["41"]


async def test_signs_of_life():
    world = World(Rules(heartbeat=0.01))
    reader = Reader(world)
    assert [await reader.next() for _ in range(3)] == [b": still here\n\n"] * 3
    reader.gone.set()
    await reader.end()


async def test_who_leaves_is_forgotten():
    world = World()
    reader = Reader(world)
    await reader.next()
    assert "open=1" in repr(world.edge)
    reader.gone.set()
    await reader.end()
    assert "open=0" in repr(world.edge)
    assert b'{why="left"} 1.0' in world.meters.text("")[0]


async def test_who_takes_nothing_is_dropped():
    world = World(Rules(heartbeat=0.01, stall=0.02))
    reader = Reader(world)
    await reader.next()
    reader.taking.clear()
    await reader.end()
    assert b'{why="stalled"} 1.0' in world.meters.text("")[0]


async def test_the_end_of_the_process_says_to_come_back():
    world = World()
    readers = [Reader(world) for _ in range(5)]
    for reader in readers:
        await reader.next()
    world.edge.standing.drain()
    for reader in readers:
        assert (await reader.next()).startswith(b"retry: ")
        await reader.end()
    late = Reader(world)
    await late.end()
    assert late.status == 503


async def test_a_source_that_fails_ends_the_stream():
    world = World()

    async def failing(last):
        yield Sent(data=b"1")
        raise RuntimeError("broken")

    world.notes.follow = failing
    reader = Reader(world)
    await reader.end()
    assert b'{why="failed"} 1.0' in world.meters.text("")[0]


@pytest.mark.parametrize(
    ("rules", "keys", "last"),
    [(Rules(streams_caller=2), ["key-a"] * 2, "key-a"), (Rules(streams_tenant=2), ["key-a", "key-a2"], "key-viewer"),
     (Rules(streams=2), ["key-a", "key-b"], "key-a2")],
)  # fmt: skip
async def test_only_so_many_at_once(rules, keys, last):
    world = World(rules)
    readers = [Reader(world, key=key) for key in keys]
    for reader in readers:
        await reader.next()
    refused = Reader(world, key=last)
    await refused.end()
    assert refused.status == 429
    readers[0].gone.set()
    await readers[0].end()
    again = Reader(world, key=keys[0])
    await again.next()
    for reader in [*readers, again]:
        reader.gone.set()
        await reader.end()


@pytest.mark.parametrize("last", ["x" * 257, "a\x01b"])
async def test_an_id_that_is_none_of_ours(last):
    reader = Reader(World(), {"last-event-id": last})
    await reader.end()
    assert reader.status == 400


def test_a_line_break_in_the_data_is_a_line_of_its_own():
    assert encoded(Sent(data=b"a\nb\r\nc\rd")) == b"data: a\ndata: b\ndata: c\ndata: d\n\n"


@pytest.mark.parametrize("sent", [Sent(data=b"", id="a\nb"), Sent(data=b"", event="a\rb"), Sent(data=b"", id="\0")])
def test_a_line_break_in_a_name_is_refused(sent):
    with pytest.raises(AssertionError):
        encoded(sent)


async def test_who_is_shut_out_hears_no_more():
    world = World(Rules(heartbeat=0.01, remember=0))
    reader = Reader(world)
    await reader.next()
    world.identity.callers["key-a"] = msgspec.structs.replace(CALLERS["key-a"], permissions=frozenset({"notes:write"}))
    while part := await reader.next():
        assert part == b": still here\n\n"
    await reader.end()
    assert b'perdure_http_streams_ended_total{why="refused"} 1.0' in world.meters.text("")[0]
