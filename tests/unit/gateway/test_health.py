"""Alive, ready, and the numbers."""

import asyncio

from tests.unit.gateway.world import World


async def ok() -> None: ...


async def broken() -> None:
    raise RuntimeError("postgres://user:secret@host")


async def test_alive_is_not_ready():
    world = World(checks={"database": ok, "engine": broken})
    assert (await world.ask("GET", "/health/live", key=None)).json == {"status": "live"}
    for path in ("/health", "/health/ready", "/ready"):
        answer = await world.ask("GET", path, key=None)
        assert answer.status == 503
        assert answer.json == {"status": "not ready", "parts": {"database": "ok", "engine": "failing"}}


async def test_ready_ends_with_draining():
    world = World(checks={"database": ok})
    assert (await world.ask("GET", "/ready", key=None)).json["status"] == "ready"
    world.edge.standing.drain()
    answer = await world.ask("GET", "/ready", key=None)
    assert (answer.status, answer.json) == (503, {"status": "draining"})
    assert (await world.ask("GET", "/health/live", key=None)).status == 200


async def test_parts_are_asked_once_a_second_however_many_ask():
    asked = 0

    async def counting() -> None:
        nonlocal asked
        asked += 1

    world = World(checks={"part": counting})
    await asyncio.gather(*(world.ask("GET", "/ready", key=None) for _ in range(20)))
    assert asked == 1
    world.clock.advance(1.1)
    await world.ask("GET", "/ready", key=None)
    assert asked == 2


async def test_metrics_are_for_this_machine_and_for_who_may():
    world = World()
    assert (await world.ask("GET", "/metrics", key=None)).status == 401
    assert (await world.ask("GET", "/metrics")).status == 403
    assert (await world.ask("GET", "/metrics", key="key-system")).status == 200
    here = {"host": "localhost:8420"}
    local = await world.ask("GET", "/metrics", key=None, client=("127.0.0.1", 5), headers=here)
    assert local.status == 200 and b"perdure_http_requests_total" in local.body
    assert (await world.ask("GET", "/metrics", key=None, client=("::1", 5), headers={"host": "[::1]:1"})).status == 200
    led_here = await world.ask("GET", "/metrics", key=None, client=("127.0.0.1", 5), headers={"host": "evil.example"})
    assert led_here.status == 401
    through_proxy = await world.ask(
        "GET", "/metrics", key=None, client=("127.0.0.1", 5), headers={**here, "x-forwarded-for": "x"}
    )
    assert through_proxy.status == 401


async def test_no_label_grows_with_callers():
    world = World()
    for number in range(50):
        await world.ask("GET", f"/api/v1/notes/n{number}")
        await world.ask("GET", f"/unknown/{number}", key=None)
    text = world.meters.text("")[0].decode()
    assert "n17" not in text and "unknown/" not in text and 'tenant="' not in text
    assert 'perdure_http_requests_total{method="GET",route="/api/v1/notes/{id}",status="404"} 50.0' in text
    assert 'route="unmatched",status="404"} 50.0' in text


async def test_what_is_only_watched_is_told_of_and_no_reason_to_take_nothing():
    world = World(checks={"database": ok}, watched={"broker": broken})
    answer = await world.ask("GET", "/ready", key=None)
    assert answer.status == 200
    assert answer.json == {"status": "ready", "parts": {"database": "ok", "broker": "failing"}}
