"""`perdure migrate` as a user has it, on files and on a real PostgreSQL."""

import itertools
import os
import subprocess
import sys

import pytest

from perdure.migrations import histories

_numbers = itertools.count(1)
HEADS = {service: histories.head(service) for service in histories.STORES}


def perdure(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    return subprocess.run(
        [sys.executable, "-m", "perdure", "migrate", *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(params=["files", "postgres"])
def where(request, tmp_path, took_part) -> list[str]:
    if request.param == "files":
        took_part("SQLite through SQLAlchemy")
        return ["--data", str(tmp_path / "new")]
    server = request.getfixturevalue("postgres_server")
    took_part(f"PostgreSQL {server.version}")
    return ["--database", server.database(f"cli_migrate_{next(_numbers)}")]


def test_from_nothing_to_current_and_again(where):
    looked = perdure(*where, "--check")
    assert looked.returncode == 1, looked.stderr
    assert looked.stdout == "".join(f"{name}: empty, needs {head}\n" for name, head in HEADS.items())
    done = perdure(*where)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(f"{name}: from nothing to version {head}\n" for name, head in HEADS.items())
    for arguments in ([], ["--check"]):
        again = perdure(*where, *arguments)
        assert again.returncode == 0
        assert again.stdout == "".join(f"{name}: version {head}, current\n" for name, head in HEADS.items())


def test_one_service(where):
    done = perdure(*where, "--service", "identity")
    assert (done.returncode, done.stdout) == (0, f"identity: from nothing to version {HEADS['identity']}\n")
    assert perdure(*where, "--check").returncode == 1


def test_what_does_not_fit_is_one_sentence(tmp_path):
    for arguments, code, sentence in [
        (["--service", "nope"], 2, "There is no service 'nope'."),
        (["--database", "mysql://x"], 2, "A database at mysql: is not known."),
        (["--database", "postgresql://x@127.0.0.1:1/y"], 1, "cannot be reached"),
    ]:
        done = perdure("--data", str(tmp_path), *arguments)
        assert done.returncode == code, done.stderr
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
