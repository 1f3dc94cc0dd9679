"""S8: a credential stays on its host, over every kind of redirect and for every secret that is bound."""

import base64
import json

import pytest
from aiohttp import web

from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.functions.authentication import Authenticator
from perdure.functions.http import Http
from perdure.functions.openapi import OpenApi
from perdure.ports.function import FunctionFault
from tests.servers.calls import context, handle
from tests.servers.recorder import recording

SECRET = "s3cr3t-canary-0451"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_credential_follows_a_redirect_to_another_host(status):
    async with recording() as second:
        answer = lambda asked: web.Response(status=status, headers={"Location": f"{second.url}/x"})  # noqa: E731
        async with recording(answer) as first:
            egress = HttpEgress(["127.0.0.1"])
            headers = {"Authorization": f"Bearer {SECRET}", "Cookie": SECRET, "X-Api-Key": SECRET, "Accept": "a/b"}
            response = await egress.request("GET", f"{first.url}/", headers=headers, follow=True)
            await egress.close()
    assert response.status == 200
    assert SECRET in str(first.asked)
    assert SECRET not in str(second.asked)
    assert second.asked[0].headers["accept"] == "a/b"


async def test_on_the_same_host_they_stay():
    answer = lambda asked: (  # noqa: E731
        web.Response(status=302, headers={"Location": "/b"}) if asked.target == "/a" else web.Response(text="ok")
    )
    async with recording(answer) as server:
        egress = HttpEgress(["127.0.0.1"])
        await egress.request("GET", f"{server.url}/a", headers={"Authorization": SECRET}, follow=True)
        await egress.close()
    assert [asked.headers["authorization"] for asked in server.asked] == [SECRET, SECRET]


PLACES = {
    "bearer": {"endpoint": {"uri": "{url}/x", "authentication": {"bearer": {"token": handle("token")}}}},
    "basic": {
        "endpoint": {"uri": "{url}/x", "authentication": {"basic": {"username": "u", "password": handle("token")}}}
    },
    "digest": {
        "endpoint": {"uri": "{url}/x", "authentication": {"digest": {"username": "u", "password": handle("token")}}}
    },
    "header": {"endpoint": {"uri": "{url}/x"}, "headers": {"X-Api-Key": handle("token")}},
    "query": {"endpoint": {"uri": "{url}/x"}, "query": {"key": handle("token")}},
    "body": {"endpoint": {"uri": "{url}/x"}, "body": {"key": handle("token")}},
    "address": {"endpoint": {"uri": {"$perdure.parts": ["{url}/", handle("token")]}}},
    "oauth2": {
        "endpoint": {
            "uri": "https://api.example/x",
            "authentication": {
                "oauth2": {
                    "authority": "{url}",
                    "grant": "client_credentials",
                    "client": {"id": "a", "secret": handle("token")},
                }
            },
        }
    },
}


def _at(value, url):
    if isinstance(value, dict):
        return {key: _at(item, url) for key, item in value.items()}
    if isinstance(value, list):
        return [_at(item, url) for item in value]
    return value.replace("{url}", url) if isinstance(value, str) else value


@pytest.mark.parametrize("place", list(PLACES))
async def test_a_bound_secret_goes_to_its_hosts_only(place):
    async with recording() as server:
        egress = HttpEgress(["127.0.0.1"])
        http = Http(Authenticator(egress, SystemClock()))
        arguments = {"method": "post", **_at(PLACES[place], server.url)}
        elsewhere = context({"token": SECRET}, hosts={"token": ("api.good.example", "*.inner.example")})
        with pytest.raises(FunctionFault) as caught:
            await http.execute(arguments, elsewhere)
        assert server.asked == []
        assert (caught.value.problem["status"], caught.value.problem["type"].rpartition("/")[2]) == (
            403,
            "authorization",
        )
        assert SECRET not in str(caught.value.problem)
        if place != "oauth2":
            await http.execute(arguments, context({"token": SECRET}, hosts={"token": ("127.0.0.1",)}))
            assert len(server.asked) == 1
        await egress.close()


async def test_a_bound_secret_stays_off_the_servers_of_a_document():
    async with recording() as server:
        document = {
            "openapi": "3.1.0",
            "servers": [{"url": server.url}],
            "paths": {"/a": {"get": {"operationId": "a", "parameters": [{"name": "k", "in": "query"}]}}},
        }
        egress = HttpEgress(["127.0.0.1"])
        openapi = OpenApi(Authenticator(egress, SystemClock()))
        arguments = {"document": {"endpoint": {"uri": "https://d.example/"}}, "operationId": "a"}
        bound = context({"t": SECRET}, hosts={"t": ("d.example",)}, resources={"https://d.example/": document})
        for more in ({"parameters": {"k": handle("t")}}, {"authentication": {"bearer": {"token": handle("t")}}}):
            with pytest.raises(FunctionFault, match=r"to d\.example only"):
                await openapi.execute({**arguments, **more}, bound)
        await egress.close()
        assert server.asked == []


@pytest.mark.parametrize("place", ["header", "query", "address", "bearer", "basic", "body"])
@pytest.mark.parametrize("form", ["content", "raw", "response"])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/octet-stream"])
async def test_no_output_and_no_fault_shows_a_secret(place, form, status, kind):
    def answer(asked):
        said = [asked.target, dict(asked.headers), asked.body.decode()]
        return web.Response(status=status, text=json.dumps(said), content_type=kind, headers={"X-Said": str(said)})

    async with recording(answer) as server:
        egress = HttpEgress(["127.0.0.1"])
        http = Http(Authenticator(egress, SystemClock()))
        arguments = {"method": "post", "output": form, **_at(PLACES[place], server.url)}
        try:
            shown = await http.execute(arguments, context({"token": SECRET}))
        except FunctionFault as fault:
            shown = fault.problem
        await egress.close()
    sent = base64.b64encode(f"u:{SECRET}".encode()).decode()
    assert SECRET in str(server.asked) or sent in str(server.asked)
    kept = str(shown) + (base64.b64decode(shown).decode() if form == "raw" and status == 200 else "")
    if kind == "application/octet-stream" and form == "content" and status == 200:
        kept += base64.b64decode(shown).decode()
    assert SECRET not in kept
    assert sent not in kept
