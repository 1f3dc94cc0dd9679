"""A platform of several processes on servers that they share, and clients that go to whichever gateway is ready."""

import base64
import http.client
import json
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.servers.template import Forked
from tests.servers.temporal import free_port
from tests.system.program import Program

FUNCTIONS = Path(__file__).with_name("ledger_functions.py")
KEY = re.compile(r"pdk_[A-Za-z0-9_-]+")
PATIENCE = 60.0
LOST = (OSError, http.client.HTTPException)


class Answer:
    """What was answered."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.json: Any = json.loads(body) if body else None

    def __repr__(self) -> str:
        return f"{self.status}: {self.json}"


class Node:
    """One process of the cluster, on a port of its own that it keeps when it is started again."""

    def __init__(self, program: Program, *command: str) -> None:
        self.port = free_port()
        self._program = program
        self._command = command
        self._process: Forked | None = None
        self.shown = ""

    def __repr__(self) -> str:
        return f"Node({self._command[0]}, {self.port})"

    def start(self) -> None:
        place = f"127.0.0.1:{self.port}"
        where = ["--port", str(self.port)] if self._command[0] == "serve" else ["--health", place]
        with (self._program.folder / "log").open("a") as log:
            self._process = self._program.fork(*self._command, *where, stderr=log)
        self.shown = ""

    def until_ready(self) -> dict[str, Any]:
        if self._command[0] == "serve" and not self.shown:
            for line in iter(self._process.stdout.readline, ""):
                self.shown += line
                if "Ctrl-C" in line:
                    break
        end = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.ask("GET", "/ready")
                if answer.status == 200:
                    return answer.json
            except LOST:
                pass
            assert time.monotonic() < end, (self._program.folder / "log").read_text()[-4000:]
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/ready", patience=2).status == 200
        except LOST:
            return False

    def ask(
        self, method: str, path: str, key: str = "", given: Any = None, *, patience: float = 30, **headers: str
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        body = given if given is None or isinstance(given, bytes) else json.dumps(given).encode()
        sent = {"content-type": "application/yaml" if isinstance(given, bytes) else "application/json"}
        sent |= {"x-api-key": key} if key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        finally:
            connection.close()

    def read(self, path: str, key: str) -> str:
        """Everything that a stream says until it ends."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, None, {"x-api-key": key})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            os.kill(process.pid, how)
        code = process.wait(PATIENCE)
        process.stdout.close()
        return code


class Cluster:
    """Gateways and workers, two of each if nothing else is said."""

    def __init__(self, folder: Path, count: int = 2, **settings: str) -> None:
        self.ledger = folder / "ledger.txt"
        self.ledger.touch()
        self.program = Program(
            folder,
            LEDGER=str(self.ledger),
            PERDURE_ENGINE="temporal",
            PERDURE_TEMPORAL_INSTALLATION=f"test-{uuid.uuid4()}",
            PERDURE_TEMPORAL_STORE=str(folder / "store"),
            PERDURE_TEMPORAL_HEARTBEAT="2",
            PERDURE_MASTER_KEYS=base64.b64encode(os.urandom(32)).decode(),
            PERDURE_RATE_LIMITS="read=0,write=0,run=0",
            **settings,
        )
        functions = ("--functions", str(FUNCTIONS))
        self.gateways = [Node(self.program, "serve", "--notice", "1", *functions) for _ in range(count)]
        self.workers = [Node(self.program, "worker", "--drain", "10", *functions) for _ in range(count)]
        self.key = ""

    def start(self) -> None:
        migrated = self.program.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        for node in (*self.gateways, *self.workers):
            node.start()
        self.see_ready()

    def see_ready(self) -> None:
        """All of them are, and one has shown the owner key."""
        for node in (*self.gateways, *self.workers):
            node.until_ready()
        found = [KEY.search(gateway.shown) for gateway in self.gateways]
        keys = [key[0] for key in found if key]
        assert len(keys) == 1, "one owner key is made, however many gateways begin at once"
        self.key = keys[0]

    def close(self) -> None:
        for node in (*self.gateways, *self.workers):
            node.end(signal.SIGKILL)

    def log(self) -> str:
        return (self.program.folder / "log").read_text()


ASK = b"""
document: { dsl: 1.0.3, namespace: test, name: ask, version: 1.0.0 }
do:
  - ask: { call: approve, with: { title: May I? }, output: { as: .data } }
"""


def approved(one: Node, other: Node, key: str) -> Any:
    """A run that asks a person, each step by another gateway; its output."""
    assert one.ask("POST", "/api/v1/workflows", key, ASK).status == 201
    run = other.ask("POST", "/api/v1/workflows/test.ask/runs", key, {"input": {}}).json["id"]

    def asked() -> Any:
        items = one.ask("GET", "/api/v1/inbox?state=open", key).json["items"]
        return next((item for item in items if item["run"] == run), None)

    item = until(asked, "nobody is asked")
    verdict = {"hash": item["hash"], "approved": True, "data": {"said": "yes"}}
    decided = other.ask("POST", f"/api/v1/inbox/{item['id']}/decide", key, verdict)
    assert decided.status == 200, decided
    found = until(lambda: ended(one, run, key), "the run does not end")
    return found["output"]


def ended(gateway: Node, run: str, key: str) -> Any:
    found = gateway.ask("GET", f"/api/v1/runs/{run}", key).json
    return found if found["status"] == "completed" else None


def until(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return value


class Balancer:
    """Knows which gateways are ready, as a load balancer does: it asks them again and again."""

    def __init__(self, gateways: list[Node]) -> None:
        self._gateways = gateways
        self._ready = list(gateways)
        self._turn = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            self._ready = [gateway for gateway in self._gateways if gateway.is_ready()] or self._ready

    def next(self) -> Node:
        self._turn += 1
        return self._ready[self._turn % len(self._ready)]


class Load:
    """Clients that start runs one after the other until told to stop."""

    def __init__(self, cluster: Cluster, balancer: Balancer, *, clients: int = 3, again: bool = False) -> None:
        """`again`: a request whose answer did not come is made again under its idempotency key, as clients do."""
        self._cluster = cluster
        self._balancer = balancer
        self._again = again
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]
        self.runs: list[str] = []
        self.failures: list[str] = []
        self.repeated = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.15):
            key = str(uuid.uuid4())
            end = time.monotonic() + 20
            while not self._started(key) and self._again and time.monotonic() < end:
                self.repeated += 1
                self.failures.pop()
                time.sleep(0.1)

    def _started(self, key: str) -> bool:
        gateway = self._balancer.next()
        try:
            answer = gateway.ask(
                "POST", "/api/v1/workflows/test.load/runs", self._cluster.key, {"input": {"key": key}},
                idempotency_key=key,
            )  # fmt: skip
        except LOST as error:
            self.failures.append(f"{gateway}: {error!r}")
            return False
        if answer.status not in {200, 201, 202}:
            self.failures.append(f"{gateway}: {answer}")
            return False
        self.runs.append(answer.json["id"])
        return True
