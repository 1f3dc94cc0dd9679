"""T8: every vector of security.md 4 on every egress path there is, against a canary that must never be reached.

Pass = the canary sees no connection AND no socket was ever asked to connect to an address that is not its own server
of the test. The second half is heard from the interpreter itself (audit events), not from our own code.
"""

import ipaddress
import socket
import sys

import pytest
from aiohttp import web

from perdure.adapters.addresses import denial
from perdure.adapters.clock import SystemClock
from perdure.adapters.egress import HttpEgress
from perdure.adapters.openai import OpenAIModel
from perdure.errors import PerdureError
from perdure.functions.authentication import Authenticator
from perdure.functions.http import Http
from perdure.functions.openapi import OpenApi
from perdure.functions.resolve import resolve
from perdure.ports.egress import EgressFailed, EgressRefused
from perdure.ports.function import FunctionFault
from perdure.ports.model import Message, ModelFailed, Request
from tests.servers.calls import context
from tests.servers.recorder import recording

LOOPBACK = """127.0.0.1 127.1 127.0.1 127.127.127.127 0 0.0.0.0 2130706433 0x7f000001 0x7f.1 0x7f.0.0.0x1 0177.0.0.1
017700000001 00127.0.0.1 localhost LOCALHOST localhost. foo.localhost １２７.０.０.１ 127。0。0。1 ①②⑦.⓪.⓪.①
%31%32%37.0.0.1""".split()
IPV6 = """[::1] [0:0:0:0:0:0:0:1] [::] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:0:7f00:1]
[64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001:0:7f00:1::] [fe80::1%25lo] [fec0::1] [fc00::1]
[ff02::1]""".split()
METADATA = """169.254.169.254 [::ffff:a9fe:a9fe] [fd00:ec2::254] 169.254.170.2 100.100.100.200 192.0.0.192
168.63.129.16 metadata.google.internal kubernetes.default.svc x-rw.y.svc.cluster.local temporal-frontend""".split()
OTHERS = """10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 169.254.1.1 198.18.0.1 192.0.2.1 224.0.0.1 240.0.0.1
255.255.255.255""".split()

QUESTION = Request(messages=(Message("user", "Hi."),), key="k")

NAMES = {
    "metadata.google.internal": ["169.254.169.254"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "x-rw.y.svc.cluster.local": ["10.96.7.7"],
    "temporal-frontend": ["172.20.1.1"],
    "localhost": ["127.0.0.1", "::1"],
    "localhost.": ["127.0.0.1"],
    "foo.localhost": ["127.0.0.1"],
    "mixed.example": ["93.184.216.34", "10.0.0.1"],
    "mixed6.example": ["93.184.216.34", "::1"],
    "cname.example": ["10.0.0.9"],
    "zero.example": ["0.0.0.0"],
}

E_URLS = {
    "userinfo": "http://good@127.0.0.1:{port}/",
    "fragment": "http://127.0.0.1:{port}#@good/",
    "backslash before at": "http://good\\@127.0.0.1:{port}/",
    "slash backslash": "http:/\\127.0.0.1:{port}",
    "no scheme": "//127.0.0.1:{port}",
    "NUL in host": "http://good%00.127.0.0.1:{port}/",
    "CRLF in host": "http://good\r\n.127.0.0.1:{port}/",
    "CRLF in path": "http://127.0.0.1:{port}/a\r\nX: y",
    "tab": "http://127.0.0.1\t:{port}/",
    "newline": "http://127.0.0.1:{port}/\n",
    "two ports": "http://good:80:{port}/",
    "port 0": "http://127.0.0.1:0/",
    "port 22": "http://127.0.0.1:22/",
    "port 6379": "http://127.0.0.1:6379/",
    "mixed case scheme": "hTTp://127.0.0.1:{port}/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:{port}/",
    "ftp": "ftp://127.0.0.1:{port}/",
    "data": "data:text/plain,hello",
    "unix": "unix:/tmp/socket",
    "http+unix": "http+unix://%2Ftmp%2Fsocket/",
}


class Canary:
    """A listener on all of loopback that nobody may reach, and what sockets of this process were asked for."""

    def __init__(self, listener):
        self.port = listener.getsockname()[1]
        self.connects = []


_listening: list[Canary] = []


def _audit(event, arguments):
    if event == "socket.connect" and _listening and isinstance(arguments[1], tuple):
        _listening[-1].connects.append(arguments[1][0])


sys.addaudithook(_audit)


@pytest.fixture
def canary():
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        listener.setblocking(False)
        made = Canary(listener)
        _listening.append(made)
        try:
            yield made
        finally:
            _listening.remove(made)
        with pytest.raises(BlockingIOError):  # the kernel would have taken a connection by now
            listener.accept()
    for host in made.connects:
        address = ipaddress.ip_address(host.partition("%")[0])
        assert denial(address) is None, f"a socket was asked for {host}"


async def resolver(host, port):
    if host in NAMES:
        return NAMES[host]
    raise OSError(2, "Name or service not known")


async def by_http(egress, uri):
    return await Http(Authenticator(egress, SystemClock())).execute(
        {"method": "get", "endpoint": {"uri": uri}}, context()
    )


async def by_http_token(egress, uri):
    policy = {"oauth2": {"authority": uri, "grant": "client_credentials", "client": {"id": "a", "secret": "b"}}}
    return await Http(Authenticator(egress, SystemClock())).execute(
        {"method": "get", "endpoint": {"uri": "https://api.example/", "authentication": policy}}, context()
    )


async def by_discovery(egress, uri):
    policy = {"oidc": {"authority": uri, "grant": "client_credentials", "client": {"id": "a", "secret": "b"}}}
    return await Http(Authenticator(egress, SystemClock())).execute(
        {"method": "get", "endpoint": {"uri": "https://api.example/", "authentication": policy}}, context()
    )


async def by_openapi_document(egress, uri):
    return await OpenApi(Authenticator(egress, SystemClock())).execute(
        {"document": {"endpoint": {"uri": uri}}, "operationId": "a"}, context()
    )


async def by_openapi_server(egress, uri):
    document = {"openapi": "3.1.0", "servers": [{"url": uri}], "paths": {"/a": {"get": {"operationId": "a"}}}}
    return await OpenApi(Authenticator(egress, SystemClock())).execute(
        {"document": {"endpoint": {"uri": "https://docs.example/a"}}, "operationId": "a"},
        context(resources={"https://docs.example/a": document}),
    )


async def by_schema(egress, uri):
    return await resolve({"input": {"schema": {"resource": {"endpoint": uri}}}}, egress)


async def by_catalog(egress, uri):
    use = {"catalogs": {"c": {"endpoint": {"uri": uri}}}}
    return await resolve({"use": use, "do": [{"a": {"call": "f:1.0.0@c"}}]}, egress)


async def by_function(egress, uri):
    return await resolve({"do": [{"a": {"call": uri}}]}, egress)


async def by_port(egress, uri):
    return await egress.request("GET", uri, follow=True)


async def by_stream(egress, uri):
    async with egress.stream("POST", uri, body=b"{}") as streamed:
        return [chunk async for chunk in streamed.body]


async def by_model(egress, uri):
    """A model's address is the administrator's: still, this way out is the same one."""
    return await OpenAIModel(egress, SystemClock(), url=uri).ask(QUESTION)


async def by_model_stream(egress, uri):
    return [chunk async for chunk in OpenAIModel(egress, SystemClock(), url=uri).stream(QUESTION)]


PATHS = [
    by_port,
    by_stream,
    by_model,
    by_model_stream,
    by_http,
    by_http_token,
    by_discovery,
    by_openapi_document,
    by_openapi_server,
    by_schema,
    by_catalog,
    by_function,
]


async def refused(path, uri, *, resolver=resolver):
    """Every vector ends as one of our own errors, by whatever path it comes."""
    egress = HttpEgress(resolver=resolver)
    try:
        with pytest.raises((EgressRefused, EgressFailed, FunctionFault, ModelFailed, PerdureError)) as caught:
            await path(egress, uri)
    finally:
        await egress.close()
    return str(caught.value)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
@pytest.mark.parametrize("host", [*LOOPBACK, *IPV6, *METADATA, *OTHERS])
async def test_hosts_of_families_a_to_d(canary, path, host):
    await refused(path, f"http://{host}:{canary.port}/x")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
@pytest.mark.parametrize("name", list(E_URLS))
async def test_urls_of_family_e(canary, path, name):
    if path is by_function and "://" not in E_URLS[name]:
        assert await by_function(None, E_URLS[name]) == {}  # no address at all: a function's name
        return
    await refused(path, E_URLS[name].format(port=canary.port))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
async def test_crlf_in_a_header_value(canary, path):
    egress = HttpEgress()
    with pytest.raises(EgressRefused):
        async with egress.stream("GET", "http://example.com/", headers={"X": f"a\r\nHost: 127.0.0.1:{canary.port}"}):
            pass
    with pytest.raises(EgressRefused):
        await egress.request("GET", "http://example.com/", headers={"X": f"a\r\nHost: 127.0.0.1:{canary.port}"})
    await egress.close()


async def _redirected(canary, status, location):
    """A permitted server redirects elsewhere. Only its own port is permitted, so the canary's is not."""

    def answer(asked):
        return web.Response(status=status, headers={"Location": location.format(port=canary.port)})

    async with recording(answer) as server:
        egress = HttpEgress([server.place], resolver=resolver)
        try:
            with pytest.raises((EgressRefused, EgressFailed)):
                await egress.request("GET", f"{server.url}/", headers={"Authorization": "Bearer t"}, follow=True)
            with pytest.raises(PerdureError):
                await resolve({"do": [{"a": {"call": f"{server.url}/function.yaml"}}]}, egress)
            with pytest.raises(FunctionFault):
                await by_http(egress, f"{server.url}/")
        finally:
            await egress.close()
        canary.connects = [host for host in canary.connects if host != "127.0.0.1"]  # the permitted server
        return len(server.asked)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "//localhost:{port}/",
        "http://zero.example:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "https://good\\@127.0.0.1:{port}/",
    ],
)
async def test_redirects_are_checked_like_the_first_address(canary, status, location):
    assert await _redirected(canary, status, location) == 3


async def test_a_chain_of_redirects_has_an_end(canary):
    await _redirected(canary, 302, "/again")


async def test_post_with_body_and_credentials_is_never_sent_on(canary):
    answer = lambda asked: web.Response(status=307, headers={"Location": f"http://127.0.0.1:{canary.port}/"})  # noqa: E731
    async with recording(answer) as server:
        egress = HttpEgress(["127.0.0.1"])
        response = await egress.request(
            "POST", server.url, headers={"Authorization": "Bearer t"}, body=b"secret", follow=True
        )
        await egress.close()
    assert response.status == 307
    canary.connects.clear()


async def test_a_stream_is_never_sent_on(canary):
    answer = lambda asked: web.Response(status=307, headers={"Location": f"http://127.0.0.1:{canary.port}/"})  # noqa: E731
    async with recording(answer) as server:
        egress = HttpEgress([server.place])
        async with egress.stream("POST", server.url, headers={"Authorization": "Bearer t"}, body=b"secret") as streamed:
            assert streamed.status == 307
        await egress.close()
    assert len(server.asked) == 1
    canary.connects.clear()


async def test_a_step_down_from_https_is_refused(canary):
    answer = lambda asked: web.Response(status=302, headers={"Location": "http://api.example/"})  # noqa: E731
    async with recording(answer) as server:
        egress = HttpEgress(mapping={"api.example": server.place})
        with pytest.raises(EgressRefused, match="from https to http"):
            await egress.request("GET", "https://api.example/", follow=True)
        await egress.close()
        assert len(server.asked) == 1
    canary.connects.clear()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
@pytest.mark.parametrize("name", ["mixed.example", "mixed6.example", "cname.example", "zero.example"])
async def test_names_that_lead_inside(canary, path, name):
    said = await refused(path, f"http://{name}:{canary.port}/")
    if path is not by_openapi_server:
        assert "not open to documents" in said


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
async def test_a_name_that_is_bound_anew_between_check_and_connection(canary, path):
    """The name is public when first asked for and loopback ever after; what was checked is what is connected to."""
    asked = []

    async def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) > 1 else ["198.18.0.77"]

    await refused(path, f"http://rebind.example:{canary.port}/", resolver=rebinding)
    assert len(asked) <= 1


async def test_one_look_up_serves_check_and_connection(canary):
    """A permitted address first, a denied one later: the connection goes to the one that was checked."""
    asked = []
    async with recording() as server:
        port = int(server.place.partition(":")[2])

        async def rebinding(host, port):
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

        egress = HttpEgress([server.place], resolver=rebinding)
        assert (await egress.request("GET", f"http://rebind.example:{port}/")).status == 200
        await egress.close()
    assert asked == ["rebind.example"]
    canary.connects.clear()


async def test_proxies_of_the_environment_are_not_used(canary, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("NO_PROXY", "")
    async with recording() as server:
        egress = HttpEgress([server.place])
        assert (await egress.request("GET", server.url)).status == 200
        await egress.close()
    canary.connects.clear()


def test_there_are_as_many_vectors_as_the_page_says():
    families = [len(LOOPBACK), len(IPV6), len(METADATA), len(OTHERS)]
    assert families == [21, 15, 11, 10]
    # E: 16 families of URLs (three header and newline forms and the schemes counted apart here); F: 13 above.
    assert len(E_URLS) >= 16
