"""A run that is cut off, by Ctrl-C, SIGTERM or SIGKILL, and goes on."""

import json
import os
import signal
import time

import pytest

from tests.system.program import Program, document

REST = "wait: { milliseconds: 700 }"
TASKS = f"""\
  - first: {{ call: note, with: {{ line: first }} }}
  - rest: {{ {REST} }}
  - second: {{ call: note, with: {{ line: second }} }}
"""
FUNCTIONS = """
import pathlib
from perdure import function

@function(effect="idempotent")
def note(line: str) -> str:
    \"\"\"Write a line into a ledger.\"\"\"
    with pathlib.Path(__file__).with_name("ledger").open("a") as ledger:
        ledger.write(line + "\\n")
    return line
"""


@pytest.fixture
def program(tmp_path, took_part):
    took_part("perdure command line, killed")
    made = Program(tmp_path)
    made.write("slow.yaml", document("slow", TASKS))
    made.write("notes.py", FUNCTIONS)
    return made


def ledger(program: Program) -> list[str]:
    path = program.folder / "ledger"
    return path.read_text().split() if path.exists() else []


def until(true, seconds: float = 90) -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def cut(program: Program, how: signal.Signals) -> tuple[int, str, str]:
    process = program.start("run", "slow.yaml", "--run", "r-1", "--functions", "notes")
    try:
        until(lambda: ledger(program) == ["first"] or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        os.kill(process.pid, how)
        output, errors = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, output, errors


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on(program, how):
    code, output, errors = cut(program, how)
    assert (code, output) == (130, "")
    assert "Traceback" not in errors
    command = errors.strip().splitlines()[-1].strip()
    assert command.startswith("perdure runs resume r-1")
    done = program.run(*command.split()[1:], "--quiet")
    assert (done.returncode, done.stdout) == (0, '"second"\n'), done.stderr
    assert ledger(program) == ["first", "second"]


def test_a_killed_run_goes_on_where_it_was(program):
    code, _, _ = cut(program, signal.SIGKILL)
    assert code == -signal.SIGKILL
    (row,) = json.loads(program.run("runs", "list", "--json").stdout)
    assert (row["id"], row["ended"]) == ("r-1", None)
    forgotten = program.run("runs", "resume", "r-1", "--quiet")
    assert (forgotten.returncode, forgotten.stdout) == (2, "")
    assert "note" in forgotten.stderr
    assert "--functions" in forgotten.stderr
    done = program.run("runs", "resume", "r-1", "--functions", "notes", "--quiet")
    assert (done.returncode, done.stdout) == (0, '"second"\n'), done.stderr
    assert ledger(program).count("second") == 1
    assert 1 <= ledger(program).count("first") <= 2


def test_the_same_command_goes_on_too(program):
    cut(program, signal.SIGKILL)
    done = program.run("run", "slow.yaml", "--run", "r-1", "--functions", "notes", "--quiet")
    assert (done.returncode, done.stdout) == (0, '"second"\n'), done.stderr


def test_another_run_does_not_wake_an_interrupted_one(program):
    cut(program, signal.SIGKILL)
    program.write("quick.yaml", document("quick", "  - rest: { wait: { seconds: 1 } }\n  - a: { set: { a: 1 } }\n"))
    before = ledger(program)
    done = program.run("run", "quick.yaml", "--quiet")
    assert (done.returncode, done.stdout) == (0, '{"a":1}\n'), done.stderr
    assert ledger(program) == before
    every = program.run("runs", "resume", "--all", "--functions", "notes", "--quiet")
    assert (every.returncode, every.stdout) == (0, "r-1  completed\n"), every.stderr
    assert ledger(program).count("second") == 1


def test_a_second_process_on_the_same_directory_is_refused(program):
    """The first one waits until it is told to go on: how long the second takes to begin is nobody's promise."""
    program.write("slow.yaml", document("slow", TASKS.replace(REST, "listen: { to: { one: { with: { type: go } } } }")))
    process = program.start("run", "slow.yaml", "--run", "r-1", "--functions", "notes")
    try:
        until(lambda: ledger(program) == ["first"])
        refused = program.run("runs", "resume", "r-1", "--functions", "notes")
        assert refused.returncode == 2
        assert str(process.pid) in refused.stderr
        assert "--data" in refused.stderr
        assert program.run("events", "send", "--type", "go").returncode == 0
        output, errors = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert (process.returncode, output) == (0, '"second"\n'), errors


def test_cancel_ends_a_run(program):
    cut(program, signal.SIGKILL)
    cancelled = program.run("runs", "cancel", "r-1", "--functions", "notes", "--quiet")
    assert cancelled.returncode == 0, cancelled.stderr
    assert "second" not in ledger(program)
    (row,) = json.loads(program.run("runs", "list", "--json").stdout)
    assert row["status"] == "cancelled"


def test_a_resumed_run_takes_its_child_along(program):
    call = "{ workflow: { namespace: test, name: slow, version: 1.0.0, input: {} } }"
    program.write("parent.yaml", document("parent", f"  - child: {{ run: {call} }}\n"))
    process = program.start("run", "parent.yaml", "--workflow", "slow.yaml", "--run", "p-1", "--functions", "notes")
    try:
        until(lambda: ledger(program) == ["first"] or process.poll() is not None)
    finally:
        process.kill()
        process.communicate()
    done = program.run("runs", "resume", "p-1", "--functions", "notes", "--quiet")
    assert (done.returncode, done.stdout) == (0, '"second"\n'), done.stderr
    assert ledger(program).count("second") == 1
    statuses = {row["name"]: row["status"] for row in json.loads(program.run("runs", "list", "--json").stdout)}
    assert statuses == {"parent": "completed", "slow": "completed"}


def test_a_function_that_sleeps_does_not_hold_an_interruption_up(program):
    program.write(
        "long.py", FUNCTIONS.replace("    return line", "    import time\n    time.sleep(60)\n    return line")
    )
    process = program.start("run", "slow.yaml", "--run", "r-1", "--functions", "long")
    try:
        until(lambda: ledger(program) == ["first"] or process.poll() is not None)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert (process.returncode, output) == (130, ""), errors
    assert "perdure runs resume r-1" in errors
    done = program.run("runs", "resume", "r-1", "--functions", "notes", "--quiet")
    assert (done.returncode, done.stdout) == (0, '"second"\n'), done.stderr


def test_a_thread_that_nobody_waits_for_does_not_hold_the_end_up(program):
    program.write(
        "long.py", FUNCTIONS.replace("    return line", "    import time\n    time.sleep(60)\n    return line")
    )
    branches = (
        "      - slow: { call: note, with: { line: slow } }\n"
        "      - fast: { do: [ { rest: { wait: { milliseconds: 300 } } }, { a: { set: { a: 1 } } } ] }\n"
    )
    program.write(
        "race.yaml", document("race", f"  - race:\n     fork:\n      compete: true\n      branches:\n{branches}")
    )
    done = program.run("run", "race.yaml", "--functions", "long", "--quiet", timeout=20)
    assert (done.returncode, done.stdout) == (0, '{"a":1}\n'), done.stderr


AGENT = """\
  - first: { call: agent, with: { instruction: one, tools: [note] } }
  - rest: { wait: { milliseconds: 700 } }
  - second: { call: agent, with: { instruction: two, tools: [note] } }
"""


def test_an_agents_tool_that_is_not_there_is_told_before_anything_is_done(program):
    """A model would be told that the tool fails, and would answer without it."""
    program.write("slow.yaml", document("slow", AGENT))
    script = {
        instruction: [{"toolCalls": [{"name": "note", "arguments": {"line": line}}]}, line]
        for instruction, line in (("one", "first"), ("two", "second"))
    }
    program.environment["PERDURE_MODEL_SCRIPT"] = str(program.write("script.json", json.dumps(script)))
    cut(program, signal.SIGKILL)
    for which in ("r-1", "--all"):
        forgotten = program.run("runs", "resume", which, "--quiet")
        assert (forgotten.returncode, forgotten.stdout) == (2, ""), forgotten.stderr
        assert "a tool 'note'" in forgotten.stderr
        assert "--functions" in forgotten.stderr
    done = program.run("runs", "resume", "r-1", "--functions", "notes", "--quiet")
    assert (done.returncode, done.stdout) == (0, '"second"\n'), done.stderr
    assert ledger(program).count("second") == 1
