"""One suite for every place of big values (`ports/blobs.py`): memory, a directory, and S3 with and without conditions."""

import asyncio
import importlib.util
import os
import time
from pathlib import Path

import pytest

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.blobs_memory import MemoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.errors import Bug, Invalid, Unavailable
from tests.servers import s3

PLACES = ("memory", "directory", *s3.PROGRAMS)
ODD = "~acme%2Feu/1.0.0-beta_2"


def is_installed(name: str) -> bool:
    return s3.program(name).exists() and importlib.util.find_spec("obstore") is not None


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Those that are installed, started when they are asked for."""
    import contextlib

    with contextlib.ExitStack() as stack:
        started = {}

        def get(name):
            if not is_installed(name):
                if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
                    pytest.fail(s3.MISSING)
                pytest.skip(s3.MISSING)
            if name not in started:
                started[name] = stack.enter_context(s3.s3_server(name, tmp_path_factory.mktemp(name)))
            return started[name]

        yield get


def bucket(server, **more):
    from perdure.adapters.blobs_s3 import Bucket

    fields = {"place": f"s3://values/{time.time_ns()}", "access_key": s3.KEY, "secret_key": s3.SECRET} | more
    return Bucket(endpoint=server.endpoint, **fields)


@pytest.fixture(params=PLACES)
def blobs(request, tmp_path, servers, took_part):
    if request.param == "memory":
        return MemoryBlobs(SystemClock())
    if request.param == "directory":
        return DirectoryBlobs(tmp_path / "store")
    from perdure.adapters.blobs_s3 import S3Blobs

    server = servers(request.param)
    took_part(f"S3 of {request.param}")
    return S3Blobs(bucket(server), pause=0.2)


def later() -> int:
    return time.time_ns() // 1_000_000 + 5_000


async def test_what_is_put_is_there(blobs):
    assert await blobs.get("a/b") is None
    assert await blobs.put("a/b", b"one") is True
    assert await blobs.get("a/b") == b"one"
    assert await blobs.put("a/empty", b"") is True
    assert await blobs.get("a/empty") == b""


async def test_a_name_is_written_once(blobs):
    assert await blobs.put("once/name", b"first") is True
    assert await blobs.put("once/name", b"second") is False
    assert await blobs.get("once/name") == b"first"


@pytest.mark.parametrize("bodies", [[b"a", b"b", b"c", b"d"], [b"same"] * 4], ids=["different", "equal"])
async def test_of_many_at_once_one_puts(blobs, bodies):
    answers = await asyncio.gather(*(blobs.put("race/name", body) for body in bodies))
    assert sorted(answers) == [False] * 3 + [True]
    assert await blobs.get("race/name") == bodies[answers.index(True)]


async def test_a_hash_may_be_put_again(blobs):
    await asyncio.gather(*(blobs.put("hash/ab12", b"x" * 100, is_hash=True) for _ in range(3)))
    assert await blobs.get("hash/ab12") == b"x" * 100
    assert await blobs.names("hash") == ["ab12"]


async def test_names_are_the_next_parts_each_once(blobs):
    for name in ("n/b/1", "n/b/2", "n/a", "n/c/d/e", "nn/x", "m"):
        await blobs.put(name, b".", is_hash=True)
    assert await blobs.names("n") == ["a", "b", "c"]
    assert await blobs.names("n/b") == ["1", "2"]
    assert await blobs.names("nothing") == []


async def test_names_with_signs(blobs):
    assert await blobs.put(ODD, b"odd") is True
    assert await blobs.get(ODD) == b"odd"
    assert await blobs.names("~acme%2Feu") == ["1.0.0-beta_2"]
    assert await blobs.delete(ODD, before=later()) is True


@pytest.mark.parametrize("name", ["", "/", "a//b", "../a", "a/../b", ".hidden", "a/.b", "a b", "a\\b", "ä"])
async def test_what_is_no_name_is_refused(blobs, name):
    with pytest.raises(Bug):
        await blobs.put(name, b"")
    with pytest.raises(Bug):
        await blobs.get(name)


async def test_five_megabytes(blobs):
    body = os.urandom(5_000_000)
    await blobs.put("big/one", body, is_hash=True)
    assert await blobs.get("big/one") == body


async def test_the_old_is_forgotten_and_the_young_is_not(blobs):
    await blobs.put("age/one", b"1")
    assert await blobs.delete("age/one", before=later() - 60_000) is False
    assert await blobs.get("age/one") == b"1"
    assert await blobs.delete("age/one", before=later()) is True
    assert await blobs.get("age/one") is None
    assert await blobs.delete("age/one", before=later()) is False
    assert await blobs.names("age") == []
    assert await blobs.put("age/one", b"2") is True


async def test_a_hash_put_while_it_is_forgotten_is_there(blobs):
    """Whoever has put it finds it: what a sweep meets, which deletes only what is older than what was put just now."""
    began = time.time_ns() // 1_000_000 - 2_000

    async def put_and_find(number):
        await blobs.put(f"swept/{number % 3}", b"value", is_hash=True)
        assert await blobs.get(f"swept/{number % 3}") == b"value"

    async def sweep(number):
        await blobs.delete(f"swept/{number % 3}", before=began)

    await asyncio.gather(*(work(number) for number in range(30) for work in (put_and_find, sweep)))


@pytest.mark.skipif(importlib.util.find_spec("obstore") is None, reason=s3.MISSING)
@pytest.mark.parametrize("cuts", [1, 3])
async def test_a_value_that_breaks_off_is_fetched_again(cuts):
    """A server that writes the value over meanwhile leaves off in the middle, and has no rest of it to give."""
    from perdure.adapters.blobs_s3 import S3Blobs

    head = b'HTTP/1.1 200 OK\r\netag: "1"\r\nlast-modified: Sat, 21 Nov 2026 12:00:00 GMT\r\n'
    head += b"content-length: 5\r\nconnection: close\r\n\r\n"
    asked = []

    async def answer(reader, writer):
        if b"\r\nrange:" not in await reader.readuntil(b"\r\n\r\n"):
            asked.append(1)
        writer.write(head + (b"va" if len(asked) <= cuts else b"value"))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        blobs = S3Blobs(bucket(s3.S3Server("cut", f"http://127.0.0.1:{port}")), pause=0.01)
        if cuts < 3:
            assert await blobs.get("a") == b"value"
        else:
            with pytest.raises(Unavailable, match="cannot be used"):
                await blobs.get("a")
    assert len(asked) == min(cuts + 1, 3)


@pytest.mark.parametrize("name", s3.PROGRAMS)
async def test_a_wrong_key_and_a_server_that_is_away(name, servers):
    server = servers(name)
    from perdure.adapters.blobs_s3 import S3Blobs

    with pytest.raises(Unavailable, match="refuses the key"):
        await S3Blobs(bucket(server, secret_key="wrong")).get("a")
    away = S3Blobs(bucket(s3.S3Server("none", "http://127.0.0.1:1")))
    with pytest.raises(Unavailable, match="cannot be used"):
        await away.get("a")


@pytest.mark.skipif(importlib.util.find_spec("obstore") is None, reason=s3.MISSING)
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"place": "s3://"}, "not a place in S3"),
        ({"access_key": ""}, "needs a key"),
        ({"endpoint": "minio:9000"}, "not an address"),
        ({"ca": "missing.pem"}, "cannot be read"),
    ],
)
def test_settings_that_do_not_fit(more, sentence):
    from perdure.adapters.blobs_s3 import Bucket, S3Blobs

    fields = {"place": "s3://values", "endpoint": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b"} | more
    with pytest.raises(Invalid, match=sentence):
        S3Blobs(Bucket(**fields))


async def test_two_processes_share_a_directory(tmp_path: Path):
    one, other = DirectoryBlobs(tmp_path), DirectoryBlobs(tmp_path)
    for round in range(50):
        name = f"deep/{round}/value"
        await asyncio.gather(
            one.put(name, b"1", is_hash=True), other.delete(name, before=later()), other.put(name, b"1", is_hash=True)
        )
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
