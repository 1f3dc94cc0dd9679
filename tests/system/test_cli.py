"""The command line as users meet it: outputs, faults, exit codes, and one clear sentence for each mistake."""

import json
import os
import re
import stat
import subprocess
import sys

import pytest

from tests.system.program import Program, document

GREET = document("greet", "  - greet: { set: { greeting: '${ \"Hello, \\(.name)!\" }' } }\n")
FAIL = document(
    "fail",
    "  - fail:\n      raise: { error: { type: https://example.com/errors/no, status: 409, title: No } }\n",
)
FLAKY = document(
    "flaky",
    "  - ask:\n      if: .broken\n      raise: { error: { type: https://example.com/errors/no, status: 409 } }\n"
    "  - done: { set: { done: true } }\n",
)


FUNCTIONS = """
from perdure import function

@function(effect="read")
def length(text: str) -> int:
    \"\"\"Count letters.\"\"\"
    return len(text)
"""


@pytest.fixture
def program(tmp_path, took_part):
    took_part("perdure command line")
    return Program(tmp_path)


def complains(done, code: int, *parts: str) -> None:
    """The command failed with this code, nothing on standard output, a short text with these parts and no traceback."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "bug in Perdure" not in done.stderr
    assert len(done.stderr.splitlines()) <= 4, done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


def test_output_alone_on_standard_output(program):
    program.write("greet.yaml", GREET)
    done = program.run("run", "greet.yaml", "--input", '{"name": "Ada"}')
    assert (done.returncode, done.stdout) == (0, '{"greeting":"Hello, Ada!"}\n'), done.stderr
    assert "greet completed" in done.stderr
    quiet = program.run("run", "greet.yaml", "--input", '{"name": "Ada"}', "--quiet")
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_document_and_input_from_standard_input_and_files(program):
    program.write("greet.yaml", GREET)
    program.write("input.json", '{"name": "Grace"}')
    for arguments, given in (
        (("run", "-", "--input", "@input.json"), GREET),
        (("run", "greet.yaml", "--input", "-"), '{"name": "Grace"}'),
        (("run", "greet.yaml", "--input", "@input.json"), None),
    ):
        done = program.run(*arguments, "--quiet", given=given)
        assert (done.returncode, done.stdout) == (0, '{"greeting":"Hello, Grace!"}\n'), done.stderr
    complains(program.run("run", "-", "--input", "-"), 2, "not both")


def test_a_fault_is_problem_json_on_standard_error(program):
    program.write("fail.yaml", FAIL)
    done = program.run("run", "fail.yaml", "--quiet")
    assert (done.returncode, done.stdout) == (1, "")
    fault = json.loads(done.stderr)
    assert fault == {"type": "https://example.com/errors/no", "status": 409, "title": "No", "instance": "/do/0/fail"}
    loud = program.run("run", "fail.yaml")
    assert json.loads(loud.stderr.splitlines()[-1]) == fault


def test_an_id_makes_a_second_start_the_same_run(program):
    program.write("greet.yaml", GREET)
    command = ("run", "greet.yaml", "--run", "r-1", "--quiet", "--input")
    assert program.run(*command, '{"name": "Ada"}').stdout == program.run(*command, '{"name": "Ada"}').stdout
    complains(program.run(*command, '{"name": "Eve"}'), 2, "r-1")


def test_runs_are_listed_shown_and_told(program):
    program.write("greet.yaml", GREET)
    program.run("run", "greet.yaml", "--run", "r-1", "--quiet", "--input", '{"name": "Ada"}')
    listed = program.run("runs", "list")
    assert listed.returncode == 0, listed.stderr
    assert "r-1" in listed.stdout
    assert "completed" in listed.stdout
    (row,) = json.loads(program.run("runs", "list", "--json", "--status", "completed").stdout)
    assert (row["id"], row["name"], row["status"]) == ("r-1", "greet", "completed")
    assert json.loads(program.run("runs", "list", "--json", "--status", "faulted").stdout) == []
    shown = json.loads(program.run("runs", "show", "r-1", "--json").stdout)
    assert (shown["input"], shown["output"]) == ({"name": "Ada"}, {"greeting": "Hello, Ada!"})
    assert "output:      {" in program.run("runs", "show", "r-1").stdout
    entries = json.loads(program.run("runs", "history", "r-1", "--json").stdout)
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    assert "greet completed" in program.run("runs", "history", "r-1").stdout
    for verb in ("show", "history", "resume", "cancel", "retry", "skip", "fork"):
        complains(program.run("runs", verb, "nothing"), 2, "nothing")


def test_a_faulted_run_is_mended(program):
    program.write("flaky.yaml", FLAKY)
    command = ("run", "flaky.yaml", "--quiet", "--input", '{"broken": true}', "--run")
    assert program.run(*command, "r-1").returncode == 1
    again = program.run("runs", "retry", "r-1", "--quiet")
    assert (again.returncode, again.stdout) == (1, ""), again.stderr
    assert json.loads(again.stderr)["status"] == 409
    skipped = program.run("runs", "skip", "r-1", "--output", '{"by": "hand"}', "--quiet")
    assert (skipped.returncode, skipped.stdout) == (0, '{"done":true}\n'), skipped.stderr
    assert program.run(*command, "r-2").returncode == 1
    forked = program.run("runs", "fork", "r-2", "--input", '{"broken": false}', "--quiet")
    assert (forked.returncode, forked.stdout) == (0, '{"done":true}\n'), forked.stderr
    assert "The new run is" in forked.stderr
    over = program.run("runs", "resume", "r-1", "--quiet")
    assert (over.returncode, over.stdout) == (0, '{"done":true}\n')
    complains(program.run("runs", "retry", "r-1"), 2, "r-1")


def test_findings_have_their_place(program):
    program.write("bad.yaml", GREET.replace("greet: { set:", "greet: { sett:") + "  - greet: { wait: { secs: 1 } }\n")
    program.write("greet.yaml", GREET)
    done = program.run("validate", "greet.yaml", "bad.yaml")
    assert done.returncode == 2
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert lines
    assert all(line.startswith("bad.yaml:") for line in lines)
    assert any(line.startswith("bad.yaml:3:") for line in lines)
    assert any(line.startswith("bad.yaml:4:") for line in lines)
    rows = json.loads(program.run("validate", "bad.yaml", "--json").stdout)
    assert {row["file"] for row in rows} == {"bad.yaml"}
    assert program.run("validate", "greet.yaml").returncode == 0
    refused = program.run("run", "bad.yaml")
    assert refused.returncode == 2
    assert "nothing was started" in refused.stderr
    assert not program.data.exists()


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("broken.yaml", "document: { dsl: [", "broken.yaml: line 2"),
        ("empty.yaml", "", "empty"),
        ("text.yaml", "just text", "error"),
        ("binary.yaml", "\x00\x01", "line 1"),
        ("deep.yaml", "[" * 100_000, "deep"),
        ("wrong.yaml", "document: 7\ndo: 3\n", "error"),
        ("unknown.yaml", document("unknown", "  - a: { call: no-such-function }\n"), "no-such-function"),
    ],
)
def test_a_bad_document_is_refused_with_its_reason(program, name, content, part):
    program.write(name, content)
    done = program.run("run", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_a_workflow_starts_another(program):
    program.write("greet.yaml", GREET)
    call = "{ workflow: { namespace: test, name: greet, version: 1.0.0, input: { name: '${ .name }' } } }"
    program.write("parent.yaml", document("parent", f"  - ask: {{ run: {call} }}\n"))
    done = program.run("run", "parent.yaml", "--workflow", "greet.yaml", "--input", '{"name": "Ada"}', "--quiet")
    assert (done.returncode, done.stdout) == (0, '{"greeting":"Hello, Ada!"}\n'), done.stderr


def test_what_functions_print_stays_out_of_the_output(program):
    program.write("chatty.py", 'import os\nfrom perdure import function\nprint("loading")\n\n@function(effect="read")\n'
                  'def say():\n    print("said")\n    os.system("echo run")\n    os.write(1, b"written\\n")\n')  # fmt: skip
    program.write("say.yaml", document("say", "  - a: { call: say }\n  - b: { set: { done: true } }\n"))
    done = program.run("run", "say.yaml", "--functions", "chatty.py", "--quiet")
    assert (done.returncode, done.stdout) == (0, '{"done":true}\n'), done.stderr
    assert sorted(done.stderr.split()) == ["loading", "run", "said", "written"]
    assert program.run("validate", "say.yaml", "--functions", "chatty.py", "--json").stdout == "[]\n"
    assert "loading" not in program.run("functions", "list", "--functions", "chatty.py").stdout


def test_a_workflow_that_nobody_waits_for_is_not_forgotten(program):
    program.write("slow.yaml", document("slow", "  - rest: { wait: PT0.3S }\n"))
    call = "await: false, workflow: { namespace: test, name: slow, version: 1.0.0 }"
    program.write("parent.yaml", document("parent", f"  - begin: {{ run: {{ {call} }} }}\n"))
    done = program.run("run", "parent.yaml", "--workflow", "slow.yaml")
    assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr
    assert "begin completed: workflow test/slow 1.0.0" in done.stderr
    told = re.search(r"It started test/slow 1\.0\.0, which goes on with: perdure (runs resume \S+)\n", done.stderr)
    assert program.run(*told[1].split(), "--quiet").stdout == "{}\n"
    assert "It started" not in program.run("run", "parent.yaml", "--workflow", "slow.yaml", "--quiet").stderr


def test_bad_doors(program):
    program.write("greet.yaml", GREET)
    with program.folder.joinpath("large.yaml").open("wb") as large:
        large.truncate(100_000_000)
    complains(program.run("run", "large.yaml"), 2, "larger than 10 MB")
    complains(program.run("run", "absent.yaml"), 2, "There is no file absent.yaml")
    complains(program.run("run", "."), 2, "is a directory")
    complains(program.run("run", "greet.yaml", "--input", "{name: Ada}"), 2, "--input is not JSON")
    complains(program.run("run", "greet.yaml", "--input", "@absent.json"), 2, "There is no file absent.json")
    complains(program.run("run", "greet.yaml", "--functions", "no_such_module"), 2, "no_such_module")
    complains(program.run("run", "greet.yaml", "--secrets", "absent.json"), 2, "absent.json")
    complains(program.run("runs", "show", "r-1"), 2, "There is no data directory")
    complains(program.run("runs", "resume"), 2, "Say which run")
    assert not program.data.exists()


def test_arguments_that_are_no_text(program):
    program.write("greet.yaml", GREET)
    program.run("run", "greet.yaml", "--quiet")
    odd = os.fsdecode(b"\xff")
    for arguments in (("run", "greet.yaml", "--data", odd), ("runs", "list", "--workflow", odd), ("runs", "show", odd)):
        complains(program.run(*arguments), 2, "is not UTF-8 text")
    complains(program.run("events", "send", "--type", odd), 2, "is not UTF-8 text")
    for id in ("", "a\nb", "x" * 201, odd):
        complains(program.run("run", "greet.yaml", "--run", id), 2, "1 to 200 letters")
    complains(program.run("runs", "list", "--data", "greet.yaml"), 2, "greet.yaml is not a directory")
    assert program.run("runs", "list", "--limit", "9" * 30).returncode == 0


def test_a_wrong_type_of_input_is_a_fault_of_the_run(program):
    program.write("greet.yaml", GREET)
    done = program.run("run", "greet.yaml", "--input", "[1]", "--quiet")
    assert done.returncode == 1
    assert json.loads(done.stderr)["status"] == 400


def test_a_host_that_cannot_be_reached_is_a_fault_of_the_run(tmp_path):
    program = Program(tmp_path, PERDURE_EGRESS_ALLOW="127.0.0.1")
    program.write(
        "call.yaml",
        document("call", "  - ask: { call: http, with: { method: get, endpoint: 'http://127.0.0.1:1/' } }\n"),
    )
    done = program.run("run", "call.yaml", "--quiet")
    assert done.returncode == 1
    fault = json.loads(done.stderr)
    assert fault["type"].endswith("/communication")
    assert fault["instance"] == "/do/0/ask"


def test_an_outside_document_that_cannot_be_fetched_is_refused(tmp_path):
    program = Program(tmp_path, PERDURE_EGRESS_ALLOW="127.0.0.1")
    endpoint = "{ endpoint: 'http://127.0.0.1:1/openapi.json' }"
    program.write(
        "call.yaml",
        document("call", f"  - ask: {{ call: openapi, with: {{ document: {endpoint}, operationId: get }} }}\n"),
    )
    done = program.run("run", "call.yaml", "--quiet")
    complains(done, 2, "127.0.0.1:1")


def test_secrets_come_from_a_file_or_the_environment_and_stay_out_of_the_journal(tmp_path):
    program = Program(tmp_path, PERDURE_SECRET_OTHER="from-the-environment")
    program.write("seen.py", FUNCTIONS)
    program.write(
        "secret.yaml",
        "document: { dsl: 1.0.3, namespace: test, name: secret, version: 1.0.0 }\n"
        "use: { secrets: [token, OTHER] }\n"
        "do:\n"
        "  - a: { call: length, with: { text: '${ $secrets.token }' } }\n"
        "  - b: { call: length, with: { text: '${ $secrets.OTHER }' }, output: { as: '[$input, .]' } }\n",
    )
    program.write("secrets.yaml", "token: a-canary-of-22-letters\n").chmod(0o600)
    done = program.run("run", "secret.yaml", "--functions", "seen", "--secrets", "secrets.yaml", "--quiet")
    assert (done.returncode, done.stdout) == (0, "[22,20]\n"), done.stderr
    for file in program.data.iterdir():
        content = file.read_bytes()
        assert b"canary" not in content
        assert b"from-the-environment" not in content
    missing = program.run("run", "secret.yaml", "--functions", "seen", "--quiet")
    assert missing.returncode == 1
    assert json.loads(missing.stderr)["status"] == 403


def test_a_private_address_is_refused_unless_allowed(program):
    program.write(
        "call.yaml",
        document("call", "  - ask: { call: http, with: { method: get, endpoint: 'http://127.0.0.1:1/' } }\n"),
    )
    done = program.run("run", "call.yaml", "--quiet")
    assert done.returncode == 1
    assert "PERDURE_EGRESS_ALLOW" in json.loads(done.stderr)["detail"]


def test_a_journal_that_is_none_of_ours_newer_or_damaged(program):
    program.write("greet.yaml", GREET)
    program.data.mkdir()
    journal = program.data / "journal.db"
    journal.write_bytes(b"this is no database, " * 1000)
    complains(program.run("run", "greet.yaml"), 2, str(journal))
    assert journal.read_bytes().startswith(b"this is no database")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written(program):
    program.write("greet.yaml", GREET)
    program.data.mkdir()
    program.data.chmod(stat.S_IRUSR | stat.S_IXUSR)
    complains(program.run("run", "greet.yaml"), 1, str(program.data))


def test_a_data_directory_that_is_a_file(program):
    program.write("greet.yaml", GREET)
    program.data.write_text("")
    done = program.run("run", "greet.yaml")
    assert done.returncode in {1, 2}
    complains(done, done.returncode, str(program.data))


def test_functions_and_schema_and_completion(program):
    listed = program.run("functions", "list")
    assert listed.returncode == 0, listed.stderr
    assert "infer" in listed.stdout
    shown = json.loads(program.run("functions", "show", "infer", "--json").stdout)
    assert shown["name"] == "infer"
    assert shown["input"]["type"] == "object"
    complains(program.run("functions", "show", "nothing"), 2, "nothing")
    schema = json.loads(program.run("schema").stdout)
    assert schema["type"] == "object"
    for shell in ("bash", "zsh", "fish"):
        assert "perdure" in program.run("completion", shell).stdout


def test_the_reader_of_our_output_may_go_away(program):
    process = program.start("schema")
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 0


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- 2>&-"])
def test_a_stream_that_the_caller_closed_leads_nowhere(program, closed):
    program.write("greet.yaml", GREET)
    command = f'"{sys.executable}" -m perdure run greet.yaml --input \'{{"name": "Ada"}}\' {closed}'
    done = subprocess.run(
        command, shell=True, cwd=program.folder, env=program.environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "" if closed.startswith(">") else '{"greeting":"Hello, Ada!"}\n')
    assert "bug" not in done.stderr
