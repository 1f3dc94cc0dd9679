"""The same key is the same effect."""

import asyncio

import pytest

from perdure.gateway.rules import Rules
from tests.unit.gateway.world import World

PATH = "/api/v1/notes"
KEY = {"idempotency-key": "order-1"}


async def test_the_same_request_again_is_answered_from_memory():
    world = World()
    first = await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)
    again = await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert world.notes.created == 1


async def test_so_it_is_where_large_bodies_are_allowed():
    world = World(Rules(body=100_000_000))
    large = b'{"text": "x"' + b" " * 9_000_000 + b"}"
    for body in (b'{"text": "x"}', [b'{"text":', b' "y"}'], large):
        headers = {"content-type": "application/json", "idempotency-key": str(len(body))}
        for _ in range(2):
            assert (await world.ask("POST", PATH, body=body, headers=headers)).status == 201
    assert world.notes.created == 3


async def test_another_body_under_the_same_key():
    world = World()
    await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)
    refused = await world.ask("POST", PATH, json={"text": "y"}, headers=KEY)
    assert refused.status == 422 and world.notes.created == 1


@pytest.mark.parametrize("key", ["key-a2", "key-b"])
async def test_a_key_belongs_to_who_sent_it(key):
    world = World()
    await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)
    await world.ask("POST", PATH, json={"text": "x"}, headers=KEY, key=key)
    assert world.notes.created == 2


async def test_while_the_first_is_under_way():
    world = World()
    world.notes.gate.clear()
    first = asyncio.create_task(world.ask("POST", PATH, json={"text": "x"}, headers=KEY))
    await asyncio.sleep(0)
    refused = await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)
    assert refused.status == 409 and refused.headers["retry-after"] == "1"
    world.notes.gate.set()
    assert (await first).status == 201
    assert (await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)).status == 201
    assert world.notes.created == 1


async def test_a_request_that_died_stands_in_the_way_for_minutes_only():
    world = World()
    world.notes.gate.clear()
    lost = asyncio.create_task(world.ask("POST", PATH, json={"text": "x"}, headers=KEY))
    await asyncio.sleep(0)
    world.clock.advance(301)
    world.notes.gate.set()
    assert (await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)).status == 201
    await lost


@pytest.mark.parametrize("kind", ["unavailable", "crash", "conflict", "exhausted"])
async def test_what_a_second_try_may_change_is_tried(kind):
    world = World()
    for _ in range(2):
        await world.ask("POST", f"{PATH}/fail?kind={kind}", headers=KEY)
    assert world.notes.created == 2


async def test_a_cancelled_request_leaves_the_key_free():
    world = World()
    world.notes.gate.clear()
    first = asyncio.create_task(world.ask("POST", PATH, json={"text": "x"}, headers=KEY))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    world.notes.gate.set()
    assert (await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)).status == 201


async def test_an_answer_with_a_secret_is_not_kept():
    world = World()
    assert (await world.ask("POST", f"{PATH}/secret", headers=KEY)).status == 200
    refused = await world.ask("POST", f"{PATH}/secret", headers=KEY)
    assert refused.status == 409 and "done already" in refused.json["detail"]
    assert world.notes.created == 1


async def test_it_is_kept_for_a_day():
    world = World(Rules(keep_answers=100))
    await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)
    world.clock.advance(101)
    await world.ask("POST", PATH, json={"text": "x"}, headers=KEY)
    assert world.notes.created == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_key_that_is_none(key):
    assert (await World().ask("POST", PATH, json={"text": "x"}, headers={"idempotency-key": key})).status == 400
