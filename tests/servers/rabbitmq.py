"""A real RabbitMQ from Debian's `rabbitmq-server`, on free ports with a directory of its own.

Started as root it would change user into a new session, out of our reach: it is started as its own user. Its epmd, the
port mapper of Erlang, outlives it and is ended by its own id.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.temporal import free_port
from tests.servers.tls import Certificates

MISSING = "RabbitMQ is not installed: `apt-get install rabbitmq-server`"
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = Path("/usr/bin/epmd")


def is_installed() -> bool:
    return PROGRAM.exists() and os.name == "posix"


class RabbitServer:
    """Can be killed as a power cut does it, and started again on its directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.secure_port = free_port()
        self.certificates = Certificates(folder / "tls")
        self.certificates.make("server")
        self.kills = 0
        self._mapper_port = free_port()
        self._distribution_port = free_port()
        self._as: dict = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("rabbitmq")
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._mapper: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"RabbitServer({self.port}, kills={self.kills})"

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def secure_url(self) -> str:
        """With TLS, under a certificate of an authority of its own."""
        return f"amqps://guest:guest@127.0.0.1:{self.secure_port}/?cafile={self.certificates.file('ca.pem')}"

    @property
    def version(self) -> str:
        found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        return found[-1].name.removeprefix("rabbitmq_server-") if found else "unknown"

    def start(self) -> None:
        """Start it, and return when it speaks AMQP."""
        folder = str(self.folder)
        (self.folder / "plugins").write_text("[].\n")
        file = self.certificates.file
        (self.folder / "rabbitmq.conf").write_text(
            "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 50MB\n"
            f"listeners.ssl.default = 127.0.0.1:{self.secure_port}\nssl_options.cacertfile = {file('ca.pem')}\n"
            f"ssl_options.certfile = {file('server.pem')}\nssl_options.keyfile = {file('server.key')}\n"
        )
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        if self._mapper is None:  # started here and not by Erlang, so that its id is known
            self._mapper = subprocess.Popen([str(EPMD)], env=environment, cwd="/", **self._as)
        with (self.folder / "output").open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM)], stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True, **self._as
            )
        end = time.monotonic() + 90
        while not self._answers():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)

    def has_kept(self, name: str, queues: int) -> bool:
        """Whether so many queues whose name has this in it outlive a kill: RabbitMQ 3.10 keeps the names of its quorum queues in
        a file that it writes behind, and one that is not there never has a leader again."""
        files = self.folder.glob("*/quorum/*/names.dets")
        return sum(file.read_bytes().count(name.encode()) for file in files) >= queues

    def kill(self) -> None:
        """As a power cut does it."""
        assert self._process is not None
        self._end()
        self.kills += 1

    def stop(self) -> None:
        self._end()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()

    def log(self) -> str:
        texts = [
            path.read_text()[-2000:] for path in [self.folder / "output", *self.folder.glob("*.log")] if path.exists()
        ]
        return "\n".join(texts)

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
        return False


@contextlib.contextmanager
def running() -> Iterator[RabbitServer]:
    """A broker of one's own."""
    with prepared() as server:
        server.start()
        yield server


@contextlib.contextmanager
def prepared() -> Iterator[RabbitServer]:
    """One that is not started yet. Not in a folder of pytest: those are root's alone."""
    if not is_installed():
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="perdure-rabbitmq-"))
    server = RabbitServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """One broker for the whole session; tests keep apart by their names."""
    with running() as server:
        yield server
