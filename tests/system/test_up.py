"""`perdure up` from the outside: one command, a key, the whole platform; killed, it goes on where it was."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from perdure.client import inbox, keys, runs, schedules, users, webhooks, workflows
from perdure.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated
from tests.system.platform_process import PlatformProcess
from tests.system.test_cli_kill import until

HELLO = b"""
document: { dsl: 1.0.3, namespace: default, name: hello, version: 1.0.0 }
do:
  - greet: { set: { greeting: '${ "Hello " + .name }' } }
"""
REFUND = b"""
document: { dsl: 1.0.3, namespace: shop, name: refund, version: 1.0.0 }
do:
  - decide: { call: approve, with: { title: '${ "Refund \\(.amount)?" }', details: '${ . }' } }
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = PlatformProcess(tmp_path_factory.mktemp("up"))
    made.up()
    yield made
    made.kill()


def ended(client, run):
    until(lambda: client.do(runs.get(run)).has_ended)
    return client.do(runs.get(run))


def test_it_shows_an_owner_key_once_and_says_what_to_do(platform, took_part):
    took_part("perdure up")
    assert platform.key.startswith("pdk_")
    assert "perdure login" in platform.shown
    assert "PERDURE_MODEL_URL" in platform.shown
    assert platform.key not in platform.log()


def test_an_idle_process_is_small(tmp_path):
    """A process of its own from its first moment: what others share with it would count as its own."""
    command = [sys.executable, "-m", "perdure", "up", "--data", str(tmp_path / "data"), "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "COV"))}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            shown = itertools.takewhile(lambda line: b"Ctrl-C" not in line, process.stdout)
            assert b"Perdure is ready" in b"".join(shown)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.terminate()
    assert int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) < 120_000


def test_nothing_happens_without_a_key(platform):
    with platform.client("") as client, pytest.raises(Unauthenticated):
        client.do(workflows.find())
    with platform.client("pdk_wrong") as client, pytest.raises(Unauthenticated):
        client.do(runs.start("default.hello"))


def test_from_a_document_to_its_output(platform):
    with platform.client() as client:
        published = client.do(workflows.publish(HELLO))
        assert client.do(workflows.publish(HELLO)).version == published.version
        started = client.do(runs.start("default.hello", {"name": "Ana"}, key="order-1"))
        assert client.do(runs.start("default.hello", {"name": "Ana"}, key="order-1")) == started
        run = ended(client, started.id)
        assert run.output == {"greeting": "Hello Ana"}
        found = client.do(runs.find(workflow="default.hello", output=["greeting=Hello Ana"]))
        assert [one.id for one in found.items] == [started.id]
        numbers = [json.loads(event.data).get("number") for event in client.stream(runs.follow(started.id))]
        assert numbers == [1, 2, 3, 4, 5, None]
    with urllib.request.urlopen(f"{platform.address}/metrics", timeout=20) as answer:
        told = answer.read().decode()
    counted = dict(line.rsplit(" ", 1) for line in told.splitlines() if line.startswith("perdure_runs"))
    assert (
        float(counted["perdure_runs_began_total"])
        >= 1
        <= float(counted['perdure_runs_ended_total{outcome="completed"}'])
    )
    assert 'perdure_runs{status="waiting"}' in counted


def test_a_document_with_errors_is_refused_with_all_of_them(platform):
    with platform.client() as client, pytest.raises(Invalid) as caught:
        client.do(workflows.publish(b"document: { dsl: 1.0.3, name: Bad_Name }\ndo: [ { a: { cal: http } } ]"))
    assert len(caught.value.details["findings"]) > 2
    assert all(finding["line"] for finding in caught.value.details["findings"])


def test_a_person_decides_about_what_was_shown(platform):
    with platform.client() as client:
        client.do(workflows.publish(REFUND))
        client.do(runs.start("shop.refund", {"amount": 12}, id="refund-1"))
        until(lambda: client.do(inbox.find(run="refund-1")).items)
        item = client.do(inbox.find(run="refund-1")).items[0]
        assert (item.title, item.details) == ("Refund 12?", {"amount": 12})
        with pytest.raises(Conflict):
            client.do(inbox.decide(item.id, "another hash", approved=True))
        client.do(inbox.decide(item.id, item.hash, approved=True, reason="fine"))
        output = ended(client, "refund-1").output
        assert (output["approved"], output["reason"]) == (True, "fine")


def test_a_schedule_starts_runs(platform):
    with platform.client() as client:
        client.do(workflows.publish(HELLO))
        made = client.do(schedules.create("default.hello", every="PT1S", input={"name": "every"}))
        until(lambda: len(client.do(schedules.firings(made.id)).items) >= 2)
        client.do(schedules.delete(made.id))


def test_a_user_may_what_his_role_may(platform):
    with platform.client() as client:
        client.do(users.create("ana@example.com", "viewer", password="correct horse battery"))
        tokens = client.do(users.sign_in("default", "ana@example.com", "correct horse battery"))
    with platform.client(tokens.access_token) as ana:
        assert ana.do(users.me()).roles == ["viewer"]
        ana.do(workflows.find())
        with pytest.raises(Denied):
            ana.do(workflows.publish(HELLO))
        own = ana.do(keys.create_own("laptop"))
    with platform.client(own.secret) as laptop, pytest.raises(Denied):
        laptop.do(keys.create("another", "viewer"))


def test_the_shell_speaks_the_same_words(platform):
    platform.write("hello.yaml", HELLO.decode())
    assert platform.run("login", platform.address, "--stdin", given=platform.key + "\n").returncode == 0
    assert "default.hello 1.0.0" in platform.run("workflows", "publish", "hello.yaml").stdout
    assert "default.hello" in platform.run("workflows", "list").stdout
    made = platform.run("webhooks", "create", "pay", "--workflow", "default.hello")
    assert "whsec_" in made.stdout
    assert "whsec_" not in platform.run("webhooks", "list").stdout
    refused = platform.run("workflows", "show", "no.such")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no.such" in refused.stderr


def test_a_webhook_without_its_signature_starts_nothing(platform):
    with platform.client() as client:
        client.do(workflows.publish(HELLO))
        hook = client.do(webhooks.create("pay", workflow="default.hello"))
    with platform.client("") as nobody, pytest.raises((Unauthenticated, NotFound)):
        nobody.do(webhooks.call("POST", "hooks", hook.webhook.id, body={"name": "x"}))


def test_killed_it_goes_on_where_it_was(tmp_path, took_part):
    took_part("perdure up, killed")
    platform = PlatformProcess(tmp_path)
    try:
        platform.up()
        key = platform.key
        with platform.client() as client:
            client.do(workflows.publish(REFUND))
            client.do(runs.start("shop.refund", {"amount": 7}, id="refund-7"))
            until(lambda: client.do(inbox.find(run="refund-7")).items)
        assert platform.kill() == -signal.SIGKILL
        platform.up()
        assert "pdk_" not in platform.shown, "the owner key is shown once"
        with platform.client(key) as client:
            item = client.do(inbox.find(run="refund-7")).items[0]
            client.do(inbox.decide(item.id, item.hash, approved=True))
            assert platform.kill() == -signal.SIGKILL
        platform.up()
        with platform.client(key) as client:
            assert ended(client, "refund-7").output["approved"] is True
        begun = time.monotonic()
        assert platform.kill(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 20
    finally:
        platform.kill()


def test_what_cannot_be_is_said_in_one_sentence(tmp_path, platform):
    other = PlatformProcess(tmp_path)
    port = platform.address.rpartition(":")[2]
    taken = other.run("up", "--port", port)
    assert (taken.returncode, taken.stdout) == (2, "")
    assert f"127.0.0.1:{port}" in taken.stderr
    busy = platform.run("up", "--port", "0")
    assert busy.returncode == 2
    assert "another process" in busy.stderr.lower()
    assert other.run("up", "--port", "70000").returncode == 2
