"""Every example runs through the CLI as its README says, and gives the output that lies beside it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.adapters.local_model_state import read_state
from perdure.adapters.local_model_weights import is_installed, weights
from tests.system.platform_process import PlatformProcess
from tests.system.test_cli_kill import until

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OWN_TEST = {"support-inbox"}
"""Examples that need more than one command: `test_main_job.py`."""


def perdure(*words, **environment):
    command = [sys.executable, "-m", "perdure", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def run(folder, tmp_path, input_, **environment):
    document = str(folder / "workflow.yaml")
    words = ["--input", json.dumps(input_), "--data", str(tmp_path / "data"), "--quiet", *functions(folder)]
    if (folder / "script.yaml").exists():
        environment["PERDURE_MODEL_SCRIPT"] = str(folder / "script.yaml")
    return perdure("run", document, *words, **environment)


def functions(folder):
    return [word for file in folder.glob("*_functions.py") for word in ("--functions", str(file))]


@contextlib.contextmanager
def service(file):
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def folders():
    return sorted(path.parent.name for path in EXAMPLES.glob("*/workflow.yaml"))


def test_there_are_examples():
    assert {
        "hello",
        "retry",
        "approval-by-event",
        "research-agent",
        "support-inbox",
        "expense-desk",
        "extraction",
        "triage",
    } <= set(folders())


@pytest.mark.parametrize("name", folders())
def test_each_has_its_files_and_is_valid(name):
    folder = EXAMPLES / name
    assert (folder / "README.md").read_text().startswith("# ")
    assert (folder / "expected.json").exists()
    done = perdure("validate", str(folder / "workflow.yaml"), *functions(folder))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name in folders() if name not in OWN_TEST])
def test_each_gives_the_output_beside_it(name, tmp_path):
    folder = EXAMPLES / name
    input_ = json.loads((folder / "input.json").read_text())
    with contextlib.ExitStack() as stack:
        if (folder / "service.py").exists():
            input_["service"] = stack.enter_context(service(folder / "service.py"))
        done = run(folder, tmp_path, input_, PERDURE_EGRESS_ALLOW="127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "expected.json").read_text())


@pytest.fixture
def local(tmp_path, require, took_part):
    """Runs an example with the local model."""
    require(is_installed(), "skipped: the local model is not installed (make setup)")
    took_part(weights().stem)

    def run(name, *more):
        folder = EXAMPLES / name
        words = ["--input", f"@{folder / 'input.json'}", "--data", str(tmp_path), *functions(folder), *more]
        return perdure("run", str(folder / "workflow.yaml"), *words)

    yield run
    if pid := read_state(tmp_path / "model").get("pid"):  # it would stay for the next run
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["extraction", "triage"])
def test_the_local_model_gives_the_same(name, local):
    done = local(name, "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((EXAMPLES / name / "expected.json").read_text())


def test_the_local_model_works_with_the_tools_of_the_research_agent(local):
    """What it finds may hang on the arithmetic of a processor; that it calls tools, and ends in order, does not."""
    done = local("research-agent", "--follow")
    assert done.returncode == 0, done.stderr
    called = re.findall(r"tool#\d+ completed: (\S+)", done.stderr)
    assert {"search", "open", "read"} == set(called), done.stderr
    assert 4 <= done.stderr.count(" tokens\n") <= 8, "turns"
    answer = json.loads(done.stdout)
    assert (set(answer), 1000 <= answer["year"] <= 2100) == ({"source", "year"}, True)
    done = local("research-agent", "--quiet", "--input", '{"question": "When was it opened?", "turns": 1}')
    assert "limits.turns is 1" in json.loads(done.stdout)["stopped"], done.stderr


def test_hello_refuses_what_is_no_name(tmp_path):
    done = run(EXAMPLES / "hello", tmp_path, {"name": 7})
    assert done.returncode == 1
    assert json.loads(done.stderr.splitlines()[-1])["type"].endswith("/validation")


def test_retry_gives_up_on_what_the_service_does_not_know(tmp_path):
    with service(EXAMPLES / "retry/service.py") as address:
        done = run(
            EXAMPLES / "retry", tmp_path, {"service": address, "city": "Atlantis"}, PERDURE_EGRESS_ALLOW="127.0.0.1"
        )
    assert done.returncode == 1
    fault = json.loads(done.stderr.splitlines()[-1])
    assert (fault["status"], fault["type"].rpartition("/")[2]) == (404, "communication")


def test_retry_reaches_no_private_address_by_default(tmp_path):
    with service(EXAMPLES / "retry/service.py") as address:
        done = run(EXAMPLES / "retry", tmp_path, {"service": address, "city": "Lisbon"}, PERDURE_EGRESS_ALLOW="")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("refuse", {"paid": False, "by": "mara", "reason": "too much"}),
        ("nobody", {"paid": False, "by": None, "reason": "nobody answered in time"}),
    ],
)
def test_an_approval_that_is_not_given(tmp_path, answer, expected):
    done = run(EXAMPLES / "approval-by-event", tmp_path, {"id": "req-9", "amount": 5, "answer": answer})
    assert json.loads(done.stdout) == expected


def test_a_triage_that_is_refused_pays_nothing(tmp_path):
    done = run(EXAMPLES / "triage", tmp_path, {"message": "Give me my money.", "answer": "refuse"})
    assert json.loads(done.stdout) == {"kind": "refund", "paid": False, "by": "mara"}


def test_the_research_agent_stops_at_its_budget(tmp_path):
    folder = EXAMPLES / "research-agent"
    document = (folder / "workflow.yaml").read_text().replace("cost: 0.02", "cost: 0.003")
    (tmp_path / "workflow.yaml").write_text(document)
    script = {"PERDURE_MODEL_SCRIPT": str(folder / "script.yaml")}
    words = ("--data", str(tmp_path / "data"), "--quiet", *functions(folder))
    done = perdure("run", str(tmp_path / "workflow.yaml"), "--input", f"@{folder / 'input.json'}", *words, **script)
    assert (done.returncode, json.loads(done.stdout)["year"]) == (0, None), done.stderr
    assert "limits.cost is 0.003 US dollars: it has used 3 turns" in json.loads(done.stdout)["stopped"]
    given = json.dumps({"question": "When?", "turns": 2})
    done = perdure("run", str(folder / "workflow.yaml"), "--input", given, *words, **script)
    assert "limits.turns is 2" in json.loads(done.stdout)["stopped"]


def test_the_research_agent_tells_its_turns_tools_and_tokens(tmp_path):
    folder = EXAMPLES / "research-agent"
    data = ("--data", str(tmp_path / "data"))
    script = {"PERDURE_MODEL_SCRIPT": str(folder / "script.yaml")}
    words = ("--input", f"@{folder / 'input.json'}", "--run", "r1", "--follow", *functions(folder), *data)
    done = perdure("run", str(folder / "workflow.yaml"), *words, **script)
    assert done.returncode == 0, done.stderr
    assert "ask › turn#1 › tool#1 faulted: LookupError: There is no note 'golden-gate-bridge'." in done.stderr
    assert "ask › turn#3 › tool#0 completed: read" in done.stderr
    assert "ask › turn#5 completed: 684 tokens" in done.stderr
    history = perdure("runs", "history", "r1", *data)
    assert history.stdout.count("turn#") > 10
    shown = perdure("runs", "show", "r1", *data)
    assert "completed" in shown.stdout


def test_the_research_agent_without_its_script_asks_a_real_model(tmp_path):
    folder = EXAMPLES / "research-agent"
    words = ("--input", f"@{folder / 'input.json'}", "--quiet", *functions(folder), "--data", str(tmp_path / "data"))
    done = perdure("run", str(folder / "workflow.yaml"), *words, PERDURE_MODEL_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "The model endpoint did not answer" in json.loads(done.stderr.splitlines()[-1])["detail"]


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = PlatformProcess(tmp_path_factory.mktemp("platform"))
    made.up()
    made.environment |= {"PERDURE_SERVER": made.address, "PERDURE_API_KEY": made.key}
    yield made
    made.kill()


def test_the_expense_desk_walks_from_python(platform):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "expense-desk/walk.py")],
        env=platform.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"text": "Expenses of week 9 are due."},
        {"who": "Ana", "paid": 10, "reason": "below the limit"},
        {"who": "Ben", "paid": 120, "reason": "fine"},
    ]


def test_the_expense_desk_walks_from_the_shell(platform):
    folder = EXAMPLES / "expense-desk"

    def shell(*words):
        done = platform.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shell("workflows", "publish", str(folder / "workflow.yaml"), str(folder / "reminder.yaml"))
    words = ("--cron", "0 15 * * fri", "--zone", "Europe/Lisbon", "--json")
    schedule = json.loads(shell("schedules", "create", "examples.reminder", *words))["id"]
    fired = shell("schedules", "fire", schedule).split()[-1].rstrip(".")
    assert "Expenses of this week are due." in shell("runs", "follow", fired)
    _, address, secret = shell("webhooks", "create", "Expenses", "--workflow", "examples.expense").split()
    send = [sys.executable, str(folder / "send.py"), address, secret, '{"who": "Cleo", "amount": 99}', "expense-17"]
    run = json.loads(subprocess.run(send, capture_output=True, check=True).stdout)["run"]
    again = subprocess.run(send, capture_output=True, text=True, check=False)
    # Within the same second it is the very same signature, which nobody takes twice; signed anew it is answered as before.
    assert "401" in again.stderr or json.loads(again.stdout)["run"] == run, "a message is taken once"
    until(lambda: "Pay 99 to Cleo?" in shell("inbox", "list"))
    items = json.loads(shell("inbox", "list", "--json"))
    item = next(one["id"] for one in items if one["run"] == run)
    assert "is declined" in shell("inbox", "decline", item, "--reason", "no receipt")
    assert json.loads(shell("runs", "follow", run)) == {"who": "Cleo", "paid": 0, "reason": "no receipt"}
