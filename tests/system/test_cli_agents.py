"""`perdure agents`, `usage` and `budgets` against a real server."""

import json

import pytest

from tests.system.platform_process import PlatformProcess
from tests.system.test_cli_kill import until

SCRIPT = """\
"Use your tools.":
  - toolCalls: [{name: embed, arguments: {input: bridges}}]
    usage: {inputTokens: 10, outputTokens: 4, cost: 0.01}
  - text: There are two bridges.
    usage: {inputTokens: 20, outputTokens: 6, cost: 0.02}
  - text: As I said, two.
    usage: {inputTokens: 30, outputTokens: 6, cost: 0.03}
"""


@pytest.fixture
def platform(tmp_path):
    (tmp_path / "script.yaml").write_text(SCRIPT)
    made = PlatformProcess(tmp_path, PERDURE_MODEL_SCRIPT=str(tmp_path / "script.yaml"))
    try:
        made.up()
        yield made
    finally:
        made.kill()


def ask(platform, *words, code=0):
    platform.environment["PERDURE_API_KEY"] = platform.key
    done = platform.run(*words, "--server", platform.address)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_agents_are_made_talked_to_and_paid_for(platform):
    ask(platform, "agents", "create", "helper", "--instruction", "Use your tools.", "--tool", "embed")
    said = ask(platform, "agents", "chat", "helper", "How many bridges?")
    assert said.stdout == "There are two bridges.\n"
    assert "[embed]" in said.stderr
    again = ask(platform, "agents", "create", "helper", "--instruction", "Use your tools.", "--tool", "embed")
    assert "version 1" in again.stdout
    assert "helper" in ask(platform, "agents", "list").stdout
    assert "Use your tools." in ask(platform, "agents", "show", "helper").stdout
    [execution] = json.loads(ask(platform, "agents", "executions", "helper", "--json").stdout)
    assert execution["state"] == "completed"
    rows = json.loads(ask(platform, "usage", "--rows", "--agent", "helper", "--json").stdout)
    assert sum(row["cost"] for row in rows) == pytest.approx(0.03)
    assert "0.030000" in ask(platform, "usage", "--by", "agent").stdout

    made = json.loads(ask(platform, "budgets", "create", "agent", "0.03", "--subject", "helper", "--json").stdout)
    faulted = ask(platform, "agents", "chat", "helper", "More", "--context", execution["context"], code=1)
    assert "is used up" in faulted.stderr
    until(lambda: json.loads(ask(platform, "inbox", "list", "--json").stdout))
    [item] = json.loads(ask(platform, "inbox", "list", "--json").stdout)
    ask(platform, "inbox", "approve", item["id"], "--data", '{"add": 1}')
    until(
        lambda: all(
            one["state"] == "completed"
            for one in json.loads(ask(platform, "agents", "executions", "helper", "--json").stdout)
        )
    )
    standing = json.loads(ask(platform, "budgets", "show", made["id"], "--json").stdout)
    assert standing["limit"] == pytest.approx(1.03)
    ask(platform, "budgets", "change", made["id"], "--soft")
    ask(platform, "budgets", "delete", made["id"])
    ask(platform, "agents", "archive", "helper")
    ask(platform, "agents", "chat", "helper", "More", code=2)


def test_what_does_not_fit_is_said(platform):
    assert "--instruction" in ask(platform, "agents", "create", "x", code=2).stderr
    assert "cannot be the name" in ask(platform, "agents", "create", "X!", "--instruction", "x", code=2).stderr
    ask(platform, "budgets", "create", "tenant", "-1", code=2)
    ask(platform, "usage", "--run", "x", code=2)
