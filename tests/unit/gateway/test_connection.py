"""What strangers can send before anybody knows who they are: bounded in size and time, and told in words."""

import asyncio
import contextlib
import json
import socket

import pytest

from perdure.gateway import connection
from perdure.gateway.connection import HEAD_BYTES
from perdure.gateway.rules import Rate, Rules
from tests.unit.gateway.test_server import started, under_way
from tests.unit.gateway.world import World

HEAD = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /api/v1/notes HTTP/1.1\r\nhost: x\r\nx-api-key: key-a\r\ncontent-type: application/json\r\n"


@contextlib.asynccontextmanager
async def talking(world: World, **place):
    """A raw connection to a server of its own."""
    server, running = await started(world, **place)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.address.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()
        server.stop()
        await asyncio.wait_for(running, 10)


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(reader.read(), 20)
    return b""


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head and b"connection: close" in head
    assert b"content-length: %d\r\n" % len(body) in head
    told = json.loads(body)
    assert told["status"] == int(head.split()[1])
    return told["status"], told["code"]


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\nhost: x\r\na: b\0c\r\n\r\n",
     POST + b"content-length: 2\r\ncontent-length: 5\r\n\r\n{}", POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}"],
)  # fmt: skip
async def test_what_is_no_http_is_told_so(sent):
    async with talking(World()) as (reader, writer):
        writer.write(sent)
        assert problem(await heard(reader)) == (400, "malformed")


@pytest.mark.parametrize(
    "head",
    [HEAD + b"a: " + b"x" * HEAD_BYTES + b"\r\n\r\n", b"GET /%s HTTP/1.1\r\nhost: x\r\n\r\n" % (b"x" * HEAD_BYTES),
     HEAD + b"".join(b"a%d: %s\r\n" % (number, b"x" * 1000) for number in range(70)) + b"\r\n"],
)  # fmt: skip
async def test_a_head_that_is_too_large_is_refused(head):
    async with talking(World()) as (reader, writer):
        writer.write(head)
        assert problem(await heard(reader)) == (431, "too-large")


async def test_a_head_without_an_end_is_not_read_to_its_end():
    async with talking(World()) as (_, writer):
        writer.write(HEAD + b"a: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                writer.write(b"x" * 100_000)
                await writer.drain()
            pytest.fail("100 MB of one header were taken")
        # Who goes on sending may not hear the answer; nobody else is held up.


async def test_what_fits_passes_also_when_requests_follow_one_another():
    large = POST + b'content-length: 60015\r\n\r\n{"text": "x"' + b" " * 60_002 + b"}"
    head = HEAD + b"a: " + b"x" * (HEAD_BYTES - 200) + b"\r\n"
    async with talking(World()) as (reader, writer):
        writer.write(large + head + b"\r\n" + large + head + b"connection: close\r\n\r\n")
        answer = await heard(reader)
        assert [answer.count(b"HTTP/1.1 " + status) for status in (b"201", b"200", b"4")] == [2, 2, 0]


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n" + HEAD, POST + b'content-length: 20\r\n\r\n{"te'])
async def test_who_does_not_go_on_is_not_waited_for(sent, monkeypatch):
    monkeypatch.setattr(connection, "SECONDS", 0.05)
    world = World()
    async with talking(world) as (reader, writer):
        writer.write(sent)
        answer = await heard(reader)
        assert answer.count(b"200 OK") == sent.count(b"\r\n\r\n" + HEAD) and world.notes.created == 0


async def test_who_is_waited_for_himself_is_not_sent_away(monkeypatch):
    """The answer takes long: that is not its reader's fault."""
    monkeypatch.setattr(connection, "SECONDS", 0.01)
    world = World()
    world.notes.gate.clear()
    looks = asyncio.get_running_loop().time
    async with talking(world) as (reader, writer):
        writer.write(POST + b'connection: close\r\ncontent-length: 12\r\n\r\n{"text":"x"}')
        await under_way(world)
        until = looks() + 0.05
        while looks() < until:
            await asyncio.sleep(0)
        world.notes.gate.set()
        assert b"201 Created" in await heard(reader)


def has_both() -> bool:
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_both(), reason="this machine has no IPv6")
async def test_who_comes_by_ipv4_to_a_socket_for_both_has_his_own_address():
    """Else all of them would share one limit, and no network of proxies would be theirs."""
    world = World(Rules(proxies=("127.0.0.0/8",), rates={"public": Rate(100)}))
    headers = b"x-forwarded-for: 192.0.2.7\r\nconnection: close\r\n\r\n"
    async with talking(world, host="::") as (reader, writer):
        writer.write(b"GET /api/v1/notes/public/word HTTP/1.1\r\nhost: x\r\n" + headers)
        assert b"200 OK" in await heard(reader)
    minute = world.clock.now() // 60_000
    assert await world.cache.add(f"-:rate:192.0.2.7:public:{minute}", 0, 60) > 0
