"""Webhooks: only a fresh message with the right signature has an effect, and it has it once (S12)."""

import asyncio

import pytest

from perdure.errors import Conflict, Invalid, NotFound, Unauthenticated
from perdure.services.workflows import signatures
from tests.unit.services.workflows.conftest import BY, SET, TENANT


def headers(world, secret, id="msg_1", body=b'{"n": 1}', *, at=0):
    timestamp = str(world.clock.now() // 1000 + at)
    signature = signatures.sign(secret, id, timestamp, body)
    return {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature}


async def made(world, **more):
    await world.publish("w", SET)
    return await world.service.webhooks.create(TENANT, BY, "shop", **(more or {"workflow": "test.w"}))


async def test_a_signed_message_starts_a_run(world):
    hook, secret = await made(world)
    taken = await world.service.webhooks.take(hook.id, headers(world, secret), b'{"n": 1}')
    assert (await world.settle(taken.run)).output == {"n": 1}
    assert taken.message == "msg_1"


async def test_whatever_is_wrong_has_the_same_answer_and_no_effect(world):
    hook, secret = await made(world)
    other, theirs = await world.service.webhooks.create(TENANT, BY, "other", workflow="test.w")
    good = headers(world, secret)
    body = b'{"n": 1}'
    calls = [
        (hook.id, good, b'{"n": 2}'),
        (hook.id, headers(world, theirs), body),
        (other.id, good, body),
        ("hook_nobody", good, body),
        (hook.id, headers(world, secret, at=-301), body),
        (hook.id, headers(world, secret, at=301), body),
        (hook.id, {**good, "webhook-timestamp": "soon"}, body),
        (hook.id, {**good, "webhook-id": "msg_2"}, body),
        (hook.id, {**good, "webhook-signature": "v2," + good["webhook-signature"][3:]}, body),
        (hook.id, {**good, "webhook-signature": "v1,!"}, body),
        (hook.id, {**good, "webhook-id": "ä"}, body),
        *((hook.id, {name: value for name, value in good.items() if name != gone}, body) for gone in good),
    ]
    said = set()
    for id, given, content in calls:
        with pytest.raises(Unauthenticated) as caught:
            await world.service.webhooks.take(id, given, content)
        said.add(str(caught.value))
    assert len(said) == 1
    assert await world.engine.find(TENANT) == []


async def test_a_message_counts_once(world):
    hook, secret = await made(world)
    given = headers(world, secret)
    await world.service.webhooks.take(hook.id, given, b'{"n": 1}')
    with pytest.raises(Unauthenticated):
        await world.service.webhooks.take(hook.id, given, b'{"n": 1}')
    second = headers(world, secret, "msg_2")
    done = await asyncio.gather(
        *(world.another().webhooks.take(hook.id, second, b'{"n": 1}') for _ in range(5)), return_exceptions=True
    )
    assert sum(not isinstance(one, Unauthenticated) for one in done) == 1
    assert len(await world.engine.find(TENANT)) == 2


async def test_a_sender_that_heard_no_answer_tries_again(world):
    """Each attempt is signed with its own time (standardwebhooks.com); refused, the sender would give the address up."""
    hook, secret = await made(world)
    first = await world.service.webhooks.take(hook.id, headers(world, secret), b'{"n": 1}')
    again = headers(world, secret, at=2)
    assert await world.service.webhooks.take(hook.id, again, b'{"n": 1}') == first
    assert len(await world.engine.find(TENANT)) == 1
    with pytest.raises(Unauthenticated):
        await world.service.webhooks.take(hook.id, again, b'{"n": 1}')
    with pytest.raises(Conflict):
        await world.service.webhooks.take(hook.id, headers(world, secret, at=3, body=b"{}"), b"{}")


async def test_several_signatures_and_the_edge_of_the_window(world):
    hook, secret = await made(world)
    given = headers(world, secret, at=-300)
    given["webhook-signature"] = "v1,AAAA v1a,xx " + given["webhook-signature"]
    await world.service.webhooks.take(hook.id, given, b'{"n": 1}')


async def test_rotation_keeps_both_secrets_for_a_while(world):
    hook, first = await made(world)
    changed, second = await world.service.webhooks.rotate(TENANT, BY, hook.id, grace=60_000)
    assert (first != second, changed.until) == (True, world.clock.now() + 60_000)
    for number, secret in enumerate((first, second)):
        await world.service.webhooks.take(hook.id, headers(world, secret, f"a{number}"), b'{"n": 1}')
    world.clock.advance(61)
    with pytest.raises(Unauthenticated):
        await world.service.webhooks.take(hook.id, headers(world, first, "b0"), b'{"n": 1}')
    await world.service.webhooks.take(hook.id, headers(world, second, "b1"), b'{"n": 1}')
    await world.service.webhooks.rotate(TENANT, BY, hook.id, grace=0)
    with pytest.raises(Unauthenticated):
        await world.service.webhooks.take(hook.id, headers(world, second, "c"), b'{"n": 1}')
    with pytest.raises(Invalid):
        await world.service.webhooks.rotate(TENANT, BY, hook.id, grace=10**12)


async def test_a_message_becomes_an_event(world):
    hook, secret = await made(world, event="shop.order")
    await world.publish(
        "on", "[{a: {set: '${ {got: .[0]} }'}}]", more="schedule: {on: {one: {with: {type: shop.order}}}}"
    )
    taken = await world.service.webhooks.take(hook.id, headers(world, secret), b'{"n": 1}')
    assert taken.run is None
    await world.fire()
    (run,) = await world.engine.find(TENANT)
    assert (await world.settle(run.id)).output == {"got": {"n": 1}}


async def test_what_is_signed_and_makes_no_sense(world):
    hook, secret = await made(world)
    with pytest.raises(Invalid):
        await world.service.webhooks.take(hook.id, headers(world, secret, body=b"{"), b"{")
    await world.service.definitions.change(TENANT, BY, "test.w", "disable")
    with pytest.raises(Conflict):
        await world.service.webhooks.take(hook.id, headers(world, secret), b'{"n": 1}')
    await world.service.definitions.change(TENANT, BY, "test.w", "enable")
    await world.service.webhooks.take(hook.id, headers(world, secret), b'{"n": 1}')


async def test_making_and_removing(world):
    hook, _ = await made(world)
    webhooks = world.service.webhooks
    assert await webhooks.find(TENANT) == [hook]
    for wrong in ({}, {"workflow": "test.w", "event": "x"}, {"event": "dev.perdure.approval.decided.v1"}):
        with pytest.raises(Invalid):
            await webhooks.create(TENANT, BY, "x", **wrong)
    with pytest.raises(NotFound):
        await webhooks.create(TENANT, BY, "x", workflow="test.nobody")
    for call in (
        webhooks.get("other", hook.id),
        webhooks.rotate("other", BY, hook.id),
        webhooks.delete("other", BY, hook.id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await webhooks.find("other") == []
    await webhooks.delete(TENANT, BY, hook.id)
    with pytest.raises(NotFound):
        await webhooks.get(TENANT, hook.id)
    whats = [event["data"]["what"] for event in (await world.told()) if event["type"].startswith("dev.perdure.webhook")]
    assert whats == ["created", "deleted"]


def test_the_vector_of_the_standard():
    """From the specification's own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signed = signatures.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
