"""OpenAPI documents: index, references, servers, and what is wrong with them."""

import time

import pytest

from perdure.errors import Invalid
from perdure.functions.openapi_document import Api, parse
from perdure.ports.function import FunctionFault

HERE = "https://docs.example/specs/api.json"


def three(paths, **more):
    return Api({"openapi": "3.1.0", "paths": paths, **more}, HERE)


def two(**more):
    return Api({"swagger": "2.0", "paths": {"/a": {"get": {"operationId": "a"}}}, **more}, HERE)


def test_operations_are_found_by_id():
    api = three({"/a": {"get": {"operationId": "getA"}, "post": {"operationId": "postA"}, "x": 1}, "/b": {}, "x-c": 3})
    assert (api.operation("postA").method, api.operation("postA").path) == ("POST", "/a")
    with pytest.raises(FunctionFault, match="Did you mean getA"):
        api.operation("geta")
    with pytest.raises(FunctionFault, match="It has 2 operations"):
        api.operation("zzzz")
    assert repr(api) == f"Api({HERE}, 2 operations)"


def test_an_id_that_stands_twice_is_told_only_when_it_is_called():
    api = three({"/a": {"get": {"operationId": "x"}}, "/b": {"get": {"operationId": "x"}, "put": {"operationId": "y"}}})
    assert api.operation("y").path == "/b"
    with pytest.raises(FunctionFault, match="several operations 'x'"):
        api.operation("x")


def test_references_within_the_document():
    api = three(
        {"/a": {"$ref": "#/components/pathItems/shared", "summary": "own"}, "/b": {"$ref": "other.yaml#/b"}},
        components={
            "pathItems": {
                "shared": {"get": {"operationId": "a", "parameters": [{"$ref": "#/components/parameters/p~1q"}]}}
            },
            "parameters": {"p/q": {"name": "p", "in": "query"}},
            "loop": {"$ref": "#/components/loop"},
            "list": [{"x": 1}],
        },
    )
    assert api.parameters(api.operation("a")) == [{"name": "p", "in": "query"}]
    assert api.resolved({"$ref": "#/components/list/0"}) == {"x": 1}
    assert api.resolved({"$ref": "#"}) is api.document
    for reference, said in (
        ("#/components/loop", "in a circle"),
        ("#/nowhere", "which it does not have"),
        ("#/components/list/7", "which it does not have"),
        ("other.json#/x", "outside of itself"),
    ):
        with pytest.raises(FunctionFault, match=said):
            api.resolved({"$ref": reference})


def test_parameters_of_the_operation_come_before_those_of_the_path():
    api = three(
        {
            "/a/{id}": {
                "parameters": [{"name": "id", "in": "path"}, {"name": "q", "in": "query", "style": "form"}, 7],
                "get": {"operationId": "a", "parameters": [{"name": "q", "in": "query", "style": "deepObject"}]},
            }
        }
    )
    found = api.parameters(api.operation("a"))
    assert [(one["name"], one.get("style")) for one in found] == [("id", None), ("q", "deepObject")]


@pytest.mark.parametrize(
    ("servers", "address"),
    [
        (None, "https://docs.example"),
        ([], "https://docs.example"),
        ([{"url": "https://api.example/v1/"}, {"url": "https://other/"}], "https://api.example/v1"),
        ([{"url": "../v2"}], "https://docs.example/v2"),
        ([{"url": "/v3"}], "https://docs.example/v3"),
        (
            [
                {
                    "url": "https://{region}.example:{port}/",
                    "variables": {"region": {"default": "eu"}, "port": {"default": 8443}},
                }
            ],
            "https://eu.example:8443",
        ),
    ],
)
def test_servers(servers, address):
    api = three({"/a": {"get": {"operationId": "a"}}}, **({} if servers is None else {"servers": servers}))
    assert api.server(api.operation("a")) == address


def test_servers_of_operation_and_path_come_first():
    api = three(
        {
            "/a": {
                "servers": [{"url": "https://path/"}],
                "get": {"operationId": "a", "servers": [{"url": "https://op/"}]},
            },
            "/b": {"servers": [{"url": "https://path/"}], "get": {"operationId": "b"}},
        },
        servers=[{"url": "https://whole/"}],
    )
    assert [api.server(api.operation(id)) for id in ("a", "b")] == ["https://op", "https://path"]


def test_a_server_variable_without_a_default_is_told():
    api = three({"/a": {"get": {"operationId": "a"}}}, servers=[{"url": "https://{x}/"}])
    with pytest.raises(FunctionFault, match="without a default"):
        api.server(api.operation("a"))


@pytest.mark.parametrize(
    ("more", "address"),
    [
        ({"host": "api.example", "basePath": "/v2", "schemes": ["http", "https"]}, "https://api.example/v2"),
        ({"host": "api.example", "schemes": ["http"]}, "http://api.example"),
        ({"basePath": "/v2"}, "https://docs.example/v2"),
        ({"host": "api.example", "schemes": ["ws"]}, "https://api.example"),
    ],
)
def test_swagger_servers(more, address):
    api = two(**more)
    assert api.server(api.operation("a")) == address


def test_api_keys_are_found():
    schemes = {"k": {"type": "apiKey", "in": "query", "name": "key"}, "o": {"type": "oauth2"}}
    api = three(
        {"/a": {"get": {"operationId": "a", "security": [{"k": []}, {"o": []}]}}},
        components={"securitySchemes": schemes},
    )
    assert api.keys(api.operation("a")) == [{"name": "key", "in": "query", "x-key": True}]
    swagger = two(securityDefinitions={"k": {"type": "apiKey", "in": "header", "name": "X-Key"}}, security=[{"k": []}])
    assert swagger.keys(swagger.operation("a")) == [{"name": "X-Key", "in": "header", "x-key": True}]


@pytest.mark.parametrize("document", [[], {"paths": {}}, {"openapi": "3.1.0"}, {"openapi": "4.0", "paths": {}}, "x"])
def test_what_is_no_openapi_document_is_told(document):
    with pytest.raises(FunctionFault, match="is no Open") as caught:
        Api(document, HERE)
    assert caught.value.problem["type"].endswith("/configuration")


def test_texts_are_parsed():
    assert parse(b' {"a": 1}', HERE) == {"a": 1}
    assert parse(b"a: 1\n", HERE) == {"a": 1}
    for text in (b"{", b"a: [", b"[" * 100_000):
        with pytest.raises(Invalid, match="docs.example"):
            parse(text, HERE)


def test_a_large_document_is_indexed_fast():
    paths = {f"/a/{n}": {"get": {"operationId": f"get{n}", "parameters": [{"$ref": "#/x"}]}} for n in range(20_000)}
    started = time.process_time()
    api = three(paths)
    assert api.operation("get19999").path == "/a/19999"
    assert time.process_time() - started < 1.0
