"""A process that listens before everything it needs is there."""

import asyncio
import json

from perdure.gateway.front import Front
from perdure.gateway.server import Place, Server
from tests.unit.gateway.test_server import request
from tests.unit.gateway.world import World


async def test_it_lives_and_says_what_it_waits_for_and_then_is_the_gateway():
    world, front = World(), Front()
    server = Server(front, Place(port=0), world.log)
    running = asyncio.create_task(server.run(signals=False))
    await asyncio.wait_for(server.started.wait(), 10)
    assert b"200 OK" in await request(server.address, "/health/live")
    assert b"This process begins" in await request(server.address, "/ready")
    front.missing = "engine"
    for path in ("/ready", "/health", "/health/ready"):
        head, _, body = (await request(server.address, path)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in head.lower()
        told = json.loads(body)
        assert told["parts"] == {"engine": "failing"}
        assert "waits for its engine" in told["reason"]
    refused = await request(server.address, "/api/v1/notes/fast")
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"application/problem+json" in refused
    front.become(world.edge)
    assert (await request(server.address, "/api/v1/notes/fast")).startswith(b"HTTP/1.1 200")
    assert front.standing is world.edge.standing
    server.stop()
    await asyncio.wait_for(running, 10)


async def test_told_to_stop_before_it_is_the_gateway():
    world, front = World(), Front()
    front.standing.drain()
    front.become(world.edge)
    assert world.edge.standing.draining
