"""A real server on a real socket: started, spoken to, stopped, with nothing lost."""

import asyncio
import socket

import pytest

from perdure.errors import Invalid
from perdure.gateway.server import Place, Server
from tests.unit.gateway.world import World


async def request(address: str, path: str, key: str = "key-a", *, unix: str = "") -> bytes:
    if unix:
        reader, writer = await asyncio.open_unix_connection(unix)
    else:
        host, _, port = address.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n".encode())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def started(world: World, **place) -> tuple[Server, asyncio.Task]:
    server = Server(world.edge, Place(port=0, **place), world.log)
    running = asyncio.create_task(server.run(signals=False))
    await asyncio.wait_for(server.started.wait(), 10)
    return server, running


async def under_way(world: World) -> None:
    while b"perdure_http_requests_in_flight 1.0" not in world.meters.text("")[0]:
        await asyncio.sleep(0)


async def test_any_free_port_and_which_it_is():
    world = World()
    server, running = await started(world)
    answer = await request(server.address, "/api/v1/notes/fast")
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b'{"fast":true}')
    assert b"server:" not in answer.lower()
    server.stop()
    await asyncio.wait_for(running, 10)
    with pytest.raises(OSError):
        await request(server.address, "/health/live")


async def test_over_a_unix_socket(tmp_path):
    world = World()
    path = str(tmp_path / "edge.sock")
    server, running = await started(world, unix=path)
    assert b"200 OK" in await request("", "/api/v1/notes/fast", unix=path)
    with pytest.raises(Invalid, match="somebody listens"):
        await Server(World().edge, Place(unix=path), world.log).run(signals=False)
    server.stop()
    await asyncio.wait_for(running, 10)
    assert not (tmp_path / "edge.sock").exists()


async def test_a_socket_of_a_dead_process_is_replaced(tmp_path):
    path = str(tmp_path / "edge.sock")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    server, running = await started(World(), unix=path)
    server.stop()
    await asyncio.wait_for(running, 10)


async def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = Place(port=taken.getsockname()[1])
        with pytest.raises(Invalid, match="Cannot listen"):
            await Server(World().edge, place, World().log).run(signals=False)


async def test_requests_under_way_are_finished():
    world = World()
    server, running = await started(world)
    world.notes.gate.clear()
    port = int(server.address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"text":"x"}'
    head = f"POST /api/v1/notes HTTP/1.1\r\nhost: x\r\nx-api-key: key-a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await under_way(world)
    server.stop()
    while not world.edge.standing.draining:
        await asyncio.sleep(0)
    world.notes.gate.set()
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 201") and b"connection: close" in answer.lower()
    writer.close()
    await asyncio.wait_for(running, 10)
    assert world.notes.created == 1


async def test_streams_end_with_a_hint_and_do_not_hold_the_process():
    world = World()
    server, running = await started(world, drain=20)
    port = int(server.address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/v1/notes/stream HTTP/1.1\r\nhost: x\r\nx-api-key: key-a\r\n\r\n")
    await reader.readuntil(b": still here")
    server.stop()
    rest = await asyncio.wait_for(reader.read(), 10)
    assert b"retry: " in rest
    writer.close()
    await asyncio.wait_for(running, 5)


async def test_the_drain_time_is_a_bound():
    world = World()
    server, running = await started(world, drain=1)
    world.notes.gate.clear()
    port = int(server.address.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /api/v1/notes HTTP/1.1\r\nhost: x\r\nx-api-key: key-a\r\ncontent-type: application/json\r\n"
        b"content-length: 12\r\n\r\n" + b'{"text":"x"}'
    )
    await under_way(world)
    server.stop()
    await asyncio.wait_for(running, 10)
    writer.close()


async def test_nagle_is_off():
    world = World()
    server, running = await started(world)
    port = int(server.address.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    accepted = [t for t in loop._transports.values() if t.get_extra_info("sockname")[1] == port]
    for transport in accepted:
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
    server.stop()
    await asyncio.wait_for(running, 10)
