"""The service over HTTP, behind the real gateway."""

import json

import pytest

from perdure.ports.edge import Caller
from perdure.services.agents.routes import router
from tests.unit.gateway.world import World as Edge
from tests.unit.services.agents.conftest import TENANT

ALL = frozenset("agents:read agents:write agents:run usage:read budgets:read budgets:write".split())


class Api:
    """Asks as somebody of the tenant."""

    def __init__(self, edge) -> None:
        self._edge = edge

    async def ask(self, method, path, status=None, **more):
        answer = await self._edge.ask(method, f"/api/v1{path}", key=more.pop("key", "ana"), **more)
        if status is not None:
            assert answer.status == status, (answer.status, answer.body)
        return answer.json if answer.body and "json" in answer.headers.get("content-type", "") else answer


@pytest.fixture
def api(world):
    edge = Edge(routers=[router(world.service)])
    people = {"ana": (TENANT, ALL), "otto": ("other", ALL), "eve": (TENANT, frozenset({"agents:read"}))}
    for name, (tenant, permissions) in people.items():
        edge.identity.callers[name] = Caller(tenant=tenant, subject=name, permissions=permissions, by="key")
    return Api(edge)


async def agent(api, **more):
    return await api.ask("POST", "/agents", 201, json={"name": "helper", "instruction": "Help.", **more})


def events_of(answer):
    found = []
    for block in answer.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "data" in fields:
            found.append((fields.get("event"), json.loads(fields["data"]), fields.get("id")))
    return found


async def test_an_agent_is_made_versioned_and_talked_to(api, world):
    made = await agent(api, tools=["embed"], limits={"turns": 3})
    assert (made["version"], made["definition"]["tools"]) == (1, ["embed"])
    assert made["document"]["do"][0]["answer"]["with"]["limits"] == {"turns": 3}
    await api.ask("POST", "/agents/helper/versions", 201, json={"instruction": "Be brief."})
    assert [one["version"] for one in (await api.ask("GET", "/agents/helper/versions", 200))["items"]] == [2, 1]
    said = await api.ask("POST", "/agents/helper/chat", 200, json={"message": "Hello"})
    assert (said["state"], said["output"], said["version"]) == ("completed", "Good.", 2)
    [execution] = (await api.ask("GET", "/agents/helper/executions", 200))["items"]
    assert (execution["run"], execution["context"]) == (said["run"], said["context"])
    messages = (await api.ask("GET", f"/contexts/{said['context']}/messages", 200))["items"]
    assert [one["content"] for one in messages] == ["Hello", "Good."]
    branch = await api.ask("POST", f"/contexts/{said['context']}/branch", 201, json={"message": 1})
    assert (branch["size"], branch["origin"]) == (1, said["context"])
    await api.ask("DELETE", f"/contexts/{said['context']}", 204)
    await api.ask("GET", f"/contexts/{said['context']}", 404)


async def test_a_chat_streams_and_goes_on_behind_an_event(api, world):
    await agent(api)
    world.talker.lines = ["It is a long answer."]
    key = {"idempotency-key": "k1"}
    body = {"message": "Go", "stream": True}
    first = await api.ask("POST", "/agents/helper/chat", 200, json=body, headers=key)
    events = events_of(first)
    assert "".join(data["text"] for kind, data, _ in events if kind == "text") == "It is a long answer."
    assert events[-1][1]["output"] == "It is a long answer."
    again = events_of(
        await api.ask("POST", "/agents/helper/chat", 200, json=body, headers={**key, "last-event-id": events[2][2]})
    )
    rest = "".join(data["text"] for kind, data, _ in again if kind == "text")
    assert rest == "It is a long answer."[8:]
    run = events[0][1]["run"]
    followed = events_of(await api.ask("GET", f"/agents/helper/executions/{run}/stream", 200))
    assert followed[-1][1]["run"] == run
    assert len(world.talker.requests) == 1


async def test_usage_and_budgets(api, world):
    await agent(api)
    await api.ask("POST", "/agents/helper/chat", 200, json={"message": "Hello"})
    [row] = (await api.ask("GET", "/usage", 200))["items"]
    assert (row["agent"], row["key"], row["cost"], row["model"]) == ("helper", "ana", 0.01, "talker")
    [total] = (await api.ask("GET", "/usage/sums?group=day&group=agent", 200))["items"]
    assert (total["by"]["agent"], total["cost"], total["requests"]) == ("helper", 0.01, 1)
    text = (await api.ask("GET", "/usage/export", 200)).body.decode().splitlines()
    assert (text[0].split(",")[:2], text[1].rpartition(",")[2]) == (["at", "call"], "0.010000000")
    assert "helper" in (await api.ask("GET", "/usage/sums/export?group=agent", 200)).body.decode()
    assert (await api.ask("GET", "/usage?agent=nobody", 200))["items"] == []
    await api.ask("GET", "/usage/sums?group=nothing", 422)
    await api.ask("GET", "/usage?since=2026-02-31", 422)
    made = await api.ask("POST", "/budgets", 201, json={"scope": "agent", "amount": 0.01})
    standing = await api.ask("GET", f"/budgets/{made['id']}?subject=helper", 200)
    assert (standing["spent"], standing["limit"], standing["period"]) == (0.01, 0.01, "total")
    held = await api.ask("POST", "/agents/helper/chat", 200, json={"message": "Hello", "wait": False})
    await world.reaches(held["run"], "waiting")
    await api.ask("PATCH", f"/budgets/{made['id']}", 200, json={"amount": 1})
    await world.hand_out()
    assert (await world.settle(held["run"])).status == "completed"
    assert (await api.ask("POST", "/agents/helper/chat", 200, json={"message": "x"}))["state"] == "completed"
    await api.ask("DELETE", f"/budgets/{made['id']}", 204)
    assert (await api.ask("GET", "/budgets", 200))["items"] == []


async def test_prompts(api):
    made = await api.ask("POST", "/prompts", 201, json={"name": "greet", "text": "Greet ${ .name }."})
    assert made["version"] == 1
    await agent(api, instruction="", prompt={"name": "greet", "version": 1})
    said = await api.ask("POST", "/agents/helper/chat", 200, json={"message": "x", "values": {"name": "Ana"}})
    assert said["state"] == "completed"
    await api.ask("POST", "/prompts", 422, json={"name": "greet", "text": "${"})
    assert len((await api.ask("GET", "/prompts/greet/versions", 200))["items"]) == 1


async def test_nothing_is_seen_of_another_tenant(api, world):
    await agent(api)
    said = await api.ask("POST", "/agents/helper/chat", 200, json={"message": "Hello"})
    made = await api.ask("POST", "/budgets", 201, json={"scope": "tenant", "amount": 1})
    paths = ("/agents/helper", "/agents/helper/versions", "/agents/helper/versions/1", "/agents/helper/executions",
             f"/agents/helper/executions/{said['run']}", f"/agents/helper/executions/{said['run']}/stream",
             f"/contexts/{said['context']}", f"/contexts/{said['context']}/messages", f"/budgets/{made['id']}")  # fmt: skip
    for path in paths:
        await api.ask("GET", path, 404, key="otto")
    for path in ("/agents", "/contexts", "/usage", "/budgets", "/prompts"):
        assert (await api.ask("GET", path, 200, key="otto"))["items"] == []
    await api.ask("DELETE", f"/contexts/{said['context']}", 404, key="otto")
    await api.ask("POST", "/agents/helper/chat", 404, key="otto", json={"message": "x", "context": said["context"]})
    await api.ask("POST", "/agents/helper/chat", 403, key="eve", json={"message": "x"})


@pytest.mark.parametrize(
    "body", [{}, {"message": ""}, {"message": "x", "nothing": 1}, {"message": "   "}, {"message": "x\u0000"}]
)
async def test_a_wrong_chat_is_refused(api, body):
    await agent(api)
    await api.ask("POST", "/agents/helper/chat", 422, json=body)
