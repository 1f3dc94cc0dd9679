"""Two projects of one tenant: for a key that is bound to one, what belongs to the other is nowhere, and the tenant is closed."""

import pytest

from tests.security.estate import APPROVAL, CANARY, Estate, id_of
from tests.security.operations import PUBLIC, WORKFLOW, operations
from tests.security.test_two_tenants import absent, body_for, ids_for, words

REACHING = WORKFLOW.replace(
    "hold:", "other: {run: {workflow: {namespace: shop, name: orders, version: 1.0.0}}}\n  - hold:"
)
NONE_OF_A_PROJECT = {"user", "project", "prompt", "budget", "tenant"}
"""Nouns that are the whole tenant's."""


class Bound(Estate):
    """What a key that is bound to a project made, and finds."""

    def __init__(self, owner: Estate, project: str) -> None:
        self.served, self.tenant = owner.served, owner.tenant
        self.ids = {"project": project, "tenant": owner.tenant}
        if project:
            owner.made("/projects", {"id": project, "name": project})
        made = owner.made("/keys", {"name": project, "role": "admin", "project": project})
        self.key = made["secret"]

    def publish(self, text: str):
        text = text.replace("CANARY", CANARY)
        return self.ask("POST", "/api/v1/workflows", body=text.encode(), headers={"content-type": "application/yaml"})

    def furnish(self) -> None:
        for text in (WORKFLOW.replace("NAMESPACE", "shop").replace("NAME", "orders"), APPROVAL):
            assert self.publish(text).status == 201
        self.ids["workflow"] = "shop.orders"
        self.ids["run"] = self.made("/runs", {"workflow": "shop.orders", "input": {"canary": CANARY}})["id"]
        self.made("/runs", {"workflow": "shop.asks"})
        nouns = {
            "schedule": ("/schedules", {"workflow": "shop.orders", "cron": "0 0 1 1 *"}),
            "webhook": ("/webhooks", {"name": CANARY, "workflow": "shop.orders"}),
            "key": ("/keys", {"name": CANARY, "role": "viewer"}),
            "agent": ("/agents", {"name": "clerk", "instruction": CANARY}),
            "bulk": ("/runs/bulk", {"verb": "cancel", "runs": ["none-of-these"]}),
        }
        for noun, (path, body) in nouns.items():
            answer = self.made(path, body)
            self.ids[noun] = answer.get("agent") or id_of(answer)
        said = self.made("/agents/clerk/chat", {"message": CANARY, "wait": False})
        self.ids["execution"], self.ids["context"] = said["run"], said["context"]
        self.ids["item"] = self._item()

    def state(self):
        return {
            path: self.ask("GET", f"/api/v1{path}").json["items"]
            for path in ("/workflows", "/runs", "/schedules", "/webhooks", "/inbox", "/agents", "/contexts")
        }


@pytest.fixture(scope="module")
def owner(served) -> Estate:
    return Estate(served, "projects")


@pytest.fixture(scope="module")
def shop(owner) -> Bound:
    made = Bound(owner, "shop")
    made.furnish()
    return made


@pytest.fixture(scope="module")
def mail(owner, shop) -> Bound:
    return Bound(owner, "mail")


def kept(openapi):
    return [one for one in operations(openapi) if one.spec.get("x-perdure-project")]


def test_what_is_about_the_whole_tenant_is_closed(openapi, mail):
    closed = [one for one in operations(openapi) if not one.spec.get("x-perdure-project") and one.name not in PUBLIC]
    assert len(closed) > 25
    for operation in closed:
        answer = mail.ask(operation.method, operation.at(), json={} if operation.media else None)
        assert answer.status == 403, (operation.name, answer)


def test_what_is_of_another_project_is_nowhere(openapi, shop, mail):
    before, asked = shop.state(), 0
    ids = {noun: shop.ids.get(noun, "nothing") for noun in [*shop.ids, *NONE_OF_A_PROJECT]}
    nowhere = absent(ids)
    for operation in kept(openapi):
        if "{" not in operation.path:
            continue
        theirs, none = ids_for(operation, ids), ids_for(operation, nowhere)
        query, body = operation.required_query(), body_for(openapi, operation, ids)
        found = mail.ask(operation.method, operation.at(**theirs) + query, json=body)
        missing = mail.ask(operation.method, operation.at(**none) + query, json=body)
        assert found.status == 404, (operation.name, found)
        assert words(found, *theirs.values()) == words(missing, *none.values()), operation.name
        assert CANARY.encode() not in found.body
        asked += 1
    assert asked > 35
    assert shop.state() == before


def test_lists_show_the_project_only(openapi, owner, shop, mail):
    for operation in kept(openapi):
        if operation.method == "GET" and "{" not in operation.path and not operation.path.endswith("/me"):
            answer = mail.ask("GET", operation.path)
            assert answer.status == 200, operation.name
            assert CANARY.encode() not in answer.body
            assert b"shop" not in answer.body
    for noun in ("workflows", "runs", "schedules", "webhooks", "inbox"):
        path = f"/api/v1/{noun}"
        assert owner.ask("GET", f"{path}?project=mail").json["items"] == []
        assert (
            len(owner.ask("GET", f"{path}?project=shop").json["items"]) == len(shop.ask("GET", path).json["items"]) > 0
        )
        assert mail.ask("GET", f"{path}?project=shop").status == 404


def test_ids_in_a_body_stay_in_the_project(shop, mail):
    before = shop.state()
    refused = [
        ("/runs", {"workflow": "shop.orders"}), ("/workflows/execute", {"workflow": "shop.orders"}),
        ("/schedules", {"workflow": "shop.orders", "cron": "0 0 1 1 *"}),
        ("/webhooks", {"name": "x", "workflow": "shop.orders"}),
        ("/runs/bulk", {"verb": "cancel", "select": {"workflow": "shop.orders"}}),
        ("/agents", {"name": "thief", "instruction": "x", "tools": [{"workflow": "shop.orders"}]}),
        ("/agents", {"name": "thief", "instruction": "x", "tools": [{"agent": "clerk"}]}),
        ("/agents", {"name": "thief", "instruction": "x", "handover": ["clerk"]}),
        ("/agents/clerk/chat", {"message": "hello", "context": shop.ids["context"]}),
    ]  # fmt: skip
    for path, body in refused:
        assert mail.ask("POST", f"/api/v1{path}", json=body).status == 404, path
    assert mail.ask("POST", "/api/v1/webhooks", json={"name": "x", "event": "any.thing"}).status == 403
    assert mail.ask("POST", "/api/v1/keys", json={"name": "x", "role": "viewer", "project": "shop"}).status == 403
    job = mail.made("/runs/bulk", {"verb": "cancel", "runs": [shop.ids["run"]]})
    assert (job["done"], job["failed"]) == (1, 1)
    mail.made("/runs/bulk", {"verb": "cancel", "select": {}})
    assert shop.state() == before


def test_what_is_published_is_of_the_project_and_stays_in_it(shop, mail):
    for text in (WORKFLOW.replace("NAMESPACE", "shop"), REACHING.replace("NAMESPACE", "mail")):
        answer = mail.publish(text.replace("NAME", "fresh"))
        assert answer.status == 403, answer
        assert "bound to the project mail" in answer.json["detail"]
    assert mail.publish(WORKFLOW.replace("NAMESPACE", "mail").replace("NAME", "fresh")).status == 201
    run = mail.made("/runs", {"workflow": "mail.fresh"})["id"]
    assert [one["id"] for one in mail.ask("GET", "/api/v1/runs").json["items"]] == [run]
    assert mail.ask("GET", f"/api/v1/runs/{run}").status == 200
    assert shop.ask("GET", f"/api/v1/runs/{run}").status == 404
