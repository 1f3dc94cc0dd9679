"""The table of routes: found whole, guarded all."""

import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute

from perdure.errors import Bug
from perdure.gateway.routing import Table
from perdure.ports.edge import permission, public
from tests.unit.gateway.world import World


async def plain(request: Request) -> Response:
    return PlainTextResponse(f"plain {request.path_params}")


def marked(route):
    route.openapi_extra = permission("notes:read")
    return route


def table(*routes) -> Table:
    router = APIRouter()
    router.routes.extend(routes)
    api = FastAPI(openapi_url=None)
    api.include_router(router, prefix="/p")
    return Table(api.routes)


def test_literal_segments_go_before_parameters():
    async def endpoint() -> None: ...

    router = APIRouter()
    for method, path in [
        ("GET", "/{id}"),
        ("GET", "/validate"),
        ("POST", "/validate"),
        ("GET", "/{id}/x"),
        ("PUT", "/a/{b}"),
    ]:
        router.add_api_route(path, endpoint, methods=[method], openapi_extra=permission("x"))
    api = FastAPI(openapi_url=None)
    api.include_router(router)
    found = Table(api.routes)

    def path_of(method, path):
        entry, parameters, allowed = found.find(method, path)
        return (entry.path, parameters) if entry else sorted(allowed)

    assert path_of("GET", "/validate") == ("/validate", {})
    assert path_of("POST", "/validate") == ("/validate", {})
    assert path_of("GET", "/other") == ("/{id}", {"id": "other"})
    assert path_of("GET", "/a/x") == ("/{id}/x", {"id": "a"}), "goes back when the literal way ends"
    assert path_of("PUT", "/a/x") == ("/a/{b}", {"b": "x"})
    assert path_of("DELETE", "/validate") == ["GET", "POST"]
    assert path_of("GET", "/a/b/c") == []
    assert path_of("GET", "/a/") == []
    assert path_of("GET", "") == []


async def test_plain_routes_and_mounts_are_guarded_too():
    router = APIRouter()
    router.routes.append(marked(Route("/plain/{name}", plain, methods=["GET", "POST"])))
    router.routes.append(marked(Mount("/below", app=Router([Route("/{rest:path}", plain)]))))
    world = World(others=[("/p", router)])
    for path, text in [("/p/plain/x", b"plain {'name': 'x'}"), ("/p/below/a/b", b"a/b")]:
        assert (await world.ask("GET", path, key=None)).status == 401
        assert text in (await world.ask("GET", path)).body
    assert (await world.ask("GET", "/p/below/%2e%2e", key=None)).status == 401


async def test_an_endpoint_may_say_it_itself():
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("x")

    endpoint.openapi_extra = permission("notes:read")
    assert table(Route("/x", endpoint)).entries[0].permission == "notes:read"


@pytest.mark.parametrize(
    "route",
    [Route("/x", plain), Mount("/x", app=plain), WebSocketRoute("/x", plain), Host("x.test", app=Router())],
)
def test_what_cannot_be_guarded_fails_start_up(route):
    with pytest.raises(Bug):
        table(route)


def test_both_at_once_is_a_mistake():
    route = Route("/x", plain)
    route.openapi_extra = {**permission("x"), **public("y")}
    with pytest.raises(Bug, match="or both"):
        table(route)


def test_typed_parameters():
    found = table(marked(Route("/n/{number:int}", plain)), marked(Route("/f/{rest:path}", plain)))
    assert found.find("GET", "/p/n/12")[1] == {"number": 12}
    assert found.find("GET", "/p/n/x")[0] is None
    assert found.find("GET", "/p/f/a/b")[1] == {"rest": "a/b"}
