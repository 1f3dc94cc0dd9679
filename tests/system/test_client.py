"""The typed client against a real gateway: all that the API can, from plain code and from asyncio alike."""

import asyncio
import contextlib
import inspect
import json
import re
import socket
import threading
import urllib.request

import pytest

from perdure.client import (
    AsyncClient,
    Call,
    Client,
    agents,
    budgets,
    contexts,
    events,
    inbox,
    keys,
    prompts,
    runs,
    schedules,
    tenants,
    usage,
    users,
    webhooks,
    workflows,
)
from perdure.errors import Conflict, Denied, Invalid, NotFound, Unauthenticated, Unavailable
from tests.system.platform_process import PlatformProcess
from tests.system.test_cli_kill import until

MODULES = (
    agents, budgets, contexts, events, inbox, keys, prompts, runs, schedules, tenants, usage, users, webhooks, workflows,
)  # fmt: skip
WITHOUT_A_CALL = {
    "POST /auth/session": "for a browser: it sets cookies",
    "GET /auth/jwks": "for who verifies our tokens, with a library of theirs",
    "POST /runs": "the same as POST /workflows/{id}/runs",
    "POST /hooks/{id}": "for others, who sign with a library of Standard Webhooks",
    "GET /dashboard": "a page of a browser, made of other reads",
    "GET /workflows/{id}/complete": "as above",
    "POST /workflows/execute": "as above",
}
DOCUMENT = b"""
document: { dsl: 1.0.3, namespace: shop, name: %s, version: %s }
do:
  - first: { set: { seen: '${ .n }' } }
  - rest: { wait: { milliseconds: %s } }
  - last: { set: { twice: '${ .seen * 2 }' } }
"""
LISTENS = b"""
document: { dsl: 1.0.3, namespace: shop, name: listens, version: 1.0.0 }
do:
  - paid: { listen: { to: { one: { with: { type: com.example.paid } } } } }
"""
ASKS = b"""
document: { dsl: 1.0.3, namespace: shop, name: asks, version: 1.0.0 }
do:
  - decide: { call: approve, with: { title: 'Refund?' } }
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = PlatformProcess(tmp_path_factory.mktemp("client"), PERDURE_RATE_LIMITS="read=0,write=0,run=0,stream=0")
    made.up()
    yield made
    made.kill()


class Asynchronous:
    """`AsyncClient` as plain code sees it, so that both are asked the same."""

    def __init__(self, address, key):
        self._runner = asyncio.Runner()
        self._client = AsyncClient(address, key)

    def do(self, call):
        return self._runner.run(self._client.do(call))

    def stream(self, call, *, after=""):
        async def whole():
            return [event async for event in self._client.stream(call, after=after)]

        return self._runner.run(whole())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=[Client, Asynchronous])
def kind(request):
    return request.param


@pytest.fixture
def client(platform, kind):
    with kind(platform.address, platform.key) as made:
        yield made


def publish(client, name, version="1.0.0", milliseconds=1):
    client.do(workflows.publish(DOCUMENT % (name.encode(), version.encode(), str(milliseconds).encode())))


def ended(client, run):
    until(lambda: client.do(runs.get(run)).has_ended)
    return client.do(runs.get(run))


def calls():
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and "Call[" in str(function.__annotations__.get("return")):
                yield f"{module.__name__}.{name}", function


def made(function):
    """A call, with something for each argument that it must have."""
    needed = {name: one for name, one in inspect.signature(function).parameters.items() if one.default is one.empty}
    given = {
        name: [{"id": "x"}] if "list[" in str(one.annotation) else {} if "dict[" in str(one.annotation) else "x"
        for name, one in needed.items()
        if one.kind is not one.VAR_KEYWORD
    }
    return function(**given)


def operations(platform):
    with urllib.request.urlopen(f"{platform.address}/api/v1/openapi.json") as answer:
        document = json.load(answer)
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/api/v1/") and "tags" in operation
    }


def fits(operation, call):
    method, path = operation.split()
    pattern = re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(path).replace(r"\{", "{").replace(r"\}", "}"))
    return call.method == method and re.fullmatch(pattern, call.path)


def test_every_operation_has_a_call_and_every_call_an_operation(platform):
    there = operations(platform)
    sent = [(name, made(function)) for name, function in calls() if function is not workflows.change]
    sent += [("change", workflows.change("x", verb)) for verb in ("enable", "disable", "archive", "restore")]
    assert all(isinstance(call, Call) for _, call in sent)
    assert {one for one in there if not any(fits(one, call) for _, call in sent)} == set(WITHOUT_A_CALL)
    assert [name for name, call in sent if not any(fits(one, call) for one in there)] == []


def test_every_call_says_what_it_means_or_is_named_for_it():
    plain = re.compile(r"\.(find|get|create|delete|validate|diff|start|change|disable)(_\w+)?$|revoke_own|change_own")
    assert [name for name, function in calls() if not function.__doc__ and not plain.search(name)] == []


def test_workflows(client, kind):
    name = f"book-{kind.__name__.lower()}"
    publish(client, name)
    publish(client, name, "1.1.0", 2)
    id = f"shop.{name}"
    assert client.do(workflows.get(id)).default_version == "1.1.0"
    assert [one.version for one in client.do(workflows.versions(id)).items] == ["1.1.0", "1.0.0"]
    assert "milliseconds: 2" in client.do(workflows.version(id, "1.1.0")).text
    assert client.do(workflows.diff(id, "1.0.0", "1.1.0")).changes
    assert not client.do(workflows.validate(b"do: []")).valid
    assert client.do(workflows.change(id, "disable")).state == "disabled"
    with pytest.raises(Conflict):
        client.do(runs.start(id))
    assert client.do(workflows.change(id, "enable")).state == "enabled"
    assert id in {one.id for one in client.do(workflows.find(state="enabled")).items}


def test_runs(client, kind):
    mark = kind.__name__
    publish(client, "runs", "1.0.0", 1)
    publish(client, "runs", "2.0.0", 1)
    publish(client, "slow", "1.0.0", 600_000)
    started = client.do(runs.start("shop.runs", {"n": 4, "mark": mark}, id=f"run-{mark}", version="1.0.0"))
    assert client.do(runs.start("shop.runs", {"n": 4, "mark": mark}, id=f"run-{mark}", version="1.0.0")) == started
    assert ended(client, started.id).output == {"twice": 8}
    assert [one.id for one in client.do(runs.find(input=[f"mark={mark}"], version="1.0.0")).items] == [started.id]
    history = client.do(runs.history(started.id)).items
    seen = [json.loads(event.data).get("number") for event in client.stream(runs.follow(started.id))]
    assert seen == [*(entry.number for entry in history), None]
    later = [json.loads(event.data).get("number") for event in client.stream(runs.follow(started.id), after="3")]
    assert later == seen[3:]
    forked = client.do(runs.fork(started.id, version="2.0.0", input={"n": 5}))
    assert (forked.version, ended(client, forked.id).output) == ("2.0.0", {"twice": 10})
    many = [client.do(runs.start("shop.slow", {"n": 1}, id=f"slow-{mark}-{at}")).id for at in range(3)]
    assert [task.path for task in client.do(runs.tasks(many[0])).items] == ["/do/1/rest"]
    assert client.do(runs.suspend(many[0])).status == "suspended"
    assert client.do(runs.resume(many[0])).status == "waiting"
    assert client.do(runs.skip(many[0], path="/do/1/rest", output={"seen": 9})).id == many[0]
    assert ended(client, many[0]).output == {"twice": 18}
    job = client.do(runs.steer("cancel", [*many, "no-such"], compensate=False))
    until(lambda: client.do(runs.job(job.id)).is_done)
    job = client.do(runs.job(job.id))
    assert (job.done, job.failed) == (4, 2)
    assert {answer.run for answer in job.answers if not answer.ok} == {many[0], "no-such"}
    with pytest.raises(Conflict):
        client.do(runs.cancel(many[1]))


def test_schedules(client):
    publish(client, "runs", "2.0.0", 1)
    made_here = client.do(schedules.create("shop.runs", cron="0 9 * * *", zone="Asia/Tokyo", input={"n": 1}))
    changed = client.do(schedules.change(made_here.id, zone="Europe/Berlin", overlap="queue"))
    assert (changed.zone, changed.overlap, changed.spec) == ("Europe/Berlin", "queue", "0 9 * * *")
    assert client.do(schedules.get(made_here.id)) == changed
    assert client.do(schedules.pause(made_here.id)).state == "paused"
    assert client.do(schedules.resume(made_here.id)).state == "active"
    fired = client.do(schedules.fire(made_here.id, input={"n": 21}))
    until(lambda: client.do(schedules.firings(made_here.id)).items[0].state == "started")
    assert ended(client, fired.run).output == {"twice": 42}
    client.do(schedules.delete(made_here.id))
    with pytest.raises(NotFound):
        client.do(schedules.get(made_here.id))


def test_events_and_the_inbox(client, kind):
    for document in (LISTENS, ASKS):
        client.do(workflows.publish(document))
    run = client.do(runs.start("shop.listens")).id
    until(lambda: client.do(runs.tasks(run)).items)
    event = {"specversion": "1.0", "id": f"e-{kind.__name__}", "source": "t", "type": "com.example.paid", "data": 1}
    assert client.do(events.send(event)).taken == 1
    assert client.do(events.send_all([event, {**event, "id": event["id"] + "-2"}])) == events.Taken(taken=1, seen=1)
    assert ended(client, run).status == "completed"
    asking = client.do(runs.start("shop.asks")).id
    until(lambda: client.do(inbox.find(run=asking)).items)
    item = client.do(inbox.find(run=asking, state=["open"])).items[0]
    assert client.do(inbox.delegate(item.id, ["role:owner"])).to == ["role:owner"]
    item = client.do(inbox.get(item.id))
    client.do(inbox.decide(item.id, item.hash, approved=False, reason="no"))
    assert ended(client, asking).output["approved"] is False


def test_webhooks(client, kind):
    publish(client, "runs", "2.0.0", 1)
    once = client.do(webhooks.create(f"pay {kind.__name__}", workflow="shop.runs"))
    assert client.do(webhooks.get(once.webhook.id)) == once.webhook
    assert client.do(webhooks.rotate(once.webhook.id, grace=60)).secret != once.secret
    assert client.do(webhooks.get(once.webhook.id)).earlier_until
    assert once.webhook.id in {one.id for one in client.do(webhooks.find()).items}
    client.do(webhooks.delete(once.webhook.id))


def test_people_keys_and_tenants(platform, client, kind):
    mark = kind.__name__.lower()
    email, password = f"{mark}@example.com", "correct horse battery"
    user = client.do(users.create(email, "operator", password=password))
    tokens = client.do(users.sign_in("default", email, password))
    with kind(platform.address, tokens.access_token) as person:
        assert person.do(users.me()).roles == ["operator"]
        own = person.do(keys.create_own("laptop"))
        assert [one.id for one in person.do(keys.find_own()).items] == [own.key.id]
        person.do(keys.revoke_own(own.key.id))
        assert person.do(users.begin_totp()).address.startswith("otpauth://")
        with pytest.raises((Invalid, Denied, Unauthenticated)):
            person.do(users.confirm_totp("000000"))
        person.do(users.change_own_password("another horse battery", current=password))
        with pytest.raises(Denied):
            person.do(users.find())
    again = client.do(users.sign_in("default", email, "another horse battery"))
    assert client.do(users.refresh(again.refresh_token)).access_token
    with kind(platform.address, again.access_token) as person:
        person.do(users.sign_out(everywhere=True))
    assert client.do(users.change(user.id, role="viewer")).role == "viewer"
    assert any(one.subject for one in client.do(users.find_sign_ins()).items)
    client.do(users.set_password(user.id, "third horse battery"))
    assert client.do(users.get(user.id)).email == email
    key = client.do(keys.create("ci", "viewer", days=1))
    assert client.do(keys.get(key.key.id)).role == "viewer"
    assert client.do(keys.revoke(key.key.id)).revoked
    made_tenant = client.do(tenants.create(f"t-{mark}", "Other"))
    with kind(platform.address, made_tenant.owner_key) as other:
        assert other.do(runs.find()).items == []
    assert client.do(tenants.disable(made_tenant.tenant.id)).disabled
    assert client.do(tenants.get(made_tenant.tenant.id)).disabled
    project = client.do(tenants.create_project(f"p-{mark}", "Part"))
    assert client.do(tenants.get_project(project.id)) == project


def test_a_server_that_is_not_there_is_one_sentence(kind):
    with kind("http://127.0.0.1:9", "k") as nobody:
        with pytest.raises(Unavailable, match="cannot be reached"):
            nobody.do(runs.find())
        with pytest.raises(Unavailable, match="cannot be reached"):
            list(nobody.stream(runs.follow("x")))


def test_half_an_answer_is_none(kind):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(
                    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"items"'
                )

        serving = threading.Thread(target=serve)
        serving.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with kind(address, "k") as client, pytest.raises(Unavailable, match="cannot be reached"):
            client.do(runs.find())
        serving.join()


def test_a_stream_outlives_its_server(tmp_path, kind):
    platform = PlatformProcess(tmp_path)
    try:
        platform.up()
        port = platform.address.rpartition(":")[2]
        with platform.client() as client:
            publish(client, "slow", "1.0.0", 4000)
            client.do(runs.start("shop.slow", {"n": 1}, id="long"))
        with kind(platform.address, platform.key) as follower:
            again = threading.Thread(target=lambda: (platform.kill(), platform.up("--port", port)))
            again.start()
            numbers = [json.loads(event.data).get("number") for event in until_open(follower, "long")]
            again.join()
        assert numbers[-1] is None
        assert numbers[:-1] == list(range(1, len(numbers)))
    finally:
        platform.kill()


def until_open(follower, run):
    """All events of a stream that may begin while its server is away."""
    found = []

    def is_told():
        with contextlib.suppress(Unavailable):
            found.extend(follower.stream(runs.follow(run)))
        return bool(found)

    until(is_told)
    return found
