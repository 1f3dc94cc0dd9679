"""The OpenAPI document says of each operation what the gateway does to it."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from perdure.ports.edge import permission
from tests.unit.gateway.world import World


async def test_every_operation_says_who_may_and_what_may_go_wrong():
    world = World()
    document = (await world.ask("GET", "/api/v1/openapi.json", key=None)).json
    assert document == world.edge.openapi()
    for path in document["paths"].values():
        for method, operation in path.items():
            is_public = "x-perdure-public" in operation
            assert bool(operation["security"]) is not is_public
            assert is_public or f"`{operation['x-perdure-permission']}`" in operation["description"]
            problem = operation["responses"]["422"]["content"]["application/problem+json"]
            assert problem == {"schema": {"$ref": "#/components/schemas/Problem"}}
            assert ("413" in operation["responses"]) is (method in {"post", "patch"})
            assert ("412" in operation["responses"]) is (method == "patch")
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert "/metrics" not in document["paths"]


async def test_a_plain_route_describes_itself():
    async def start(request: Request) -> Response:
        return Response(status_code=204)

    route = Route("/start", start, methods=["POST"])
    route.openapi_extra = {**permission("notes:write"), "responses": {"204": {"description": "Started."}}}
    hidden = Route("/hidden", start, methods=["POST"])
    hidden.openapi_extra = permission("notes:write")
    router = APIRouter()
    router.routes += [route, hidden]
    paths = World(routers=[router]).edge.openapi()["paths"]
    assert paths["/api/v1/start"]["post"]["responses"]["204"] == {"description": "Started."}
    assert paths["/api/v1/start"]["post"]["security"]
    assert "/api/v1/hidden" not in paths


async def test_the_document_is_read_again_by_its_tag():
    world = World()
    first = await world.ask("GET", "/api/v1/openapi.json", key=None)
    again = await world.ask("GET", "/api/v1/openapi.json", key=None, headers={"if-none-match": first.headers["etag"]})
    assert again.status == 304
