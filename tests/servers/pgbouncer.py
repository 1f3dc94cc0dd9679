"""A real PgBouncer from Debian's `pgbouncer`, in transaction mode before the tests' PostgreSQL."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.postgres import NOBODY, PostgresServer
from tests.servers.temporal import free_port

MISSING = "PgBouncer is not installed: `apt-get install pgbouncer`"
PROGRAM = Path("/usr/sbin/pgbouncer")


@pytest.fixture(scope="session")
def pgbouncer_port(postgres_server: PostgresServer) -> Iterator[int]:
    """The port where it listens; two connections to the server serve everybody."""
    if not PROGRAM.exists():
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder, port = Path(tempfile.mkdtemp(prefix="perdure-pgbouncer-")), free_port()
    folder.chmod(0o755)
    (folder / "users").write_text('"perdure" ""\n')
    (folder / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres_server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
        "default_pool_size = 2\nmax_client_conn = 200\n"
    )
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, folder / "ini"], stdout=log, stderr=log, start_new_session=True, **as_nobody
        )
    end = time.monotonic() + 20
    while not _listens(port):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.02)
    yield port
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
