"""S3, S4, S5: every route asks who calls before it reads a byte, and reads only what it says it reads."""

import http.client

import pytest

from tests.security.operations import PUBLIC, PUBLIC_OUTSIDE, example, operations

HOSTILE = ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "%00", "a%00b", "..%5c..%5c", "a%0d%0ab", "%c0%ae%c0%ae",
           "'%20OR%201=1--", "%24%7bjndi:x%7d", "\u0663".encode().hex(), "x" * 5000]  # fmt: skip
"""Ids with the shape of a path or of a sentence of another language."""


def test_the_list_of_public_operations_is_this_one(openapi):
    listed = operations(openapi)
    assert len(listed) > 60, "the walk saw the tree and not only its trunk"
    assert {one.name for one in listed if one.is_public} == PUBLIC
    assert all(one.is_public or one.permission for one in listed)


def test_what_is_public_beside_the_api(served):
    for path in PUBLIC_OUTSIDE:
        assert served.ask("GET", path, key=None).status == 200, path
    for path in ("/docs", "/redoc", "/openapi.json", "/api/v1/docs", "/", "/api", "/api/v1", "/.env", "/static/x"):
        assert served.ask("GET", path, key=None).status == 404, path


def test_a_stranger_gets_401_everywhere_whatever_the_body(served, openapi):
    bodies = [(b"", ""), (b"{", "application/json"), (b"\xff\xfe", "application/json"), (b"--x", "multipart/form-data"),
              (b"x" * 2_000_000, "text/plain"), (b"[" * 50_000, "application/json")]  # fmt: skip
    for operation in operations(openapi):
        if operation.is_public:
            continue
        for body, media in bodies if operation.method in {"POST", "PATCH", "PUT"} else [(None, "")]:
            headers = {"content-type": media} if media else {}
            answer = served.ask(operation.method, operation.at(), key=None, body=body, headers=headers)
            assert answer.status == 401, (operation.name, media, answer)
            assert answer.json["code"] == "unauthenticated"


def test_a_stranger_is_answered_before_his_body_is_there(served):
    """The headers promise a body that never comes: an answer that comes anyway did not wait for it."""
    connection = http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/api/v1/workflows")
    connection.putheader("content-type", "application/yaml")
    connection.putheader("content-length", "1000")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 401
    connection.close()


@pytest.mark.parametrize("key", ["", "x", "pdk_", "pdk_" + "A" * 43, "' OR '1'='1", "null", "undefined", "x" * 10_000])
def test_hostile_keys_are_401(served, key):
    answer = served.ask("GET", "/api/v1/me", key=None, headers={"x-api-key": key})
    assert answer.status == 401


def test_every_permission_is_asked_for(served, openapi):
    """A viewer may do exactly what his permissions say, on every operation."""
    made = served.ask("POST", "/api/v1/keys", json={"name": "viewer", "role": "viewer"})
    viewer = made.json["secret"]
    may = set(served.ask("GET", "/api/v1/me", key=viewer).json["permissions"]) | {"self"}
    refused = 0
    for operation in operations(openapi):
        if operation.is_public or operation.permission in may:
            continue
        answer = served.ask(operation.method, operation.at(), key=viewer, body=b"", headers={"content-length": "0"})
        assert (answer.status, answer.json["code"]) == (403, "denied"), operation.name
        refused += 1
    assert refused > 25


def test_no_public_operation_takes_a_definition(openapi):
    """S4: what runs was published before, by somebody who may."""
    for operation in operations(openapi):
        if not operation.is_public:
            continue
        assert "application/yaml" not in operation.media
        text = str(operation.spec.get("requestBody", {}))
        assert not {"document", "definition", "tasks"} & set(text.replace("'", " ").split()), operation.name


def test_a_definition_at_a_public_operation_starts_nothing(served, openapi):
    document = {
        "document": {"dsl": "1.0.3", "namespace": "evil", "name": "x", "version": "1.0.0"},
        "do": [{"a": {"set": {}}}],
    }
    for operation in operations(openapi):
        if operation.is_public and operation.method == "POST":
            for body in (document, {"workflow": document, "definition": document}):
                assert 400 <= served.ask("POST", operation.at(), key=None, json=body).status < 500, operation.name
    assert served.ask("GET", "/api/v1/runs").json["items"] == []
    assert served.ask("GET", "/api/v1/workflows/evil.x").status == 404


@pytest.mark.parametrize(
    "media", ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_a_body_of_another_type_is_415_everywhere(served, openapi, media):
    """S5. Where a body of any type is an event's data, only who may send it is asked."""
    asked = 0
    for operation in operations(openapi):
        if not operation.media or "*/*" in operation.media:
            continue
        headers = {"content-type": media} if media else {}
        answer = served.ask(operation.method, operation.at(), body=b"--x\r\n", headers=headers)
        assert answer.status == 415, (operation.name, media, answer)
        asked += 1
    assert asked > 20


def test_ids_with_the_shape_of_a_path_are_nowhere(served, openapi):
    for operation in operations(openapi):
        if "{" not in operation.path or operation.is_public:
            continue
        for hostile in HOSTILE:
            path = operation.path.replace("{id}", hostile).replace("{job}", hostile).replace("{version}", hostile)
            body = example(openapi, operation)
            answer = served.ask(operation.method, path + operation.required_query(), json=body)
            refused = {400, 403, 404, 405, 422} if operation.path.startswith("/api/v1/me") else {400, 404, 405, 422}
            assert answer.status in refused, (operation.name, hostile, answer)
            assert b"Traceback" not in answer.body and b"root:" not in answer.body
