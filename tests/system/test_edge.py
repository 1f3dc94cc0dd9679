"""The gateway of a real platform: a thousand streams, and an end that loses nothing."""

import asyncio
import json
import resource
import signal
from pathlib import Path

from tests.servers.platform import Served, platform

STREAMS = 1000
MEGABYTES = 200
YAML = {"content-type": "application/yaml"}
WAITING = b"""\
document: {dsl: 1.0.3, namespace: test, name: waits, version: 1.0.0}
do: [{hold: {listen: {to: {one: {with: {type: dev.test.never}}}}}}]
"""


def address(served: Served) -> tuple[str, int]:
    host, _, port = served.address.removeprefix("http://").rpartition(":")
    return host, int(port)


def head(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: test", f"x-api-key: {key}"]
    lines += ["content-type: application/json", f"content-length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024


async def opened(served: Served, run: str, key: str) -> asyncio.StreamReader:
    reader, writer = await asyncio.open_connection(*address(served))
    writer.write(head("GET", f"/api/v1/runs/{run}/stream", key))
    await reader.readuntil(b"data: ")
    reader.writer = writer  # type: ignore[attr-defined] - kept open with the reader
    return reader


async def streams_to_the_end(served: Served, run: str, keys: list[str]) -> int:
    """Open them all, end the process; how many were told to come back."""
    readers = [await opened(served, run, keys[number % len(keys)]) for number in range(STREAMS)]
    used = resident(served.process.pid)
    assert used < MEGABYTES, f"{used} MB with {STREAMS} streams"
    served.process.send_signal(signal.SIGTERM)
    rest = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader in readers)), 60)
    for reader in readers:
        reader.writer.close()  # type: ignore[attr-defined]
    return sum(b"retry: " in part for part in rest)


def test_a_thousand_streams_are_small_and_are_told_to_come_back(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    with platform(tmp_path, log_level="error") as served:
        assert served.ask("POST", "/api/v1/workflows", body=WAITING, headers=YAML).status == 201
        run = served.ask("POST", "/api/v1/runs", json={"workflow": "test.waits"}).json["id"]
        keys = [
            served.ask("POST", "/api/v1/keys", json={"name": f"s{number}", "role": "viewer"}).json["secret"]
            for number in range(8)
        ]
        assert asyncio.run(streams_to_the_end(served, run, keys)) == STREAMS
        assert served.process.wait(30) == 0


async def starting(served: Served, begun: asyncio.Event, kept: list[str], cut: list[bytes]) -> None:
    """Start runs on one connection until it ends. What was answered goes to `kept`, what was answered in part to `cut`."""
    reader, writer = await asyncio.open_connection(*address(served))
    body = b'{"workflow":"test.waits"}'
    try:
        while True:
            writer.write(head("POST", "/api/v1/runs", served.key, body))
            answered = await reader.readuntil(b"\r\n\r\n")
            length = int(answered.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            content = await reader.readexactly(length)
            assert answered.startswith(b"HTTP/1.1 201"), answered
            kept.append(json.loads(content)["id"])
            begun.set()
            if b"connection: close" in answered.lower():
                return
    except asyncio.IncompleteReadError as error:
        if error.partial:
            cut.append(error.partial)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def load_until_the_end(served: Served) -> tuple[list[str], list[bytes]]:
    kept: list[str] = []
    cut: list[bytes] = []
    begun = asyncio.Event()
    clients = [asyncio.create_task(starting(served, begun, kept, cut)) for _ in range(16)]
    await asyncio.wait_for(begun.wait(), 30)
    while len(kept) < 100:
        await asyncio.sleep(0)
    served.process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*clients), 60)
    return kept, cut


def test_nothing_that_was_answered_is_lost_and_nothing_is_cut(tmp_path):
    with platform(tmp_path, log_level="error") as served:
        assert served.ask("POST", "/api/v1/workflows", body=WAITING, headers=YAML).status == 201
        kept, cut = asyncio.run(load_until_the_end(served))
        assert served.process.wait(30) == 0
        key = served.key
    assert not cut, "an answer was cut in the middle"
    with platform(tmp_path, log_level="error") as again:
        assert len(kept) >= 100
        for run in kept:
            assert again.ask("GET", f"/api/v1/runs/{run}", key=key).status == 200
