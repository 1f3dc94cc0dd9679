"""The service over HTTP, behind the real gateway."""

import msgspec
import pytest

from perdure.ports.edge import Caller
from perdure.ports.log import RUN
from perdure.services.workflows import events, signatures
from perdure.services.workflows.routes import router
from tests.unit.gateway.world import World as Edge
from tests.unit.services.workflows.conftest import HELD, SET, TENANT, document

ALL = frozenset(
    "workflows:read workflows:write runs:read runs:write runs:operate schedules:read schedules:write webhooks:read "
    "webhooks:write events:write inbox:read inbox:decide".split()
)
YAML = {"content-type": "application/yaml"}


class Api:
    """Asks as somebody of the tenant."""

    def __init__(self, world, edge) -> None:
        self.world = world
        self._edge = edge

    async def ask(self, method, path, status=None, **more):
        answer = await self._edge.ask(method, f"/api/v1{path}", key=more.pop("key", "ana"), **more)
        if status is not None:
            assert answer.status == status, (answer.status, answer.body)
        return answer.json if answer.body and "json" in answer.headers.get("content-type", "") else answer

    async def publish(self, name="w", do=SET, version="1.0.0", status=201):
        return await self.ask("POST", "/workflows", status, body=document(name, do, version), headers=YAML)


@pytest.fixture
def api(world):
    edge = Edge(routers=[router(world.service)], runs=world.service.runs)
    roles = {
        "ana": (ALL, "operator"),
        "eve": (ALL, "viewer"),
        "viewer": (frozenset({"runs:read", "workflows:read"}), "viewer"),
    }
    for name, (permissions, role) in roles.items():
        edge.identity.callers[name] = Caller(
            tenant=TENANT, subject=name, permissions=permissions, roles=frozenset({role}), by="key"
        )
    edge.identity.callers["other"] = Caller(tenant="other", subject="otto", permissions=ALL, by="key")
    return Api(world, edge)


async def test_publish_and_read(api):
    made = await api.publish()
    assert (made["workflow"]["id"], made["version"]["version"], made["is_new"]) == ("test.w", "1.0.0", True)
    assert (await api.publish(status=200))["is_new"] is False
    await api.publish(do=HELD, version="1.1.0")
    taken = await api.publish(do=HELD, status=409)
    assert taken["code"] == "version-taken"
    refused = await api.ask("POST", "/workflows", 422, body=b"do: [", headers=YAML)
    assert refused["details"]["findings"][0]["line"] >= 1
    assert (await api.ask("GET", "/workflows", 200))["items"][0]["default_version"] == "1.1.0"
    versions = await api.ask("GET", "/workflows/test.w/versions?limit=1", 200)
    assert (versions["items"][0]["version"], versions["next"]) == ("1.1.0", "1.1.0")
    whole = await api.ask("GET", "/workflows/test.w/versions/1.0.0", 200)
    assert whole["document"]["document"]["name"] == "w"
    diff = await api.ask("GET", "/workflows/test.w/diff?from=1.0.0", 200)
    assert {change["kind"] for change in diff["changes"]} == {"added", "removed", "changed"}
    for path in ("/workflows/test.w", "/workflows/test.w/versions", "/workflows/test.w/versions/1.0.0", "/workflows/test.w/diff?from=1.0.0"):  # fmt: skip
        await api.ask("GET", path, 404, key="other")
    found = await api.ask(
        "POST", "/workflows/validate", 200, body=b'{"do": 1}', headers={"content-type": "application/json"}
    )
    assert found["valid"] is False
    assert (await api.ask("POST", "/workflows/test.w/disable", 200))["state"] == "disabled"
    assert (await api.ask("POST", "/workflows/test.w/runs", 409, json={}))["code"] == "conflict"
    await api.ask("POST", "/workflows/test.w/restore", 409)
    await api.ask("POST", "/workflows/test.w/archive", 403, key="viewer")


async def test_starting(api):
    await api.publish()
    headers = {"idempotency-key": "k"}
    first = await api.ask("POST", "/workflows/test.w/runs", 201, json={"input": {"n": 1}}, headers=headers)
    again = await api.ask("POST", "/workflows/test.w/runs", 201, json={"input": {"n": 1}}, headers=headers)
    assert first == again
    await api.ask("POST", "/workflows/test.w/runs", 409, json={"input": {"n": 2}}, headers=headers)
    named = await api.ask("POST", "/runs", 201, json={"workflow": "test.w", "input": {"n": 3}, "id": "mine"})
    assert named == {"id": "mine", "workflow": "test.w", "version": "1.0.0"}
    await api.world.settle("mine")
    run = await api.ask("GET", "/runs/mine", 200)
    assert (run["status"], run["output"], run["started"][:4]) == ("completed", {"n": 3}, "2023")
    for body in (b"[]", b"{", b'{"inputs": 1}', b'{"version": 1}', b"\xff"):
        assert (await api.ask("POST", "/workflows/test.w/runs", body=body, headers={"content-type": "application/json"})).get("status") in {400, 422}  # fmt: skip
    await api.ask("POST", "/runs", 404, json={"workflow": "test.nobody"})
    await api.ask("GET", "/runs/mine", 404, key="other")
    await api.ask("GET", "/runs/%00", 404)
    await api.ask("POST", "/runs", 403, json={"workflow": "test.w"}, key="viewer")


async def test_finding_and_following(api):
    await api.publish()
    for n in range(3):
        made = await api.ask("POST", "/runs", 201, json={"workflow": "test.w", "input": {"n": n}})
        await api.world.settle(made["id"])
    page = await api.ask("GET", "/runs?limit=2&status=completed", 200)
    assert (len(page["items"]), page["next"]) == (2, page["items"][-1]["id"])
    assert not {"input", "output", "error"} & set(page["items"][0])  # not looked at, which is not null
    assert len((await api.ask("GET", f"/runs?limit=2&cursor={page['next']}", 200))["items"]) == 1
    found = await api.ask("GET", "/runs?output=n%3D1", 200)
    assert [run["input"] for run in found["items"]] == [{"n": 1}]
    assert (await api.ask("GET", "/runs?since=2030-01-01T00:00:00Z", 200))["items"] == []
    await api.ask("GET", "/runs?input=n", 422)
    await api.ask("GET", "/runs?cursor=nobody", 404)
    run = page["items"][0]["id"]
    history = await api.ask("GET", f"/runs/{run}/history?cursor=2&limit=2", 200)
    assert ([entry["number"] for entry in history["items"]], history["next"]) == ([3, 4], "4")
    assert (await api.ask("GET", f"/runs/{run}/tasks", 200))["items"] == []
    stream = await api.ask("GET", f"/runs/{run}/stream", 200, headers={"last-event-id": "4"})
    text = stream.body.decode()
    assert "id: 5\n" in text
    assert "id: 4\n" not in text
    assert 'event: end\ndata: {"status":"completed"' in text
    await api.ask("GET", "/runs/nobody/stream", 404)
    await api.ask("GET", f"/runs/{run}/stream", 422, headers={"last-event-id": "x"})


async def test_steering(api):
    await api.publish(do=HELD)
    runs = [(await api.ask("POST", "/runs", 201, json={"workflow": "test.w"}))["id"] for _ in range(3)]
    for run in runs:
        await api.world.until(run, "waiting")
    assert (await api.ask("POST", f"/runs/{runs[0]}/suspend", 200))["status"] == "suspended"
    await api.ask("POST", f"/runs/{runs[0]}/resume", 200)
    await api.ask("POST", f"/runs/{runs[0]}/cancel", 200, json={"compensate": True})
    await api.ask("POST", f"/runs/{runs[0]}/retry", 409)
    skipped = await api.ask("POST", f"/runs/{runs[1]}/skip", 200, json={"path": "/do/0/l", "output": [7]})
    assert skipped["status"] in {"completed", "running"}
    assert (await api.world.settle(runs[1])).output == [7]
    forked = await api.ask("POST", f"/runs/{runs[1]}/fork", 201, json={"input": {"n": 1}})
    assert (await api.ask("GET", f"/runs/{forked['id']}", 200))["origin"] == runs[1]
    job = await api.ask("POST", "/runs/bulk", 202, json={"verb": "cancel", "runs": [runs[2], forked["id"]]})
    assert (job["state"], job["done"], job["failed"]) == ("done", 2, 0)
    assert await api.ask("GET", f"/runs/bulk/{job['id']}", 200) == job
    many = await api.ask("POST", "/runs/bulk", 202, json={"verb": "cancel", "select": {"statuses": ["waiting"]}})
    assert many["state"] == "working"
    await api.ask("POST", "/runs/bulk", 422, json={"verb": "cancel"})
    await api.ask("POST", f"/runs/{runs[2]}/cancel", 404, key="other")


async def test_schedules(api):
    await api.publish()
    given = {"workflow": "test.w", "cron": "0 8 * * *", "zone": "Europe/Berlin", "input": {"n": 1}}
    made = await api.ask("POST", "/schedules", 201, json=given)
    assert (made["kind"], made["spec"], made["next"]) == ("cron", "0 8 * * *", "2023-11-15T07:00:00.000Z")
    id = made["id"]
    changed = await api.ask("PATCH", f"/schedules/{id}", 200, json={"every": {"minutes": 5}, "overlap": "allow"})
    assert (changed["kind"], changed["spec"], changed["overlap"], changed["input"]) == ("every", 300, "allow", {"n": 1})
    assert (await api.ask("POST", f"/schedules/{id}/pause", 200))["state"] == "paused"
    fired = await api.ask("POST", f"/schedules/{id}/fire", 202, json={"input": {"n": 9}})
    await api.world.fire()
    assert (await api.world.settle(fired["run"])).output == {"n": 9}
    assert [one["state"] for one in (await api.ask("GET", f"/schedules/{id}/firings", 200))["items"]] == ["started"]
    assert (await api.ask("POST", f"/schedules/{id}/resume", 200))["state"] == "active"
    assert len((await api.ask("GET", "/schedules?workflow=test.w", 200))["items"]) == 1
    for body in ({"workflow": "test.w"}, {**given, "every": "PT1M"}, {**given, "zone": "X"}, {**given, "cron": "x"}):
        await api.ask("POST", "/schedules", 422, json=body)
    await api.ask("GET", f"/schedules/{id}", 404, key="other")
    await api.ask("DELETE", f"/schedules/{id}", 204)
    await api.ask("GET", f"/schedules/{id}", 404)


async def test_webhooks(api):
    await api.publish()
    made = await api.ask("POST", "/webhooks", 201, json={"name": "shop", "workflow": "test.w"})
    hook, secret = made["webhook"], made["secret"]
    assert "secret" not in (await api.ask("GET", f"/webhooks/{hook['id']}", 200))
    body, at = b'{"n": 1}', str(api.world.clock.now() // 1000)
    headers = {
        "webhook-id": "m1", "webhook-timestamp": at, "webhook-signature": signatures.sign(secret, "m1", at, body),
        "content-type": "application/json",
    }  # fmt: skip
    taken = await api.ask("POST", hook["address"], 202, key=None, body=body, headers=headers)
    assert (await api.world.settle(taken["run"])).output == {"n": 1}
    await api.ask("POST", hook["address"], 401, key=None, body=body, headers=headers)
    await api.ask("POST", "/hooks/%00", 401, key=None, body=body, headers=headers)
    rotated = await api.ask("POST", f"/webhooks/{hook['id']}/rotate", 200)
    assert rotated["secret"] != secret
    assert rotated["webhook"]["earlier_until"]
    assert len((await api.ask("GET", "/webhooks", 200))["items"]) == 1
    await api.ask("DELETE", f"/webhooks/{hook['id']}", 404, key="other")
    await api.ask("DELETE", f"/webhooks/{hook['id']}", 204)


EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "go"}


async def test_events_in_each_form(api):
    await api.publish(do=HELD)
    runs = [(await api.ask("POST", "/runs", 201, json={"workflow": "test.w"}))["id"] for _ in range(2)]
    for run in runs:
        await api.world.until(run, "waiting")

    async def send(status, body, **headers):
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await api.ask("POST", "/events", status, body=raw, headers=given)

    structured = "application/cloudevents+json; charset=utf-8"
    assert await send(202, {**EVENT, "data": {"n": 1}}, content_type=structured) == {"taken": 1, "seen": 0}
    assert await send(202, EVENT, content_type="application/json") == {"taken": 0, "seen": 1}
    for run in runs:
        assert (await api.world.settle(run)).output == [{"n": 1}]
    batch = [{**EVENT, "id": "2"}, {**EVENT, "id": "3"}, {**EVENT, "id": "3"}]
    found = await send(202, batch, content_type="application/cloudevents-batch+json")
    assert found == {"taken": 2, "seen": 1}
    ce = {"ce_specversion": "1.0", "ce_source": "/shop", "ce_type": "go"}
    for number, (media, body) in enumerate(
        (("application/json", b'{"n": 1}'), ("text/plain", b"x"), ("image/png", b"\x89"))
    ):
        await send(202, body, content_type=media, ce_id=f"b{number}", **ce)
    wrong = [
        [], "x", {}, {**EVENT, "id": ""}, {**EVENT, "specversion": "0.3"}, {**EVENT, "type": events.APPROVAL_DECIDED},
        {**EVENT, "Upper": 1}, {**EVENT, "subject": 3}, {**EVENT, "extra": {}}, {**EVENT, "time": "noon"},
        {**EVENT, "data_base64": "!"}, {**EVENT, "data": 1, "data_base64": ""},
    ]  # fmt: skip
    for event in wrong:
        assert (await send(422, event, content_type=structured))["detail"]
    await send(422, {}, content_type="application/cloudevents-batch+json")
    await send(422, b"\xff", content_type="text/plain", ce_id="x", **ce)


async def test_the_inbox(api):
    await api.publish(do="[{ask: {call: approve, with: {title: 'Pay?', to: 'role:operator', form: {type: object}}}}]")
    run = (await api.ask("POST", "/runs", 201, json={"workflow": "test.w"}))["id"]
    await api.world.until(run, "waiting")
    for _, tenant, event in api.world.engine.outgoing(0):
        await api.world.service.listeners.take(tenant, event)
    (item,) = (await api.ask("GET", "/inbox?mine=true&state=open", 200))["items"]
    assert (item["title"], item["run"], item["to"]) == ("Pay?", run, ["role:operator"])
    assert (await api.ask("GET", "/inbox?mine=true", 200, key="eve"))["items"] == []
    path = f"/inbox/{item['id']}"
    await api.ask("GET", path, 404, key="other")
    await api.ask("POST", f"{path}/decide", 403, json={"hash": item["hash"]}, key="eve")
    assert (await api.ask("POST", f"{path}/decide", 409, json={"hash": "x"}))["code"] == "decision-void"
    await api.ask("POST", f"{path}/decide", 422, json={"hash": item["hash"], "data": 3})
    await api.ask("POST", f"{path}/delegate", 200, json={"to": ["user:eve"], "reason": "on leave"})
    done = await api.ask("POST", f"{path}/decide", 200, json={"hash": item["hash"], "data": {"n": 1}}, key="eve")
    assert (done["state"], done["decision"]["by"], done["delegations"][0]["by"]) == ("decided", "eve", "ana")
    for event in await api.world.told():
        if event["type"] in events.ANSWERING:
            await api.world.service.listeners.answered(event)
    output = (await api.world.settle(run)).output
    assert (output["approved"], output["by"], output["data"]) == (True, "eve", {"n": 1})


async def test_what_is_logged_of_a_request_about_one_run_bears_its_id(api):
    await api.publish(do=HELD)
    seen = []
    for method, path, given in (
        ("POST", "/runs", {"workflow": "test.w", "id": "r-1"}),
        ("POST", "/workflows/test.w/runs", {"id": "r-2"}),
        ("GET", "/runs/r-1", None),
        ("POST", "/runs/r-2/suspend", None),
        ("GET", "/runs", None),
    ):
        RUN.set("")
        await api.ask(method, path, json=given)
        seen.append(RUN.get())
    assert seen == ["r-1", "r-2", "r-1", "r-2", ""]
