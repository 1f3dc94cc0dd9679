"""Values on their way to a Temporal server: sealed, bound to their place, and by name when they are big."""

import base64
import os

import pytest

pytest.importorskip("temporalio")
pytest.importorskip("cryptography")

from temporalio.api.common.v1 import Payload
from temporalio.converter import ActivitySerializationContext, WorkflowSerializationContext

from perdure.adapters.blobs_memory import MemoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.engines.temporal.codec import CLAIM, SEALED, Codec, converter, directory_of, workflow_of
from perdure.errors import Invalid, Unavailable

OLD, NEW, OTHER = (base64.b64encode(os.urandom(32)).decode() for _ in range(3))
RUN = "inst/acme/run-1"


@pytest.fixture
def blobs():
    return MemoryBlobs(SystemClock())


def codec(blobs, *keys, run=RUN, activity=None, limit=100):
    made = Codec(blobs, keys, limit)
    if activity is not None:
        context = ActivitySerializationContext(
            namespace="default", activity_id=activity, activity_type=None, activity_task_queue=None, workflow_id=run,
            workflow_type=None, is_local=False,
        )  # fmt: skip
        return made.with_context(context)
    return made.with_context(WorkflowSerializationContext(namespace="default", workflow_id=run)) if run else made


def payload(text):
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


SMALL, BIG = payload('"the words"'), payload('"' + "the words " * 50 + '"')


async def through(one, other, value):
    (sent,) = await one.encode([value])
    (back,) = await other.decode([sent])
    return sent, back


async def test_without_a_key_small_values_travel_as_they_are(blobs):
    sent, back = await through(codec(blobs), codec(blobs), SMALL)
    assert sent == back == SMALL


@pytest.mark.parametrize("keys", [(), (NEW,)], ids=["plain", "sealed"])
async def test_big_values_travel_by_name(blobs, keys):
    sent, back = await through(codec(blobs, *keys), codec(blobs, *keys), BIG)
    assert back == BIG
    assert sent.metadata["encoding"] == CLAIM
    assert sent.data.decode().startswith(directory_of(RUN) + "/")
    assert len(sent.SerializeToString()) < 400
    assert (b"the words" in await blobs.get(sent.data.decode())) is (not keys)


async def test_a_big_value_is_kept_once_in_a_run_and_apart_in_another(blobs):
    for run in ("inst/acme/a", "inst/acme/a", "inst/acme/b"):
        await codec(blobs, NEW, run=run).encode([BIG])
    assert [len(await blobs.names(directory_of(run))) for run in ("inst/acme/a", "inst/acme/b")] == [1, 1]


@pytest.mark.parametrize("value", [SMALL, BIG], ids=["small", "big"])
async def test_the_first_key_seals_and_any_opens(blobs, value):
    (old,) = await codec(blobs, OLD).encode([value])
    (new,) = await codec(blobs, NEW, OLD).encode([value])
    reader = codec(blobs, NEW, OLD)
    assert await reader.decode([old, new]) == [value, value]
    assert b"the words" not in old.SerializeToString() + new.SerializeToString()
    with pytest.raises(Unavailable, match="which this process does not have"):
        await codec(blobs, OLD).decode([new])
    with pytest.raises(Unavailable, match="which this process does not have"):
        await codec(blobs).decode([old])


@pytest.mark.parametrize("value", [SMALL, BIG], ids=["small", "big"])
async def test_a_value_from_before_there_was_a_key_is_read(blobs, value):
    _, back = await through(codec(blobs), codec(blobs, NEW), value)
    assert back == value


@pytest.mark.parametrize("value", [SMALL, BIG], ids=["small", "big"])
async def test_the_same_value_is_never_sealed_alike(blobs, value):
    writer = codec(blobs, NEW)
    (one,), (other,) = await writer.encode([value]), await writer.encode([value])
    assert one != other


async def test_a_sealed_value_that_was_changed_is_refused(blobs):
    (sent,) = await codec(blobs, NEW).encode([SMALL])
    for position in (0, 12, len(sent.data) - 1):
        changed = bytearray(sent.data)
        changed[position] ^= 1
        with pytest.raises(Unavailable, match="was changed"):
            await codec(blobs, NEW).decode([Payload(metadata=dict(sent.metadata), data=bytes(changed))])


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27, 28])
async def test_a_sealed_value_that_was_cut_is_refused(blobs, length):
    (sent,) = await codec(blobs, NEW).encode([SMALL])
    with pytest.raises(Unavailable, match="was changed"):
        await codec(blobs, NEW).decode([Payload(metadata=dict(sent.metadata), data=sent.data[:length])])


@pytest.mark.parametrize("value", [SMALL, BIG], ids=["small", "big"])
@pytest.mark.parametrize(
    ("there", "here"),
    [
        ({"run": "inst/acme/other"}, {"run": RUN}),
        ({"run": "inst/evil/run-1"}, {"run": RUN}),
        ({"activity": "/do/0~1"}, {"activity": "/do/1~2"}),
        ({"activity": "/do/0~1"}, {}),
    ],
    ids=["another run", "another tenant", "another call", "a call's as a signal's"],
)
async def test_a_value_opens_only_where_it_belongs(blobs, value, there, here):
    (sent,) = await codec(blobs, NEW, **there).encode([value])
    reader = codec(blobs, NEW, **here)
    with pytest.raises(Unavailable, match="does not belong"):
        await reader.decode([sent])
    (own,) = await reader.encode([value])
    sent.metadata["place"] = own.metadata["place"]  # saying that it belongs here does not help
    with pytest.raises(Unavailable, match="changed"):
        await reader.decode([sent])


async def test_an_activity_without_a_name_opens_what_activities_of_its_run_sealed(blobs):
    """A workflow does not know the ids of what the engine itself asks for; a worker does."""
    unnamed, named = codec(blobs, NEW, activity=""), codec(blobs, NEW, activity="1")
    for writer, reader in ((unnamed, named), (named, unnamed)):
        assert (await through(writer, reader, SMALL))[1] == SMALL
    for writer, reader in (
        (codec(blobs, NEW), named),
        (codec(blobs, NEW), unnamed),
        (codec(blobs, NEW, run="inst/acme/run-12", activity="1"), unnamed),
        (unnamed, codec(blobs, NEW)),
    ):
        with pytest.raises(Unavailable, match="does not belong"):
            await through(writer, reader, SMALL)


async def test_the_name_of_a_big_value_cannot_be_exchanged_for_another(blobs):
    writer = codec(blobs, NEW)
    (one,), (other,) = await writer.encode([BIG]), await writer.encode([payload('"' + "other " * 50 + '"')])
    one.data = other.data
    with pytest.raises(Unavailable, match="changed"):
        await codec(blobs, NEW).decode([one])
    del one.metadata["proof"]
    with pytest.raises(Unavailable, match="changed"):
        await codec(blobs, NEW).decode([one])


async def test_a_stored_value_cannot_be_exchanged_for_another(blobs):
    writer = codec(blobs, NEW)
    (one,), (other,) = await writer.encode([BIG]), await writer.encode([payload('"' + "other " * 50 + '"')])
    stranger = MemoryBlobs(SystemClock())
    await stranger.put(one.data.decode(), await blobs.get(other.data.decode()))
    with pytest.raises(Unavailable, match="was changed"):
        await codec(stranger, NEW).decode([one])


async def test_a_big_value_that_is_not_there_says_what_to_do(blobs):
    (sent,) = await codec(blobs).encode([BIG])
    with pytest.raises(Unavailable, match="PERDURE_TEMPORAL_STORE"):
        await codec(MemoryBlobs(SystemClock())).decode([sent])


async def test_the_name_of_a_sealed_value_tells_nothing_about_it(blobs):
    names = [(await codec(blobs, *keys).encode([BIG]))[0].data for keys in ((), (NEW,), (OTHER,))]
    assert len(set(names)) == 3


async def test_readers_without_a_place_open_what_is_sealed(blobs):
    (sent,) = await codec(blobs, NEW).encode([SMALL])
    assert await codec(blobs, NEW, run=None).decode([sent]) == [SMALL]


async def test_what_others_keep_is_sealed_for_its_name(blobs):
    old, new, plain = codec(blobs, OLD), codec(blobs, NEW, OLD), codec(blobs)
    body = b'{"words": 1}'
    assert plain.shut("a/b", body) == body
    for writer in (old, new, plain):
        assert new.opened("a/b", writer.shut("a/b", body)) == body
    assert b"words" not in new.shut("a/b", body)
    with pytest.raises(Unavailable, match="was changed"):
        new.opened("a/c", new.shut("a/b", body))
    with pytest.raises(Unavailable, match="does not have"):
        plain.opened("a/b", old.shut("a/b", body))


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(b"x" * 31).decode(), "ü" * 40])
def test_a_key_that_does_not_fit_is_refused(blobs, key):
    with pytest.raises(Invalid, match="not 32 bytes in base64"):
        Codec(blobs, (key,))


@pytest.mark.parametrize("workflow", ["inst/acme/r", "a/%2F~x/..", "inst/acme//exchange", "i/t/ü ß"])
def test_a_directory_tells_its_workflow(workflow):
    assert workflow_of(directory_of(workflow).rpartition("/")[2]) == workflow


def test_long_workflow_ids_have_directories_of_their_own():
    one, other = directory_of("i/t/" + "x" * 500), directory_of("i/t/" + "x" * 501)
    assert one != other
    assert len(one) < 250
    assert workflow_of(one.rpartition("/")[2]) is None
    assert workflow_of("~") is None


async def test_the_converter_keeps_its_own_place(blobs):
    made = converter(blobs, (NEW,))
    one = made.with_context(WorkflowSerializationContext(namespace="n", workflow_id="a"))
    other = made.with_context(WorkflowSerializationContext(namespace="n", workflow_id="b"))
    sent = await one.encode([{"a": 1}])
    assert sent[0].metadata["encoding"] == SEALED
    assert await one.decode(sent) == [{"a": 1}]
    with pytest.raises(Unavailable):
        await other.decode(sent)
