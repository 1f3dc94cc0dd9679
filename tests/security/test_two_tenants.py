"""T7: what belongs to one tenant is not there for another: same answer, same words, same time as for what is nowhere."""

import json
import re
import statistics
import time
from typing import Any

import pytest

from tests.security.estate import CANARY, Estate, id_of
from tests.security.operations import Operation, example, operations
from tests.servers.platform import Answer


@pytest.fixture(scope="module")
def a(served) -> Estate:
    estate = Estate(served, "tenant-a")
    estate.furnish()
    return estate


@pytest.fixture(scope="module")
def b(served) -> Estate:
    return Estate(served, "tenant-b")


NOUN_OF = {
    "workflows": "workflow", "runs": "run", "schedules": "schedule", "webhooks": "webhook", "keys": "key", "users": "user",
    "projects": "project", "inbox": "item", "tenants": "tenant", "hooks": "webhook",
    "agents": "agent", "contexts": "context", "prompts": "prompt", "budgets": "budget",
}  # fmt: skip


def ids_for(operation: Operation, ids: dict[str, str]) -> dict[str, str]:
    noun = next(NOUN_OF[part] for part in reversed(operation.path.split("/{")[0].split("/")) if part in NOUN_OF)
    version = "1" if noun in {"agent", "prompt"} else "1.0.0"
    return {"id": ids[noun], "job": ids["bulk"], "version": version, "run": ids["execution"]}


def absent(ids: dict[str, str]) -> dict[str, str]:
    """Of the same shape, and nowhere: the last characters are others."""
    return {
        noun: re.sub(r"[0-9a-z]{4}$", "zzzz", id) if noun != "workflow" else "shop.zzzzzz" for noun, id in ids.items()
    }


def words(answer: Answer, *ids: str) -> tuple[int, str]:
    """What was answered, without the id that was asked for and that of the request."""
    text = answer.body.decode()
    for id in sorted(ids, key=len, reverse=True):
        text = text.replace(id, "ID")
    return answer.status, re.sub(r'"request":"[^"]+"', "", text)


def body_for(openapi: dict[str, Any], operation: Operation, estate_ids: dict[str, str]) -> Any:
    body = example(openapi, operation)
    if isinstance(body, dict):
        if "workflow" in body:
            body["workflow"] = estate_ids["workflow"]
        if "prompt" in body:
            body["prompt"] = None
        if "runs" in body:
            body["runs"] = [estate_ids["run"]]
    return body


def with_ids(openapi):
    return [
        one
        for one in operations(openapi)
        if "{" in one.path and not one.is_public and not one.path.startswith("/api/v1/me")
    ]


def test_every_operation_with_an_id_is_asked(openapi):
    assert len(with_ids(openapi)) > 35


def test_what_is_of_another_is_nowhere(openapi, a, b):
    before = a.state()
    nowhere = absent(a.ids)
    for operation in with_ids(openapi):
        body = body_for(openapi, operation, a.ids)
        theirs, none = ids_for(operation, a.ids), ids_for(operation, nowhere)
        query = operation.required_query()
        found = b.ask(operation.method, operation.at(**theirs) + query, json=body)
        missing = b.ask(operation.method, operation.at(**none) + query, json=body)
        if operation.permission.startswith("installation:"):
            assert found.status == missing.status == 403, operation.name
            continue
        assert found.status == 404, (operation.name, found)
        assert words(found, *theirs.values()) == words(missing, *none.values()), operation.name
        assert CANARY.encode() not in found.body
    assert a.state() == before


def test_ids_in_a_body_are_looked_up_like_any_other(openapi, a, b):
    """The same names stand in B's own requests: what they mean is B's, and B has none of it."""
    before = a.state()
    bodies = [
        ("/runs", {"workflow": "shop.orders"}), ("/runs", {"workflow": "shop.orders", "id": a.ids["run"]}),
        ("/schedules", {"workflow": "shop.orders", "cron": "0 0 1 1 *"}),
        ("/webhooks", {"name": "x", "workflow": "shop.orders"}),
    ]  # fmt: skip
    for path, body in bodies:
        answer = b.ask("POST", f"/api/v1{path}", json=body)
        assert answer.status == 404, (path, answer)
    job = id_of(b.made("/runs/bulk", {"verb": "cancel", "runs": [a.ids["run"]]}))
    until = time.monotonic() + 20
    while (told := b.ask("GET", f"/api/v1/runs/bulk/{job}").json)["state"] != "done" and time.monotonic() < until:
        pass
    assert (told["done"], told["failed"]) == (1, 1)
    decided = b.ask("POST", f"/api/v1/inbox/{a.ids['item']}/decide", json={"hash": "x"})
    assert decided.status == 404
    key = b.ask("POST", "/api/v1/keys", json={"name": "k", "role": "viewer", "project": a.ids["project"]})
    assert key.status in {404, 422}, key
    assert a.state() == before


def test_an_event_reaches_the_runs_of_its_tenant_only(a, b):
    before = a.state()
    event = {"specversion": "1.0", "id": "e-1", "source": "/x", "type": "dev.test.never", "data": {}}
    for more in ({}, {"tenant": "tenant-a"}):
        assert b.ask("POST", "/api/v1/events", json=event | more).status in {202, 422}
    assert a.state() == before
    assert a.ask("GET", f"/api/v1/runs/{a.ids['run']}").json["status"] in {"waiting", "running"}


def test_lists_and_cursors_of_another_show_nothing(openapi, a, b):
    cursors = [*a.ids.values(), "shop.a", "0", "1.0.0"]
    for operation in operations(openapi):
        names = {parameter["name"] for parameter in operation.spec.get("parameters", ())}
        if operation.method != "GET" or "cursor" not in names or "{" in operation.path:
            continue
        if operation.permission.startswith("installation:") or operation.path.startswith("/api/v1/me"):
            assert b.ask("GET", operation.path).status == 403
            continue
        for cursor in ["", *cursors]:
            answer = b.ask("GET", f"{operation.path}?limit=200" + (f"&cursor={cursor}" if cursor else ""))
            assert answer.status in {200, 404, 422}, (operation.name, cursor, answer)
            shown = answer.body.decode()
            assert CANARY not in shown, operation.name
            for noun in ("run", "schedule", "webhook", "key", "user", "item"):
                assert answer.status != 200 or a.ids[noun] not in shown, (operation.name, noun)


def test_filters_of_another_show_nothing(a, b):
    for query in (f"input=canary={CANARY}", "workflow=shop.orders", "status=waiting"):
        assert b.ask("GET", f"/api/v1/runs?{query}").json["items"] == []
    assert b.ask("GET", f"/api/v1/inbox?run={a.ids['run']}").json["items"] == []


def test_keys_of_a_request_do_not_meet(a, b):
    """One `Idempotency-Key` in two tenants is two keys."""
    headers = {"idempotency-key": "the-same-key"}
    first = a.ask("POST", "/api/v1/projects", json={"id": "p-key", "name": "A"}, headers=headers)
    second = b.ask("POST", "/api/v1/projects", json={"id": "p-key", "name": "B"}, headers=headers)
    assert first.status == second.status == 201
    assert "idempotency-replayed" not in second.headers and second.json["name"] == "B"


def test_a_stream_of_another_is_not_opened(a, b):
    answer = b.ask("GET", f"/api/v1/runs/{a.ids['run']}/stream", headers={"last-event-id": "1"})
    assert answer.status == 404 and answer.headers["content-type"] == "application/problem+json"


def test_what_is_nowhere_takes_as_long(a, b):
    """A class of time, not a proof: many asks, medians near one another."""

    def median(path: str) -> float:
        took = []
        for _ in range(25):
            began = time.perf_counter()
            b.ask("GET", path)
            took.append(time.perf_counter() - began)
        return statistics.median(took)

    nowhere = absent(a.ids)
    for noun, path in {
        "run": "runs",
        "schedule": "schedules",
        "webhook": "webhooks",
        "item": "inbox",
        "user": "users",
    }.items():
        theirs, none = median(f"/api/v1/{path}/{a.ids[noun]}"), median(f"/api/v1/{path}/{nowhere[noun]}")
        assert abs(theirs - none) < max(0.005, min(theirs, none)), (noun, theirs, none)


def test_tokens_that_are_over_are_nobody_everywhere(served, openapi, a):
    """Of a user who signed out, of another installation, and with claims that were changed."""
    user = {"email": "token@example.com", "role": "owner", "password": "correct horse 9 staple"}
    assert a.ask("POST", "/api/v1/users", json=user).status == 201
    given = {"tenant": a.tenant, "email": user["email"], "password": user["password"]}
    granted = served.ask("POST", "/api/v1/auth/login", key=None, json=given).json
    token = next(value for name, value in granted.items() if "access" in name)
    bearer = {"authorization": f"Bearer {token}"}
    assert served.ask("GET", "/api/v1/me", key=None, headers=bearer).status == 200
    assert served.ask("POST", "/api/v1/auth/logout", key=None, json={"everywhere": True}, headers=bearer).status == 204
    head, claims, signature = token.split(".")
    none = "eyJhbGciOiJub25lIn0"
    deadline = time.monotonic() + 10
    while served.ask("GET", "/api/v1/me", key=None, headers=bearer).status == 200 and time.monotonic() < deadline:
        pass  # trusted for a few seconds without asking again
    for dead in (token, f"{head}.{claims}.{signature[:-4]}AAAA", f"{none}.{claims}.", f"{head}.{claims}x.{signature}"):
        for operation in operations(openapi):
            if not operation.is_public:
                answer = served.ask(
                    operation.method, operation.at(), key=None, headers={"authorization": f"Bearer {dead}"}
                )
                assert answer.status in {401, 429}, (operation.name, answer)


def test_the_record_of_a_tenant_is_its_own(a, b, served):
    wrong = {"tenant": a.tenant, "email": "nobody@example.com", "password": "wrong wrong wrong"}
    assert served.ask("POST", "/api/v1/auth/login", key=None, json=wrong).status == 401
    assert json.dumps(b.ask("GET", "/api/v1/sign-ins").json).count("nobody@example.com") == 0
