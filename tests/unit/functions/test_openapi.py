"""`call: openapi` against local servers (language.md B3)."""

import json

import pytest
from aiohttp import web

from perdure.adapters.egress import HttpEgress
from perdure.functions.authentication import Authenticator
from perdure.functions.openapi import OpenApi
from perdure.ports.function import FunctionFault
from tests.servers.calls import context, handle
from tests.servers.recorder import recording
from tests.servers.stand_ins import stand_ins

HERE = "https://docs.example/api.json"


def document(url, operation, path="/a", method="post", **more):
    return {
        "openapi": "3.1.0",
        "servers": [{"url": url}],
        "paths": {path: {method: {"operationId": "op", **operation}}},
        **more,
    }


async def called(openapi, made, parameters=None, secrets=None, **more):
    arguments = {"document": {"endpoint": {"uri": HERE}}, "operationId": "op", "parameters": parameters or {}, **more}
    return await openapi.execute(arguments, context(secrets, resources={HERE: made}))


async def faulted(openapi, made, parameters=None, **more):
    with pytest.raises(FunctionFault) as caught:
        await called(openapi, made, parameters, **more)
    return caught.value.problem


async def test_the_petstore_of_the_conformance_kit(clock):
    async with stand_ins() as hosts:
        egress = HttpEgress(mapping=hosts)
        openapi = OpenApi(Authenticator(egress, clock))
        call = {"document": {"endpoint": {"uri": "https://petstore.swagger.io/v2/swagger.json"}}}
        pets = await openapi.execute(
            {**call, "operationId": "findPetsByStatus", "parameters": {"status": "available"}}, context()
        )
        pet = await openapi.execute(
            {**call, "operationId": "getPetById", "parameters": {"petId": 1}, "output": "response"}, context()
        )
        await egress.close()
    assert [found["id"] for found in pets] == [1, 3]
    assert pet["content"]["name"] == "Milou"
    assert pet["request"]["uri"] == "https://petstore.swagger.io/v2/pet/1"
    assert repr(openapi) == "OpenApi(0 pinned, 1 fetched documents)"


async def test_parameters_go_to_their_places(openapi):
    operation = {
        "parameters": [
            {"name": "id", "in": "path", "required": True},
            {"name": "q", "in": "query"},
            {"name": "X-Trace", "in": "header"},
            {"name": "c", "in": "cookie"},
            {"name": "d", "in": "cookie"},
            {"name": "lang", "in": "query", "required": True, "schema": {"default": "en"}},
            {"name": "Accept", "in": "header"},
        ]
    }
    async with recording() as server:
        made = document(server.url + "/v1", operation, path="/things/{id}", method="get")
        given = {"id": "a/b", "q": [1, 2], "x-trace": "t", "c": 1, "d": 2, "Accept": "x/y"}
        await called(openapi, made, given)
        asked = server.asked[0]
    assert (asked.method, asked.target) == ("GET", "/v1/things/a%2Fb?q=1&q=2&lang=en")
    assert asked.headers["x-trace"] == "t"
    assert asked.headers["cookie"] == "c=1; d=2"
    assert asked.headers["accept"] == "*/*"
    assert "idempotency-key" not in asked.headers


JSON_BODY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}, "required": True}
SCHEMAS = {
    "components": {
        "schemas": {
            "Pet": {"allOf": [{"properties": {"name": {}}}, {"$ref": "#/components/schemas/More"}]},
            "More": {"properties": {"age": {}}, "anyOf": [{"$ref": "#/components/schemas/Pet"}]},
        }
    }
}


@pytest.mark.parametrize(
    ("body", "parameters", "sent", "kind"),
    [
        (JSON_BODY, {"body": {"name": "x"}}, b'{"name":"x"}', "application/json"),
        (JSON_BODY, {"name": "x", "age": 3}, b'{"name":"x","age":3}', "application/json"),
        (JSON_BODY, {"body": "text"}, b'"text"', "application/json"),
        (
            {"content": {"application/x-www-form-urlencoded": {"schema": {"properties": {"a": {}, "b": {}}}}}},
            {"a": "x y", "b": [1, 2]},
            b"a=x+y&b=1&b=2",
            "application/x-www-form-urlencoded",
        ),
        ({"content": {"text/plain": {}}}, {"body": "hello"}, b"hello", "text/plain"),
        (
            {"content": {"application/xml": {}, "application/vnd.a+json": {}}},
            {"body": [1]},
            b"[1]",
            "application/vnd.a+json",
        ),
        ({"content": {"application/xml": {}}}, {"body": "<a/>"}, b"<a/>", "application/xml"),
        ({"content": {"*/*": {}}}, {"body": {"a": 1}}, b'{"a":1}', "application/json"),
        ({"content": {"application/json": {}}}, {}, b"", None),
    ],
)
async def test_bodies(openapi, body, parameters, sent, kind):
    async with recording() as server:
        await called(openapi, document(server.url, {"requestBody": body}, **SCHEMAS), parameters)
        asked = server.asked[0]
    assert (asked.body, asked.headers.get("content-type")) == (sent, kind)
    assert asked.headers["idempotency-key"] == "key-1"


async def test_a_body_property_called_body_is_a_property(openapi):
    schema = {"properties": {"body": {}, "to": {}}}
    operation = {"requestBody": {"content": {"application/json": {"schema": schema}}}}
    async with recording() as server:
        await called(openapi, document(server.url, operation), {"body": "text", "to": "x"})
    assert json.loads(server.asked[0].body) == {"body": "text", "to": "x"}


async def test_multipart_with_a_file(openapi):
    operation = {"requestBody": {"content": {"multipart/form-data": {"schema": {"properties": {"f": {}, "n": {}}}}}}}
    async with recording() as server:
        await called(openapi, document(server.url, operation), {"f": {"filename": "a.txt", "content": "aGk="}, "n": 1})
    assert server.asked[0].headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'filename="a.txt"' in server.asked[0].body


def swagger(url, parameters, **more):
    host = url.removeprefix("http://")
    return {
        "swagger": "2.0",
        "host": host,
        "schemes": ["http"],
        "paths": {"/a": {"post": {"operationId": "op", "parameters": parameters, **more}}},
    }


WHOLE = {"name": "pet", "in": "body", "required": True, "schema": {"properties": {"name": {}}}}


@pytest.mark.parametrize(
    ("declared", "parameters", "sent", "kind"),
    [
        ([WHOLE], {"pet": {"name": "x"}}, b'{"name":"x"}', "application/json"),
        ([WHOLE], {"body": {"name": "x"}}, b'{"name":"x"}', "application/json"),
        ([WHOLE], {"name": "x"}, b'{"name":"x"}', "application/json"),
        (
            [{"name": "a", "in": "formData", "type": "string"}],
            {"a": "x y"},
            b"a=x+y",
            "application/x-www-form-urlencoded",
        ),
        ([{"name": "a", "in": "formData", "type": "string"}], {}, b"", None),
    ],
)
async def test_swagger_bodies(openapi, declared, parameters, sent, kind):
    async with recording() as server:
        await called(openapi, swagger(server.url, declared), parameters)
    assert (server.asked[0].body, server.asked[0].headers.get("content-type")) == (sent, kind)


async def test_swagger_files_are_multipart(openapi):
    declared = [{"name": "f", "in": "formData", "type": "file"}]
    async with recording() as server:
        await called(openapi, swagger(server.url, declared), {"f": {"filename": "a", "content": "aGk="}})
    assert server.asked[0].headers["content-type"].startswith("multipart/form-data")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "op needs the parameters id, q, body."),
        ({"id": 1, "body": {}}, "op needs the parameter q."),
        ({"id": 1, "q": 1, "body": {}, "qq": 1}, "no parameter 'qq'. Did you mean q?"),
        ({"id": 1, "q": 1, "body": {}, "zebra": 1}, "It has id, q."),
        ({"id": "..", "q": 1, "body": {}}, "path parameter id"),
        ([], "must be an object"),
    ],
)
async def test_parameters_that_do_not_fit_are_validation_faults(openapi, parameters, said):
    operation = {
        "parameters": [{"name": "id", "in": "path", "required": True}, {"name": "q", "in": "query", "required": True}],
        "requestBody": {"required": True, "content": {"application/json": {}}},
    }
    arguments = {"document": {"endpoint": {"uri": HERE}}, "operationId": "op", "parameters": parameters or {}}
    if parameters == []:
        arguments["parameters"] = "x"
    with pytest.raises(FunctionFault) as caught:
        await openapi.execute(
            arguments, context(resources={HERE: document("http://127.0.0.1:8080", operation, path="/a/{id}")})
        )
    assert caught.value.problem["type"].endswith("/validation")
    assert said in caught.value.problem["detail"]


async def test_other_mistakes_are_told(openapi):
    plain = document("http://127.0.0.1:8080", {})
    assert "It has none" in (await faulted(openapi, plain, {"a": 1}))["detail"]
    assert "`output`" in (await faulted(openapi, plain, output="all"))["detail"]
    assert "`operationId`" in (await faulted(openapi, plain, operationId=None))["detail"]
    assert "no operation 'nope'" in (await faulted(openapi, plain, operationId="nope"))["detail"]
    path = document("http://127.0.0.1:8080", {}, path="/a/{b}")
    assert "does not declare" in (await faulted(openapi, path))["detail"]
    nothing = {"requestBody": {"content": {"application/xml": {}}}}
    assert (
        "application/xml"
        in (await faulted(openapi, document("http://127.0.0.1:8080", nothing), {"body": {}}))["detail"]
    )
    missing = swagger("http://127.0.0.1:8080", [WHOLE])
    assert "needs the parameter pet" in (await faulted(openapi, missing))["detail"]
    with pytest.raises(FunctionFault, match="must be an address"):
        await openapi.execute({"document": {"endpoint": 3}, "operationId": "a"}, context())


async def test_status_and_redirect_as_for_http(openapi):
    answer = lambda asked: web.Response(status=307, headers={"Location": "/b"})  # noqa: E731
    async with recording(answer) as server:
        assert (await faulted(openapi, document(server.url, {})))["status"] == 307
        whole = await called(openapi, document(server.url, {}), redirect=True, output="response")
        assert whole["statusCode"] == 307


KEYS = {
    "components": {"securitySchemes": {"k": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
    "security": [{"k": []}],
}


@pytest.mark.parametrize(
    ("parameters", "policy", "secrets"),
    [
        ({"X-Key": handle("s")}, None, {"s": "the-key"}),
        ({}, {"bearer": {"token": handle("s")}}, {"s": "the-key"}),
        ({}, {"bearer": handle("s")}, {"s": "the-key"}),
        ({}, {"bearer": handle("s")}, {"s": {"token": "the-key"}}),
    ],
)
async def test_api_keys(openapi, parameters, policy, secrets):
    async with recording() as server:
        more = {"authentication": policy} if policy else {}
        whole = await called(openapi, document(server.url, {}, **KEYS), parameters, secrets, output="response", **more)
        assert server.asked[0].headers["x-key"] == "the-key"
        assert "authorization" not in server.asked[0].headers
    assert whole["request"]["headers"]["x-key"] == "***"


async def test_other_policies_go_into_the_usual_header(openapi):
    async with recording() as server:
        basic = {"basic": {"username": "a", "password": "b"}}
        await called(openapi, document(server.url, {}, **KEYS), authentication=basic)
        await called(openapi, document(server.url, {}), authentication={"bearer": {"token": "t"}})
    assert [asked.headers["authorization"] for asked in server.asked] == ["Basic YTpi", "Bearer t"]


async def test_secrets_in_parameters_show_as_stars(openapi):
    operation = {"parameters": [{"name": "k", "in": "query"}, {"name": "id", "in": "path", "required": True}]}
    async with recording() as server:
        made = document(server.url, operation, path="/a/{id}")
        whole = await called(openapi, made, {"k": handle("s"), "id": 1}, {"s": "the-key"}, output="response")
        assert "the-key" in server.asked[0].target
    assert whole["request"]["uri"] == f"{server.url}/a/1?k=%2A%2A%2A"


async def test_parameters_that_are_a_secret_as_a_whole_show_nothing(openapi):
    operation = {"parameters": [{"name": "X-Key", "in": "header"}, {"name": "q", "in": "query"}]}
    async with recording() as server:
        given = {"all": {"X-Key": "the-key", "q": "the-query"}}
        whole = await called(openapi, document(server.url, operation), handle("all"), given, output="response")
        assert server.asked[0].target == "/a?q=the-query"
    assert (whole["request"]["uri"], whole["request"]["headers"]["x-key"]) == ("***", "***")
    assert "the-" not in str(whole)


async def test_a_document_is_indexed_once(openapi):
    async with recording() as server:
        made = document(server.url, {})
        await called(openapi, made)
        await called(openapi, made)
        assert repr(openapi) == "OpenApi(1 pinned, 0 fetched documents)"
        for _ in range(40):
            await called(openapi, document(server.url, {}))
    assert repr(openapi) == "OpenApi(32 pinned, 0 fetched documents)"


async def test_a_document_that_is_not_pinned_is_fetched_with_its_own_policy(openapi):
    def answer(asked):
        if asked.target == "/spec.yaml":
            right = asked.headers.get("authorization") == "Bearer d"
            text = json.dumps(document(f"http://{asked.headers['host']}", {}))
            return web.Response(text=text if right else "{", status=200)
        return web.json_response({"ok": True})

    async with recording(answer) as server:
        endpoint = {"uri": f"{server.url}/spec.yaml", "authentication": {"bearer": {"token": handle("d")}}}
        arguments = {"document": {"endpoint": endpoint}, "operationId": "op"}
        assert await openapi.execute(arguments, context({"d": "d"})) == {"ok": True}
        with pytest.raises(FunctionFault) as caught:
            await openapi.execute(arguments, context({"d": "wrong"}))
    assert caught.value.problem["type"].endswith("/configuration")


@pytest.mark.parametrize(
    ("method", "parameters", "effect"),
    [
        ("get", {}, "read"),
        ("put", {}, "idempotent"),
        ("post", {}, "unsafe"),
        ("post", {"Idempotency-Key": "k"}, "idempotent"),
    ],
)
def test_its_effect_is_that_of_the_operations_method(openapi, method, parameters, effect):
    arguments = {"document": {"endpoint": HERE}, "operationId": "op", "parameters": parameters}
    assert openapi.effect_of(arguments, {HERE: document("http://127.0.0.1:8080", {}, method=method)}) == effect


@pytest.mark.parametrize("arguments", [None, {}, {"document": {"endpoint": HERE}, "operationId": "none"}])
def test_its_effect_is_unsafe_while_the_operation_is_not_known(openapi, arguments):
    assert openapi.effect_of(arguments, {HERE: document("http://127.0.0.1:8080", {})}) == "unsafe"
    assert openapi.effect_of(arguments, {}) == "unsafe"
