"""Events from the shell: to a process that works, to one that comes later, and with a kill in between."""

import json
import os

import pytest

from tests.system.program import Program, document
from tests.system.test_cli import complains
from tests.system.test_cli_kill import until

LISTEN = """\
  - ask:
      listen: { to: { one: { with: { type: com.example.decided, subject: req-7 } } } }
  - done: { set: { said: '${ .[0] }' } }
"""
SEND = ("events", "send", "--type", "com.example.decided", "--subject", "req-7", "--payload", '{"approved": true}')
SAID = '{"said":{"approved":true}}\n'


@pytest.fixture
def program(tmp_path, took_part):
    took_part("perdure command line, events")
    made = Program(tmp_path)
    made.write("ask.yaml", document("ask", LISTEN))
    return made


@pytest.fixture
def asking(program):
    process = program.start("run", "ask.yaml", "--run", "r-1")
    try:
        until(lambda: b"waits: for an event of com.example.decided" in os.read(process.stderr.fileno(), 1000))
        yield process
    finally:
        process.kill()
        process.communicate()


def letters(program):
    return list((program.data / "events").glob("*"))


def test_a_running_process_takes_an_event(program, asking):
    sent = program.run(*SEND, "--id", "e-1")
    assert (sent.returncode, sent.stdout) == (0, "e-1\n"), sent.stderr
    output, errors = asking.communicate(timeout=30)
    assert (asking.returncode, output) == (0, SAID), errors
    assert letters(program) == []


def test_an_event_waits_for_the_next_process_and_counts_once(program, asking):
    asking.kill()
    asking.wait()
    for _ in range(2):
        assert program.run(*SEND, "--id", "e-1").returncode == 0
    assert len(letters(program)) == 2
    done = program.run("runs", "resume", "r-1", "--quiet")
    assert (done.returncode, done.stdout) == (0, SAID), done.stderr
    second = program.start("run", "ask.yaml", "--run", "r-2")
    try:
        until(lambda: b"waits" in os.read(second.stderr.fileno(), 1000))
        until(lambda: letters(program) == [])
        assert json.loads(program.run("runs", "show", "r-2", "--json").stdout)["status"] == "waiting"
    finally:
        second.kill()
        second.communicate()


def test_whole_events_and_what_is_none(program, asking):
    program.write("event.json", '{"id": "e-9", "source": "s", "type": "t", "specversion": "1.0", "data": [1]}')
    assert program.run("events", "send", "@event.json").stdout == "e-9\n"
    assert program.run("events", "send", "-", given='{"id": "e-8", "source": "s", "type": "t"}').stdout == "e-8\n"
    complains(program.run("events", "send"), 2, "no type", "--type")
    complains(program.run("events", "send", "[1]"), 2, "JSON object")
    complains(program.run("events", "send", "{"), 2, "not JSON")
    complains(program.run("events", "send", '{"type": 7, "id": "1", "source": "s"}'), 2, "no type")
    complains(program.run("events", "send", "--type", "t", "--data", str(program.folder / "absent")), 2, "absent")
    (program.data / "events" / "0-junk.json").write_bytes(b"\xff{")
    until(lambda: [file.suffix for file in letters(program)] == [".refused"])
    assert asking.poll() is None
