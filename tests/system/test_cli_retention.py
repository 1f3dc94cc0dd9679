"""Forgetting runs: what has ended goes, whole; what goes on and what others refer to stays."""

import json

import apsw
import pytest

from tests.system.program import Program, document
from tests.system.test_cli import complains
from tests.system.test_cli_kill import until

BIG = document("big", "  - a: { set: { text: '${ .text }' } }\n")
OTHER = document("other", "  - a: { set: { a: 1 } }\n")
ALL = ("runs", "heads", "journal", "snapshots", "blobs", "definitions")


@pytest.fixture
def program(tmp_path, took_part):
    took_part("perdure command line, retention")
    made = Program(tmp_path)
    made.write("big.yaml", BIG)
    made.write("other.yaml", OTHER)
    return made


def start(program, id, letter):
    program.write("input.json", json.dumps({"text": letter * 20_000}))
    done = program.run("run", "big.yaml", "--run", id, "--input", "@input.json", "--quiet")
    assert done.returncode == 0, done.stderr


def counts(program):
    connection = apsw.Connection(str(program.data / "journal.db"))
    try:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ALL}
    finally:
        connection.close()


def test_a_deleted_run_leaves_nothing_and_others_stay_whole(program):
    start(program, "r-1", "x")
    start(program, "r-2", "y")
    start(program, "r-3", "x")
    assert program.run("run", "other.yaml", "--run", "r-4", "--quiet").returncode == 0
    before = counts(program)
    assert (before["runs"], before["blobs"], before["definitions"]) == (4, 2, 2)
    for id in ("r-1", "r-4"):
        assert program.run("runs", "delete", id).returncode == 0
    after = counts(program)
    assert (after["runs"], after["heads"], after["blobs"], after["definitions"]) == (2, 2, 2, 1)
    complains(program.run("runs", "show", "r-1"), 2, "There is no run r-1")
    assert json.loads(program.run("runs", "show", "r-3", "--json").stdout)["output"] == {"text": "x" * 20_000}
    assert "a completed" in program.run("runs", "history", "r-3").stdout
    pruned = program.run("runs", "prune", "--before", "0s", "--vacuum")
    assert (pruned.returncode, pruned.stderr) == (0, "perdure: 2 runs are forgotten.\n")
    assert set(counts(program).values()) == {0}
    start(program, "r-5", "z")


def test_what_has_not_ended_or_is_young_stays(program):
    start(program, "r-1", "x")
    program.write("slow.yaml", document("slow", "  - rest: { wait: { seconds: 60 } }\n"))
    process = program.start("run", "slow.yaml", "--run", "r-2")
    try:
        until(lambda: '"waiting"' in program.run("runs", "list", "--json").stdout)
        complains(program.run("runs", "prune", "--before", "0s"), 2, f"pid {process.pid}")
    finally:
        process.kill()
        process.communicate()
    complains(program.run("runs", "delete", "r-2"), 2, "is waiting", "cancel")
    complains(program.run("runs", "delete", "r-9"), 2, "There is no run r-9")
    complains(program.run("runs", "prune", "--before", "soon"), 2, "no age")
    assert "0 runs are" in program.run("runs", "prune", "--before", "1d").stderr
    assert "1 run is" in program.run("runs", "prune", "--before", "0s").stderr
    (row,) = json.loads(program.run("runs", "list", "--json").stdout)
    assert row["id"] == "r-2"
