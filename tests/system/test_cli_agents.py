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
    words = ("agents", "chat", "helper", "More", "--context", execution["context"], "--server", platform.address)
    held = platform.start(*words)
    until(lambda: json.loads(ask(platform, "inbox", "list", "--json").stdout))
    [item] = json.loads(ask(platform, "inbox", "list", "--json").stdout)
    ask(platform, "inbox", "approve", item["id"], "--data", '{"add": 1}')
    told, waited = held.communicate(timeout=60)
    assert (held.returncode, told) == (0, "There are two bridges.\n"), waited
    assert "It waits: for the budget" in waited
    standing = json.loads(ask(platform, "budgets", "show", made["id"], "--json").stdout)
    assert standing["limit"] == pytest.approx(1.03)
    ask(platform, "budgets", "change", made["id"], "--soft")
    ask(platform, "budgets", "delete", made["id"])
    ask(platform, "agents", "archive", "helper")
    ask(platform, "agents", "chat", "helper", "More", code=2)


def test_prompts_are_written_in_versions_and_read(platform, tmp_path):
    (tmp_path / "longer.txt").write_text("Use your tools,\n${ .name }!")
    assert ask(platform, "prompts", "write", "greeting", "Use your tools.").stdout == "greeting version 1\n"
    assert ask(platform, "prompts", "write", "greeting", f"@{tmp_path / 'longer.txt'}").stdout == "greeting version 2\n"
    assert ask(platform, "prompts", "show", "greeting").stdout == "Use your tools,\n${ .name }!\n"
    assert ask(platform, "prompts", "show", "greeting", "--version", "1").stdout == "Use your tools.\n"
    assert json.loads(ask(platform, "prompts", "show", "greeting", "--json").stdout)["version"] == 2
    assert [
        one["version"] for one in json.loads(ask(platform, "prompts", "versions", "greeting", "--json").stdout)
    ] == [2, 1]
    assert "greeting" in ask(platform, "prompts", "list").stdout
    assert "not closed" in ask(platform, "prompts", "write", "bad", "${ .name", code=2).stderr
    assert "no prompt 'nobody'" in ask(platform, "prompts", "show", "nobody", code=2).stderr
    assert "no file" in ask(platform, "prompts", "write", "bad", "@/nowhere", code=2).stderr


def test_conversations_are_read_branched_and_deleted(platform):
    ask(platform, "agents", "create", "helper", "--instruction", "Use your tools.", "--tool", "embed")
    assert "has not answered yet" in ask(platform, "agents", "follow", "helper", code=2).stderr
    ask(platform, "agents", "chat", "helper", "How many bridges?")
    [context] = json.loads(ask(platform, "contexts", "list", "--agent", "helper", "--json").stdout)
    assert (context["size"], context["title"]) == (2, "How many bridges?")
    again = ask(platform, "agents", "chat", "helper", "--context", context["id"], "Really?")
    assert again.stdout == "There are two bridges.\n"
    followed = ask(platform, "agents", "follow", "helper")
    assert (followed.stdout, context["id"] in followed.stderr) == ("There are two bridges.\n", True)
    told = ask(platform, "contexts", "messages", context["id"]).stdout
    assert "1 user" in told
    assert "There are two bridges." in told
    branch = ask(platform, "contexts", "branch", context["id"], "--message", "2", "--title", "Aside").stdout.strip()
    assert f"from {context['id']}, message 2" in ask(platform, "contexts", "show", branch).stdout
    ask(platform, "contexts", "delete", branch)
    assert "no context" in ask(platform, "contexts", "show", branch, code=2).stderr
    rows = ask(platform, "usage", "--rows", "--csv").stdout.splitlines()
    assert (rows[0].split(",")[0], len(rows)) == ("at", 5)
    assert ask(platform, "usage", "--by", "agent", "--csv").stdout.startswith("agent,")


def test_a_key_is_held_to_models(platform):
    made = json.loads(
        ask(platform, "keys", "create", "shop", "--role", "operator", "--model", "openai/*", "--json").stdout
    )
    assert made["key"]["models"] == ["openai/*"]
    assert "local" in ask(platform, "keys", "change", made["key"]["id"], "--model", "local").stdout
    assert "every model" in ask(platform, "keys", "change", made["key"]["id"], "--every-model").stdout
    assert "every model" in ask(platform, "keys", "show", made["key"]["id"]).stdout
    refused = ask(platform, "keys", "create", "x", "--role", "editor", "--model", "m", code=2)
    assert "cannot be held to some models" in refused.stderr


def test_what_does_not_fit_is_said(platform):
    assert "--instruction" in ask(platform, "agents", "create", "x", code=2).stderr
    assert "cannot be the name" in ask(platform, "agents", "create", "X!", "--instruction", "x", code=2).stderr
    ask(platform, "budgets", "create", "tenant", "-1", code=2)
    ask(platform, "usage", "--run", "x", code=2)
