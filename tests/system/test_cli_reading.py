"""Looking at a journal from a second process, while a run goes on in the first and after it was killed."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.system.program import Program, document
from tests.system.test_cli import complains
from tests.system.test_cli_kill import until

TASKS = "  - first: { set: { a: 1 } }\n  - rest: { wait: { seconds: 60 } }\n  - last: { set: { b: 1 } }\n"


@pytest.fixture
def program(tmp_path, took_part):
    took_part("perdure command line, two processes")
    made = Program(tmp_path)
    made.write("slow.yaml", document("slow", TASKS))
    return made


@pytest.fixture
def running(program):
    process = program.start("run", "slow.yaml", "--run", "r-1", "--input", '{"n": 7}')
    try:
        until(lambda: b"waits" in os.read(process.stderr.fileno(), 1000))
        yield process
    finally:
        process.kill()
        process.communicate()


def look(program: Program) -> None:
    (row,) = json.loads(program.run("runs", "list", "--json").stdout)
    assert (row["id"], row["status"], row["ended"]) == ("r-1", "waiting", None)
    shown = json.loads(program.run("runs", "show", "r-1", "--json").stdout)
    assert (shown["input"], shown["output"]) == ({"n": 7}, None)
    history = program.run("runs", "history", "r-1")
    assert "first completed" in history.stdout, history.stderr
    assert "rest waits" in history.stdout
    assert history.stdout.splitlines()[-1].split()[0] == "7"
    complains(program.run("runs", "show", "r-2"), 2, "There is no run r-2")


def test_a_run_is_looked_at_while_it_goes_on_and_after_a_kill(program, running):
    look(program)
    holder = (program.data / "journal.lock").read_text()
    assert running.poll() is None
    complains(program.run("runs", "resume", "r-1"), 2, f"pid {running.pid}")
    assert (program.data / "journal.lock").read_text() == holder
    running.kill()
    running.wait()
    look(program)
    cancelled = program.run("runs", "cancel", "r-1", "--quiet")
    assert cancelled.returncode == 0, cancelled.stderr


def test_going_on_tells_what_is_done_instead_of_repeating_it(program, running):
    running.kill()
    running.wait()
    past = [entry["type"] for entry in json.loads(program.run("runs", "history", "r-1", "--json").stdout)]
    process = program.start("runs", "resume", "r-1")
    try:
        lines = [process.stderr.readline() for _ in range(3)]
    finally:
        process.kill()
        process.communicate()
    assert [line.split(" ", 1)[1].rstrip() for line in lines[:2]] == ["run r-1", "1 task is done already"]
    assert "rest waits: until" in lines[2]
    followed = program.start("runs", "resume", "r-1", "--follow")
    try:
        lines = [followed.stderr.readline() for _ in range(len(past) + 1)]
    finally:
        followed.kill()
        followed.communicate()
    assert "first completed" in "".join(lines)
    assert "rest waits" in lines[-1]


def test_no_journal_and_an_unfinished_one(program):
    program.data.mkdir()
    assert program.run("runs", "list", "--json").stdout == "[]\n"
    complains(program.run("runs", "show", "r-1"), 2, "There is no journal in")
    assert not list(program.data.iterdir())
    (program.data / "journal.db").touch()
    assert program.run("runs", "list", "--json").stdout == "[]\n"
    complains(program.run("runs", "history", "r-1"), 2, "empty yet")


def test_a_damaged_journal_is_refused_and_left_as_it_is(program):
    program.data.mkdir()
    journal = program.data / "journal.db"
    journal.write_bytes(b"this is no database, " * 1000)
    for arguments in (("list",), ("show", "r-1"), ("history", "r-1")):
        complains(program.run("runs", *arguments), 2, str(journal), "not a journal")
    assert journal.read_bytes() == b"this is no database, " * 1000


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everywhere")
def test_a_user_who_may_only_read(program):
    program.write("greet.yaml", document("greet", "  - greet: { set: { a: 1 } }\n"))
    assert program.run("run", "greet.yaml", "--quiet", "--run", "r-1").returncode == 0
    program.data.chmod(0o500)
    listed = unprivileged(program, "runs", "list", "--json")
    assert [row["id"] for row in json.loads(listed.stdout)] == ["r-1"], listed.stderr
    (program.data / "journal.lock").chmod(0o400)
    complains(unprivileged(program, "runs", "cancel", "r-1"), 1, str(program.data))
    complains(unprivileged(program, "run", "greet.yaml"), 1, str(program.data))
    program.data.chmod(0)
    try:
        complains(unprivileged(program, "runs", "list"), 1, str(program.data))
    finally:
        program.data.chmod(0o700)


def unprivileged(program: Program, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command to which permissions apply, also when root runs the tests."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-m", "perdure", *arguments]
    return subprocess.run(
        command, cwd=program.folder, env=program.environment, capture_output=True, text=True, timeout=60
    )
