"""Backup and restore: a drill under load, the same with PostgreSQL, and what is refused (reliability.md, T20)."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from perdure.adapters.database import open_database
from perdure.adapters.outbox import mark_sent, taken
from perdure.migrations import histories
from perdure.ports.database import Told
from tests.servers import postgres
from tests.servers.temporal import free_port

DOCUMENT = """
document: {dsl: 1.0.3, namespace: drill, name: slow, version: 1.0.0}
do:
  - begin: {set: {n: '${ $workflow.input.n }'}}
  - nap: {wait: {seconds: 3}}
  - double: {set: {n: '${ .n * 2 }'}}
"""
_numbers = itertools.count(1)


def environment(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}, **more}


def perdure(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perdure", *arguments]
    return subprocess.run(command, env=environment(**more), capture_output=True, text=True, timeout=120)


class Server:
    """`perdure up` on a directory; a real process that can be killed."""

    def __init__(self, data: Path, key: str = "") -> None:
        self.key = key
        self.port = free_port()
        self._log = (data.parent / f"{data.name}.log").open("a+")  # it writes at the end, wherever this is read
        command = [sys.executable, "-m", "perdure", "up", "--data", str(data), "--port", str(self.port)]
        self._process = subprocess.Popen(
            command, env=environment(), stdout=self._log, stderr=self._log, start_new_session=True
        )
        end = time.monotonic() + 60
        while "Ctrl-C" not in self.said() or not self.is_ready():  # it answers before it has said all
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)
        found = re.search(r"owner key +(\S+)", self.said())
        self.key = self.key or (found[1] if found else "")

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "/ready", api="")[0] == 200
        return False

    def said(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def ask(self, method: str, path: str, body=None, *, api: str = "/api/v1", kind: str = "application/json"):
        given = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        headers = {"x-api-key": self.key, "content-type": kind}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{api}{path}", given, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()


class Load:
    """Starts runs one after the other in a few threads, and keeps those that were acknowledged."""

    def __init__(self, server: Server) -> None:
        self.acknowledged: list[tuple[str, int]] = []
        self._server = server
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._start) for _ in range(3)]
        for thread in self._threads:
            thread.start()

    def reach(self, count: int) -> None:
        end = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < end, self.acknowledged
            time.sleep(0.01)

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        while not self._ending.is_set():
            number = next(_numbers)
            with contextlib.suppress(OSError):
                status, answer = self._server.ask("POST", "/workflows/drill.slow/runs", {"input": {"n": number}})
                if status < 300:
                    self.acknowledged.append((answer["id"], number))


@pytest.mark.slow
@pytest.mark.parametrize("packed", ["", ".tar.gz"])
def test_a_backup_under_load_goes_on_elsewhere(tmp_path, packed, took_part):
    took_part("perdure up, killed and restored")
    server = Server(tmp_path / "data")
    later = None
    try:
        status, answer = server.ask("POST", "/workflows", DOCUMENT, kind="application/yaml")
        assert status < 300, answer
        load = Load(server)
        load.reach(30)
        before = list(load.acknowledged)
        made = perdure("backup", str(tmp_path / f"backup{packed}"), "--data", str(tmp_path / "data"))
        assert made.returncode == 0, made.stderr
        load.reach(len(load.acknowledged) + 10)
        server.kill()
        load.end()
        done = perdure("restore", str(tmp_path / f"backup{packed}"), "--data", str(tmp_path / "elsewhere"))
        assert done.returncode == 0, done.stderr
        later = Server(tmp_path / "elsewhere", server.key)
        for run, number in before:
            assert ended(later, run)["output"] == {"n": number * 2}
        status, answer = later.ask("POST", "/workflows/drill.slow/runs", {"input": {"n": 1}})
        assert status < 300
        assert ended(later, answer["id"])["status"] == "completed"
    finally:
        server.kill()
        if later is not None:
            later.kill()


def ended(server: Server, run: str) -> dict:
    end = time.monotonic() + 60
    while True:
        status, answer = server.ask("GET", f"/runs/{run}")
        assert status == 200, f"run {run} was acknowledged before the backup and is lost: {answer}"
        if answer["status"] in {"completed", "faulted", "cancelled"}:
            return answer
        assert time.monotonic() < end, answer
        time.sleep(0.05)


async def test_data_in_postgresql_are_part_of_a_backup(tmp_path, postgres_server, took_part):
    took_part(f"PostgreSQL {postgres_server.version}")
    url, other = (postgres_server.database(f"backup_{next(_numbers)}") for _ in range(2))
    for service in histories.STORES:
        histories.migrate(url, service)
    database = open_database(url, "workflows")
    for tenant in ("acme", "other"):
        row = {"tenant": tenant, "event": "e", "at": 1}
        await database.write(tenant, lambda t, row=row: t.connection.execute(insert(taken), row).rowcount)
        await database.write(tenant, lambda t: t.tell(Told(type="t.v1", subject=t.tenant, data={})))
    now = time.time_ns() // 1_000_000
    await database.write("*", lambda t: mark_sent(t.connection, [1, 2], now))
    await database.close()
    (tmp_path / "data").mkdir()
    programs = {"PATH": f"{postgres.programs()}/bin:{os.environ['PATH']}"}
    made = perdure(
        "backup", str(tmp_path / "b"), "--data", str(tmp_path / "data"), PERDURE_DATABASE_URL=url, **programs
    )
    assert made.returncode == 0, made.stderr
    done = perdure(
        "restore", str(tmp_path / "b"), "--data", str(tmp_path / "n"), PERDURE_DATABASE_URL=other, **programs
    )
    assert done.returncode == 0, done.stderr
    assert "2 events" in done.stdout
    assert all(histories.standing(other, service).is_current for service in histories.STORES)
    restored = open_database(other, "workflows")
    query = select(taken.c.tenant).order_by(taken.c.tenant)
    assert await restored.read("acme", lambda c: c.execute(query).scalars().all()) == ["acme"]
    assert await restored.read("*", lambda c: c.execute(query).scalars().all()) == ["acme", "other"]
    await restored.close()
    again = perdure(
        "restore", str(tmp_path / "b"), "--data", str(tmp_path / "m"), PERDURE_DATABASE_URL=other, **programs
    )
    assert again.returncode == 2
    assert "has data of Perdure already" in again.stderr
    missing = perdure(
        "backup", str(tmp_path / "c"), PERDURE_DATABASE_URL=url, PERDURE_DATA=str(tmp_path / "data"), PATH="/none"
    )
    assert missing.returncode == 1
    assert "pg_dump was not found" in missing.stderr


PG_DUMP = """\
#!/bin/sh
echo "$PGPASSWORD" > "$0.heard"; echo "$@" >> "$0.heard"
echo "pg_dump: error: aborting because of server version mismatch" >&2
exit 1
"""


def test_pg_dump_hears_the_password_as_it_is_and_says_what_is_wrong_with_it(tmp_path):
    program = tmp_path / "pg_dump"
    program.write_text(PG_DUMP)
    program.chmod(0o755)
    url = "postgresql+psycopg://ana:p%40ss%2Fword@127.0.0.1:1/perdure"
    (tmp_path / "data").mkdir()
    where = {"PERDURE_DATABASE_URL": url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    made = perdure("backup", str(tmp_path / "b"), "--data", str(tmp_path / "data"), **where)
    assert made.returncode == 1
    assert f"{program} must be as new as the server" in made.stderr
    password, arguments = (tmp_path / "pg_dump.heard").read_text().splitlines()
    assert password == "p@ss/word"
    assert "postgresql://ana@127.0.0.1:1/perdure" in arguments and "p%40ss" not in arguments


@pytest.fixture
def data(tmp_path) -> Path:
    """A small installation: a run that completed, and a service's file with an event that was sent just now."""
    place = tmp_path / "data"
    (tmp_path / "one.yaml").write_text(DOCUMENT.replace("seconds: 3", "milliseconds: 1"))
    done = perdure("run", str(tmp_path / "one.yaml"), "--quiet", "--input", '{"n": 4}', "--data", str(place))
    assert done.returncode == 0, done.stderr
    url = f"sqlite:///{place}/workflows.db"
    histories.prepare(url, "workflows")
    now = time.time_ns() // 1_000_000
    with histories.opened(histories.address(url, "workflows"), "workflows") as connection:
        for number, sent in ((1, now), (2, now - 3_600_000)):
            row = {"id": str(number), "sent": sent}
            connection.execute(
                text("INSERT INTO outbox (id, tenant, subject, event, at, free, attempts, sent) "
                     "VALUES (:id, 't', 's', '{}', 1, 1, 1, :sent)"), row,
            )  # fmt: skip
    (place / "blobs" / "ab").mkdir(parents=True)
    (place / "blobs" / "ab" / "big").write_bytes(b"big value")
    (place / "model").mkdir()
    (place / "model" / "weights").write_bytes(b"made again")
    return place


def test_everything_is_kept_and_what_was_told_just_now_is_told_again(tmp_path, data):
    (tmp_path / "secrets.json").write_text('{"token": "s3cret"}')
    secrets = {"PERDURE_SECRETS": str(tmp_path / "secrets.json")}
    made = perdure("backup", str(tmp_path / "b"), "--data", str(data), **secrets)
    assert made.returncode == 0, made.stderr
    kept = sorted(str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert kept == ["blobs/ab/big", "journal.db", "manifest.json", "secrets-file", "workflows.db"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "b", *(tmp_path / "b").rglob("*")])
    done = perdure("restore", str(tmp_path / "b"), "--data", str(tmp_path / "n"))
    assert done.returncode == 0, done.stderr
    assert "1 events" in done.stdout
    assert "secrets-file" in done.stdout
    with histories.opened(histories.address(f"sqlite:///{tmp_path}/n/workflows.db", "workflows"), "workflows") as found:
        assert found.execute(text("SELECT id FROM outbox WHERE sent IS NULL")).scalars().all() == ["1"]
    assert "completed" in perdure("runs", "list", "--data", str(tmp_path / "n")).stdout


def test_nothing_is_written_over(tmp_path, data):
    assert perdure("backup", str(tmp_path / "b.tar"), "--data", str(data)).returncode == 0
    assert "exists already" in perdure("backup", str(tmp_path / "b.tar"), "--data", str(data)).stderr
    assert "inside the directory" in perdure("backup", str(data / "b"), "--data", str(data)).stderr
    assert "is not empty" in perdure("restore", str(tmp_path / "b.tar"), "--data", str(data)).stderr
    assert "no directory" in perdure("backup", str(tmp_path / "c"), "--data", str(tmp_path / "none")).stderr
    assert not list(tmp_path.glob(".perdure-*"))


def test_a_damaged_backup_is_refused_and_leaves_nothing(tmp_path, data):
    assert perdure("backup", str(tmp_path / "b"), "--data", str(data)).returncode == 0
    (tmp_path / "b" / "blobs" / "ab" / "big").write_bytes(b"BIG value")
    done = perdure("restore", str(tmp_path / "b"), "--data", str(tmp_path / "n"))
    assert (done.returncode, "blobs/ab/big is not as it was" in done.stderr) == (1, True)
    (tmp_path / "b" / "blobs" / "ab" / "big").unlink()
    assert perdure("restore", str(tmp_path / "b"), "--data", str(tmp_path / "n")).returncode == 1
    (tmp_path / "b" / "manifest.json").unlink()
    done = perdure("restore", str(tmp_path / "b"), "--data", str(tmp_path / "n"))
    assert (done.returncode, "not a backup" in done.stderr) == (2, True)
    assert not (tmp_path / "n").exists()
    assert not list(tmp_path.glob(".perdure-*"))


def test_a_damaged_database_is_no_backup(tmp_path, data):
    path = data / "workflows.db"
    whole = path.read_bytes()
    path.write_bytes(whole[: 4096 * 3] + os.urandom(4096) + whole[4096 * 4 :])
    done = perdure("backup", str(tmp_path / "b"), "--data", str(data))
    assert done.returncode == 1, done.stdout
    assert "workflows.db" in done.stderr
    assert not (tmp_path / "b").exists()


def test_an_archive_that_would_leave_its_place_is_refused(tmp_path):
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(tmp_path / "evil", "../outside")
    done = perdure("restore", str(tmp_path / "b.tar"), "--data", str(tmp_path / "n"))
    assert done.returncode == 1, done.stderr
    assert not (tmp_path / "outside").exists()
    (tmp_path / "b.tar").write_bytes(b"nothing")
    assert "cannot be unpacked" in perdure("restore", str(tmp_path / "b.tar"), "--data", str(tmp_path / "n")).stderr
