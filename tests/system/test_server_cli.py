"""The commands that speak to a server, from a shell: what people read, what programs read, and what is refused."""

import json
import re
import signal

import pytest

from tests.system.platform_process import PlatformProcess
from tests.system.test_cli_kill import until

GREET = """
document: { dsl: 1.0.3, namespace: shop, name: greet, version: 1.0.0 }
do:
  - greet: { set: { greeting: '${ "Hello " + (.name // "you") }' } }
"""
SLOW = """
document: { dsl: 1.0.3, namespace: shop, name: slow, version: 1.0.0 }
do:
  - rest: { wait: { minutes: 10 } }
"""
LISTENS = """
document: { dsl: 1.0.3, namespace: shop, name: listens, version: 1.0.0 }
do:
  - paid: { listen: { to: { one: { with: { type: com.example.paid } } } } }
"""
LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = PlatformProcess(tmp_path_factory.mktemp("shell"))
    made.up()
    # What `perdure login` does, but for the data directory that PERDURE_DATA names.
    made.environment |= {"PERDURE_SERVER": made.address, "PERDURE_API_KEY": made.key}
    for name, text in (("greet", GREET), ("slow", SLOW), ("listens", LISTENS)):
        made.write(f"{name}.yaml", text)
    assert made.run("workflows", "publish", "greet.yaml", "slow.yaml", "listens.yaml").returncode == 0
    yield made
    made.kill()


def shell(platform, *words, code=0):
    done = platform.run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def status(platform, run):
    return json.loads(shell(platform, "runs", "show", run, "--json"))["status"]


def test_a_run_is_followed_to_its_output(platform):
    done = platform.run("runs", "start", "shop.greet", "--input", '{"name": "Ada"}', "--run", "ada", "--follow")
    assert json.loads(done.stdout) == {"greeting": "Hello Ada"}
    assert "greet completed" in done.stderr
    assert "workflow.completed.v1" not in done.stderr
    quiet = platform.run("runs", "follow", "ada", "--quiet")
    assert (json.loads(quiet.stdout), quiet.stderr) == ({"greeting": "Hello Ada"}, "")
    assert "greet started" in platform.run("runs", "follow", "ada", "--lines").stderr
    assert json.loads(shell(platform, "runs", "follow", "ada", "--quiet", "--json"))["status"] == "completed"


def test_runs_are_listed_shown_and_told_as_those_of_a_journal(platform):
    shell(platform, "runs", "start", "shop.greet", "--input", '{"name": "Bo", "order": {"id": 17}}', "--run", "bo")
    until(lambda: status(platform, "bo") == "completed")
    row = next(line for line in shell(platform, "runs", "list").splitlines() if line.startswith("bo "))
    assert len(LOCAL.findall(row)) == 2
    found = shell(platform, "runs", "list", "--input", "order.id=17", "--since", "1h", "--version", "1.0.0", "--json")
    assert [run["id"] for run in json.loads(found)] == ["bo"]
    assert platform.run("runs", "list", "--until", "2001-01-01").stderr == "perdure: No runs on this server.\n"
    shown = shell(platform, "runs", "show", "bo")
    assert 'output:      {"greeting":"Hello Bo"}' in shown
    told = shell(platform, "runs", "history", "bo").splitlines()
    assert told[-1].endswith("run completed")
    assert LOCAL.search(told[0])


def test_a_long_list_says_that_there_is_more(platform):
    for _ in range(3):
        shell(platform, "runs", "start", "shop.greet")
    done = platform.run("runs", "list", "--limit", "2")
    assert len(done.stdout.splitlines()) == 3
    assert "There are more" in done.stderr


def test_ctrl_c_ends_the_looking_and_not_the_run(platform):
    process = platform.start("runs", "start", "shop.slow", "--run", "looked-at", "--follow")
    line = ""
    while "rest waits" not in line:
        line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "goes on at the server" in told
    assert "perdure runs follow looked-at" in told
    assert status(platform, "looked-at") == "waiting"
    shell(platform, "runs", "cancel", "looked-at")


def test_many_runs_at_once(platform):
    ids = [f"many-{number}" for number in range(4)]
    for id in ids:
        shell(platform, "runs", "start", "shop.slow", "--run", id)
    assert "waits" in shell(platform, "runs", "tasks", ids[0]).lower()
    assert shell(platform, "runs", "suspend", *ids) == "suspend: 4 runs done, 0 refused.\n"
    words = ("--status", "suspended", "--workflow", "shop.slow")
    unasked = shell(platform, "runs", "bulk", "resume", *words, code=2)
    assert "This would resume 4 runs." in unasked
    assert "--yes" in unasked
    assert json.loads(shell(platform, "runs", "bulk", "resume", *words, "--yes", "--json"))["done"] == 4
    until(lambda: {status(platform, id) for id in ids} == {"waiting"})
    refused = platform.run("runs", "cancel", *ids, "no-such")
    assert (refused.returncode, refused.stdout) == (1, "cancel: 4 runs done, 1 refused.\n")
    assert refused.stderr == "no-such: There is no run no-such.\n"
    assert "Say which runs" in shell(platform, "runs", "bulk", "cancel", code=2)
    assert (
        platform.run("runs", "bulk", "cancel", "--workflow", "shop.none").stderr == "perdure: There are no such runs.\n"
    )


def test_several_runs_of_a_journal_are_refused(platform, tmp_path):
    done = PlatformProcess(tmp_path).run("runs", "cancel", "a", "b")
    assert done.returncode == 2
    assert "one by one" in done.stderr


def test_an_event_reaches_a_run_of_the_server(platform):
    shell(platform, "runs", "start", "shop.listens", "--run", "paid")
    until(lambda: status(platform, "paid") == "waiting")
    words = ("events", "send", "--type", "com.example.paid", "--id", "p-1", "--payload", "17")
    assert platform.run(*words).stdout == "p-1\n"
    assert "was there before" in platform.run(*words).stderr
    until(lambda: status(platform, "paid") == "completed")


def test_documents_are_checked_by_the_server(platform):
    assert "nothing found" in shell(platform, "workflows", "validate", "greet.yaml")
    platform.write("bad.yaml", "document: { dsl: 1.0.3, name: Bad_Name }\ndo: [ { a: { cal: http } } ]")
    platform.write("broken.yaml", "document: {\n  - x: [")
    done = platform.run("workflows", "validate", "bad.yaml", "broken.yaml")
    assert done.returncode == 2
    assert "bad.yaml:1:31: error: 'Bad_Name'" in done.stdout
    assert "broken.yaml:2:3: error:" in done.stdout
    told = shell(platform, "workflows", "publish", "bad.yaml", "greet.yaml", code=2)
    assert "Did you mean 'call'?" in told


def test_schedules_are_changed(platform):
    made = shell(platform, "schedules", "create", "shop.greet", "--cron", "0 9 * * *", "--zone", "Asia/Tokyo", "--json")
    id = json.loads(made)["id"]
    shell(platform, "schedules", "change", id, "--zone", "Europe/Berlin", "--overlap", "queue", "--input", '{"n": 1}')
    shown = shell(platform, "schedules", "show", id)
    assert "cron 0 9 * * * (Europe/Berlin)" in shown
    assert 'input:       {"n":1}' in shown
    assert "Say what shall change" in shell(platform, "schedules", "change", id, code=2)
    refused = shell(platform, "schedules", "create", "shop.greet", "--cron", "1" * 300, code=2)
    assert "cron: " in refused, "what does not fit is named"
    shell(platform, "schedules", "delete", id)


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        (("--every", "PT5M"), "300 s"),
        (("--on", '{"one": {"with": {"type": "paid"}}}'), '{"one":{"with":{"type":"paid"}}}'),
    ],
)
def test_schedules_of_every_kind(platform, when, shown):
    table = shell(platform, "schedules", "create", "shop.greet", *when).splitlines()
    assert shown in table[1]
    shell(platform, "schedules", "delete", table[1].split()[0])


def test_what_is_not_there_is_said(platform):
    for words in (("runs", "show", "nope"), ("workflows", "show", "no.pe"), ("schedules", "show", "sch_nope")):
        told = shell(platform, *words, code=2)
        assert "There is no" in told, words
    for words in (("inbox", "list"), ("users", "list"), ("webhooks", "list")):
        done = platform.run(*words)
        assert (done.returncode, done.stdout) == (0, ""), words
        assert done.stderr, words


def test_a_webhook_is_shown_with_its_whole_address(platform):
    made = shell(platform, "webhooks", "create", "Payments", "--workflow", "shop.greet")
    id, address, _ = made.split()
    assert address == f"{platform.address}/api/v1/hooks/{id}"
    shell(platform, "webhooks", "delete", id)
