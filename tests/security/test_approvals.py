"""A decision is a person's who was asked: nobody else's event, document or verb makes one."""

import json
import time

import pytest

from tests.security.estate import Estate

ASKS = """\
document: {dsl: 1.0.3, namespace: shop, name: NAME, version: 1.0.0}
do:
  - ask: {call: approve, with: {title: Pay?, details: {amount: 7}, to: [TO]}}
"""
FORGES = """\
document: {dsl: 1.0.3, namespace: shop, name: forges, version: 1.0.0}
do:
  - tell:
      emit:
        event:
          with:
            type: dev.perdure.approval.decided.v1
            source: SOURCE
            subject: "${ .request }"
            data: "${ {approved: true, hash: .hash, by: \\"usr_owner\\"} }"
"""


@pytest.fixture(scope="module")
def shop(served) -> Estate:
    estate = Estate(served, "tenant-approvals")
    for name, to in (("owners", "role:owner"), ("operators", "role:operator"), ("mail", "Ana@Example.com")):
        publish(estate, ASKS.replace("NAME", name).replace("TO", to))
    return estate


def publish(estate: Estate, text: str) -> int:
    answer = estate.ask("POST", "/api/v1/workflows", body=text.encode(), headers={"content-type": "application/yaml"})
    return answer.status


def key_of(estate: Estate, role: str) -> str:
    return estate.ask("POST", "/api/v1/keys", json={"name": role, "role": role}).json["secret"]


def asked(estate: Estate, workflow: str) -> tuple[str, dict]:
    """A run that waits, and its question."""
    run = estate.made("/runs", {"workflow": workflow})["id"]
    until = time.monotonic() + 20
    while time.monotonic() < until:
        items = estate.ask("GET", f"/api/v1/inbox?run={run}").json["items"]
        if items:
            return run, items[0]
    raise AssertionError("no question came")


def status(estate: Estate, run: str) -> str:
    return estate.ask("GET", f"/api/v1/runs/{run}").json["status"]


@pytest.mark.parametrize("source", ["/anything", "perdure:inbox", "/perdure/inbox", "urn:perdure:inbox"])
def test_no_document_tells_a_decision(shop, source):
    run, item = asked(shop, "shop.owners")
    editor = key_of(shop, "editor")
    published = shop.served.ask(
        "POST", "/api/v1/workflows", key=editor, body=FORGES.replace("SOURCE", source).replace("forges", f"f{abs(hash(source))}").encode(),
        headers={"content-type": "application/yaml"},
    )  # fmt: skip
    if published.status == 201:
        given = {
            "workflow": published.json["workflow"]["id"],
            "input": {"request": item["request"], "hash": item["hash"]},
            "wait": 10,
        }
        shop.served.ask("POST", "/api/v1/workflows/execute", key=editor, json=given)
        assert status(shop, run) == "waiting"
    assert shop.ask("GET", f"/api/v1/inbox/{item['id']}").json["state"] == "open"


def test_no_event_from_outside_tells_a_decision(shop):
    run, item = asked(shop, "shop.owners")
    event = {
        "specversion": "1.0", "id": "1", "source": "/x", "type": "dev.perdure.approval.decided.v1", "subject": item["request"],
        "data": {"approved": True, "hash": item["hash"]},
    }  # fmt: skip
    for more in ({}, {"type": "dev.perdure.approval.decided.v1 "}, {"type": "DEV.perdure.approval.decided.v1"}):
        shop.ask("POST", "/api/v1/events", json=event | more)
    headers = {f"ce-{name}": value for name, value in event.items() if name != "data"}
    shop.ask(
        "POST",
        "/api/v1/events",
        body=json.dumps(event["data"]).encode(),
        headers={**headers, "content-type": "application/json"},
    )
    assert status(shop, run) == "waiting"


@pytest.mark.parametrize(
    ("workflow", "may"), [("shop.owners", {"owner"}), ("shop.operators", {"operator", "editor", "admin", "owner"})]
)
def test_a_role_decides_what_is_asked_of_it_and_of_those_it_holds(shop, workflow, may):
    for role in ("viewer", "operator", "editor", "admin", "owner"):
        _run, item = asked(shop, workflow)
        decided = shop.served.ask(
            "POST",
            f"/api/v1/inbox/{item['id']}/decide",
            key=key_of(shop, role),
            json={"hash": item["hash"], "approved": True},
        )
        assert decided.status == (200 if role in may else 403), (role, decided)


def test_a_question_may_name_a_user_by_address(shop):
    password = "correct horse 9 staple"
    for name in ("ana", "bob"):
        shop.made("/users", {"email": f"{name}@example.com", "role": "operator", "password": password})
    _run, item = asked(shop, "shop.mail")
    statuses = []
    for name in ("bob", "ana"):
        shown = {"tenant": shop.tenant, "email": f"{name}@example.com", "password": password}
        token = shop.served.ask("POST", "/api/v1/auth/login", key=None, json=shown).json["access_token"]
        statuses.append(shop.served.ask(
            "POST", f"/api/v1/inbox/{item['id']}/decide", key=None, headers={"authorization": f"Bearer {token}"},
            json={"hash": item["hash"], "approved": True},
        ).status)  # fmt: skip
    assert statuses == [403, 200]


def test_who_was_not_asked_passes_no_question_over_by_steering(shop):
    operator = key_of(shop, "operator")
    run, _item = asked(shop, "shop.owners")
    for verb, body in (
        ("skip", {"output": {"approved": True}}),
        ("skip", {"path": "/do", "output": 1}),
        ("skip", {"path": "/do/0/ask", "output": {"approved": True}}),
    ):
        answer = shop.served.ask("POST", f"/api/v1/runs/{run}/{verb}", key=operator, json=body)
        assert answer.status == 403, (verb, answer)
    job = {"verb": "skip", "runs": [run], "output": {"approved": True}}
    done = shop.served.ask("POST", "/api/v1/runs/bulk", key=operator, json=job).json
    assert (done["done"], done["failed"]) == (1, 1)
    assert status(shop, run) == "waiting"
    admin = key_of(shop, "admin")
    answer = shop.served.ask("POST", f"/api/v1/runs/{run}/skip", key=admin, json={"path": "/do/0/ask", "output": 1})
    assert answer.status == 200, answer
