"""Local servers that stand in for the hosts of the conformance kit (language.md 3.3).

`async with stand_ins() as hosts:` gives host -> "127.0.0.1:port", for the `mapping` of the egress client: documents
stay unmodified, `https` is spoken as plain HTTP to the stand-in, and no certificate is faked.
"""

import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

PETS: dict[int, dict[str, Any]] = {
    1: {"id": 1, "name": "Milou", "status": "available", "photoUrls": [], "tags": []},
    2: {"id": 2, "name": "Felix", "status": "pending", "photoUrls": [], "tags": []},
    3: {"id": 3, "name": "Tweety", "status": "available", "photoUrls": [], "tags": []},
}

_PET = {
    "type": "object",
    "required": ["name"],
    "properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "status": {"type": "string"}},
}

SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "Pets of the stand-in", "version": "1.0.0"},
    "host": "petstore.swagger.io",
    "basePath": "/v2",
    "schemes": ["https", "http"],
    "produces": ["application/json"],
    "paths": {
        "/pet/findByStatus": {
            "get": {
                "operationId": "findPetsByStatus",
                "parameters": [
                    {
                        "name": "status",
                        "in": "query",
                        "required": True,
                        "type": "array",
                        "items": {"type": "string", "enum": ["available", "pending", "sold"]},
                        "collectionFormat": "multi",
                    }
                ],
                "responses": {"200": {"description": "pets", "schema": {"type": "array", "items": _PET}}},
            }
        },
        "/pet/{petId}": {
            "get": {
                "operationId": "getPetById",
                "parameters": [{"name": "petId", "in": "path", "required": True, "type": "integer"}],
                "responses": {"200": {"description": "the pet", "schema": {"$ref": "#/definitions/Pet"}}},
            }
        },
    },
    "definitions": {"Pet": _PET},
}


async def _find_by_status(request: web.Request) -> web.Response:
    wanted = set(request.query.getall("status", []))
    return web.json_response([pet for pet in PETS.values() if pet["status"] in wanted])


async def _pet(request: web.Request) -> web.Response:
    pet = PETS.get(int(request.match_info["id"]))
    if pet is None:
        return web.json_response({"code": 1, "type": "error", "message": "Pet not found"}, status=404)
    return web.json_response(pet)


async def _no_such_route(request: web.Request) -> web.Response:
    return web.json_response({"code": 404, "type": "unknown", "message": "null for uri"}, status=404)


async def _swagger(request: web.Request) -> web.Response:
    return web.json_response(SWAGGER)


async def _basic_auth(request: web.Request) -> web.Response:
    user, password = request.match_info["user"], request.match_info["password"]
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if request.headers.get("Authorization") != expected:
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="Fake Realm"'})
    return web.json_response({"authenticated": True, "user": user})


def _petstore() -> web.Application:
    app = web.Application()
    app.router.add_get("/v2/swagger.json", _swagger)
    app.router.add_get("/v2/pet/findByStatus", _find_by_status)
    app.router.add_get(r"/v2/pet/{id:\d+}", _pet)
    app.router.add_get("/v2/pet/getPetByName/{name:.*}", _no_such_route)
    return app


def _httpbin() -> web.Application:
    app = web.Application()
    app.router.add_get("/basic-auth/{user}/{password}", _basic_auth)
    return app


@contextlib.asynccontextmanager
async def serving(app: web.Application, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve an application on a free port; gives "host:port"."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        yield f"{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def stand_ins() -> AsyncIterator[dict[str, str]]:
    """The hosts of the conformance kit, up and ready: host name -> "127.0.0.1:port"."""
    async with serving(_petstore()) as petstore, serving(_httpbin()) as httpbin:
        yield {"petstore.swagger.io": petstore, "httpbin.org": httpbin}
