"""What a request costs at `perdure up`, against a bare FastAPI with one SQLite insert or read, round by round.

`python edge.py FOLDER` prints {"post": {"1": {...}, ...}, "get": ..., "streams": {...}}: for each number of requests at
once and each server the requests a second, the 99th percentile and the server's processor time for one request, both in
milliseconds, of each round; and the memory of the server with a thousand open streams. "get" is of a run that has ended,
"get live" of one that waits.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROUNDS, AT_ONCE, SECONDS = 5, (1, 16, 64), 1.5
STREAMS = 1000
HERE = Path(__file__).parent
DOCUMENT = b"""
document: { dsl: 1.0.3, namespace: bench, name: noop, version: 1.0.0 }
do:
  - done: { set: { done: true } }
"""
WAITING = b"""
document: { dsl: 1.0.3, namespace: bench, name: waits, version: 1.0.0 }
do:
  - rest: { wait: { hours: 1 } }
"""


class Server:
    """One contender: its process, and the requests that it is asked."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.port = port
        self.requests: dict[str, bytes] = {}

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def cpu(self) -> float:
        """Processor time of all its threads so far, in seconds."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def rss(self) -> float:
        """Resident memory in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """One request on a kept connection, and its answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return int(head[9:12]), body


async def ask(server: Server, request: bytes) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    status, body = await exchange(reader, writer, request)
    writer.close()
    assert status < 300, (status, body)
    return json.loads(body) if body else None


async def load(server: Server, request: bytes, at_once: int) -> dict[str, float]:
    """Ask for a while, so many at once: requests a second, and the 99th percentile in milliseconds."""
    taken: list[float] = []
    end = time.perf_counter() + SECONDS

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while (began := time.perf_counter()) < end:
            status, body = await exchange(reader, writer, request)
            assert status < 300, (status, body)
            taken.append(time.perf_counter() - began)
        writer.close()

    began, before = time.perf_counter(), server.cpu()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return {
        "cpu": (server.cpu() - before) / len(taken) * 1000,
        "rate": len(taken) / (time.perf_counter() - began),
        "p99": sorted(taken)[int(len(taken) * 0.99) - 1] * 1000,
    }


async def until_there(server: Server) -> None:
    for _ in range(300):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return
    raise RuntimeError("a server did not start")


async def ours(folder: Path) -> Server:
    environment = {
        **os.environ,
        "PERDURE_LOG_LEVEL": "warning",
        "PERDURE_RATE_LIMITS": "run=0,read=0,stream=0,write=0",
        "PERDURE_STREAMS": "20000",
    }
    command = [sys.executable, "-m", "perdure", "up", "--port", "0", "--data", str(folder / "data")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    text = ""
    for line in process.stdout:
        text += line
        if "Ctrl-C" in line:
            break
    server = Server(process, int(re.search(r"http://[^:]+:(\d+)", text)[1]))
    key = re.search(r"pdk_[\w-]+", text)[0]
    for document in (DOCUMENT, WAITING):
        await ask(
            server,
            server.request("POST", "/api/v1/workflows", document, x_api_key=key, content_type="application/yaml"),
        )
    start = {"x_api_key": key, "content_type": "application/json"}
    server.requests["post"] = server.request(
        "POST", "/api/v1/workflows/bench.noop/runs", b'{"input": {"n": 1}}', **start
    )
    run = (await ask(server, server.requests["post"]))["id"]
    server.requests["get"] = server.request("GET", f"/api/v1/runs/{run}", x_api_key=key)
    waiting = (await ask(server, server.request("POST", "/api/v1/workflows/bench.waits/runs", b"{}", **start)))["id"]
    server.requests["get live"] = server.request("GET", f"/api/v1/runs/{waiting}", x_api_key=key)
    server.requests["stream"] = server.request("GET", f"/api/v1/runs/{waiting}/stream", x_api_key=key)
    return server


async def bare(folder: Path) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(HERE / "edge_bare.py"), str(folder / "bare.db"), str(port)])
    server = Server(process, port)
    await until_there(server)
    server.requests["post"] = server.request("POST", "/rows", b'{"input": {"n": 1}}', content_type="application/json")
    row = (await ask(server, server.requests["post"]))["id"]
    server.requests["get"] = server.requests["get live"] = server.request("GET", f"/rows/{row}")
    return server


async def streams(server: Server) -> dict[str, float]:
    """The server's memory with so many open streams."""
    before = server.rss()
    opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(STREAMS)]
    for _, writer in opened:
        writer.write(server.requests["stream"])
    heads = await asyncio.gather(*(reader.readuntil(b"id: 1") for reader, _ in opened))
    found = {"streams": len([head for head in heads if b" 200 " in head]), "before": before, "during": server.rss()}
    for _, writer in opened:
        writer.close()
    return found


async def measure(folder: Path) -> dict[str, Any]:
    servers = {"perdure": await ours(folder), "bare": await bare(folder)}
    try:
        found: dict[str, Any] = {}
        for what in ("post", "get", "get live"):
            for at_once in AT_ONCE:
                rounds = found.setdefault(what, {}).setdefault(str(at_once), {name: [] for name in servers})
                for _ in range(ROUNDS):
                    for name, server in servers.items():
                        rounds[name].append(await load(server, server.requests[what], at_once))
        found["streams"] = await streams(servers["perdure"])
        return found
    finally:
        for server in servers.values():
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1])))))
