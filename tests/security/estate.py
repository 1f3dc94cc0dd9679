"""A tenant with one of everything, and the ids of it."""

import time
from typing import Any

from tests.security.operations import WORKFLOW
from tests.servers.platform import Answer, Served

CANARY = "canary-of-tenant-a"
APPROVAL = """\
document: {dsl: 1.0.3, namespace: shop, name: asks, version: 1.0.0}
do:
  - ask: {call: approve, with: {title: CANARY, details: {order: 17}}}
"""


class Estate:
    """A tenant with one of everything, and the ids of it."""

    def __init__(self, served: Served, tenant: str) -> None:
        self.served = served
        made = served.ask("POST", "/api/v1/tenants", json={"id": tenant, "name": tenant.upper()})
        assert made.status == 201, made
        self.tenant = tenant
        self.key: str = made.json["owner_key"]
        self.ids: dict[str, str] = {}

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        return self.served.ask(method, path, key=self.key, **more)

    def made(self, path: str, body: Any) -> Any:
        answer = self.ask("POST", f"/api/v1{path}", json=body)
        assert 200 <= answer.status < 300, (path, answer)
        return answer.json

    def furnish(self) -> None:
        text = WORKFLOW.replace("NAMESPACE", "shop").replace("NAME", "orders").replace("CANARY", CANARY)
        for document in (text, APPROVAL.replace("CANARY", CANARY)):
            published = self.ask(
                "POST", "/api/v1/workflows", body=document.encode(), headers={"content-type": "application/yaml"}
            )
            assert published.status == 201, published
        self.ids["workflow"] = "shop.orders"
        run = self.made("/runs", {"workflow": "shop.orders", "input": {"canary": CANARY}})
        self.ids["run"] = run.get("run") or run["id"]
        self.made("/runs", {"workflow": "shop.asks"})
        nouns = {
            "schedule": ("/schedules", {"workflow": "shop.orders", "cron": "0 0 1 1 *"}),
            "webhook": ("/webhooks", {"name": CANARY, "workflow": "shop.orders"}),
            "key": ("/keys", {"name": CANARY, "role": "viewer"}),
            "user": (
                "/users",
                {"email": f"{CANARY}@example.com", "role": "viewer", "password": "correct horse 9 staple"},
            ),
            "project": ("/projects", {"id": "p-of-a", "name": CANARY}),
            "agent": ("/agents", {"name": "clerk", "instruction": CANARY}),
            "prompt": ("/prompts", {"name": "greet", "text": CANARY}),
            "budget": ("/budgets", {"scope": "agent", "amount": 100, "name": CANARY}),
            "bulk": ("/runs/bulk", {"verb": "cancel", "runs": ["none-of-these"]}),
        }
        for noun, (path, body) in nouns.items():
            answer = self.made(path, body)
            self.ids[noun] = answer["name"] if noun == "prompt" else answer.get("agent") or id_of(answer)
        said = self.made("/agents/clerk/chat", {"message": CANARY, "wait": False})
        self.ids["execution"], self.ids["context"] = said["run"], said["context"]
        self.ids["item"] = self._item()
        self.ids["tenant"] = self.tenant

    def _item(self) -> str:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            items = self.ask("GET", "/api/v1/inbox").json["items"]
            if items:
                return items[0]["id"]
        raise AssertionError("no question came into the inbox")

    def state(self) -> dict[str, Any]:
        """Everything of it that another could have changed or left a trace in."""
        kept = {}
        for path in ("/workflows", "/workflows/shop.orders/versions", "/runs", "/schedules", "/webhooks", "/keys", "/users",
                     "/projects", "/inbox", "/sign-ins", "/agents", "/agents/clerk/versions", "/prompts", "/budgets", f"/runs/{self.ids['run']}/history"):  # fmt: skip
            items = self.ask("GET", f"/api/v1{path}").json["items"]
            kept[path] = [{k: v for k, v in item.items() if k not in {"last_used", "used"}} for item in items]
        return kept


def id_of(answer: Any) -> str:
    for part in (answer, *(value for value in answer.values() if isinstance(value, dict))):
        for name in ("id", "job"):
            if isinstance(part.get(name), str):
                return part[name]
    raise AssertionError(answer)
