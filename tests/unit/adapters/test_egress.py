"""The egress client against real local servers: what it sends, follows, refuses and how it fails."""

import asyncio
import gzip
import socket
import zlib

import pytest
from aiohttp import web

from perdure.adapters.egress import HttpEgress
from perdure.ports.egress import EgressFailed, EgressRefused
from tests.servers.recorder import recording
from tests.servers.stand_ins import serving


@pytest.fixture
async def egress():
    client = HttpEgress(["127.0.0.1"])
    yield client
    await client.close()


async def test_a_request_arrives_as_it_was_given(egress):
    async with recording() as server:
        response = await egress.request(
            "post", f"{server.url}/a%2Fb?x=%20y", headers={"X-One": "1", "Authorization": "Bearer t"}, body=b"hello"
        )
        asked = server.asked[0]
    assert (asked.method, asked.target, asked.body) == ("POST", "/a%2Fb?x=%20y", b"hello")
    assert asked.headers["authorization"] == "Bearer t"
    assert asked.headers["host"] == server.place
    assert asked.headers["user-agent"].startswith("perdure/")
    assert (response.status, response.body, response.headers["content-type"][:16]) == (200, b"{}", "application/json")
    assert response.request_headers["x-one"] == "1"
    assert "authorization" not in response.request_headers


async def test_connections_are_used_again(egress):
    ports = set()

    async def answer(asked):
        return web.Response(text="ok")

    async def handle(request):
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", handle)

    async with serving(app) as place:
        for _ in range(5):
            await egress.request("GET", f"http://{place}/")
    assert len(ports) == 1


async def test_the_mapping_sends_a_host_to_a_local_server_and_keeps_its_name():
    async with recording() as server:
        egress = HttpEgress(mapping={"API.example": server.place})
        response = await egress.request("GET", "https://api.example/x")
        await egress.close()
        assert server.asked[0].headers["host"] == "api.example"
    assert response.uri == "https://api.example/x"


async def test_the_mapping_opens_no_other_door():
    async with recording() as server:
        egress = HttpEgress(mapping={"api.example": server.place})
        with pytest.raises(EgressRefused, match="PERDURE_EGRESS_ALLOW"):
            await egress.request("GET", f"{server.url}/x")
        await egress.close()
        assert server.asked == []


async def test_a_refused_address_tells_what_to_set():
    egress = HttpEgress()
    with pytest.raises(EgressRefused, match=r"PERDURE_EGRESS_ALLOW=127\.0\.0\.1:8080"):
        await egress.request("GET", "http://127.0.0.1:8080/")
    with pytest.raises(EgressRefused, match=r"localhost:8080 is at .* \((loopback|not public)\)"):
        await egress.request("GET", "http://localhost:8080/")
    await egress.close()


async def test_a_host_on_the_allow_list_may_be_anywhere():
    async def resolver(host, port):
        return ["127.0.0.1"]

    async with recording() as server:
        port = int(server.place.partition(":")[2])
        egress = HttpEgress([f"inner.example:{port}"], resolver=resolver)
        assert (await egress.request("GET", f"http://inner.example:{port}/")).status == 200
        with pytest.raises(EgressRefused):
            await egress.request("GET", f"http://other.example:{port}/")
        await egress.close()


async def test_of_several_addresses_only_permitted_ones_are_tried(egress):
    async def resolver(host, port):
        return ["10.1.2.3", "127.0.0.1"]

    async with recording() as server:
        port = server.place.partition(":")[2]
        client = HttpEgress(["127.0.0.1"], resolver=resolver)
        assert (await client.request("GET", f"http://any.example:{port}/")).status == 200
        await client.close()


async def test_a_name_without_an_address_is_not_known():
    async def resolver(host, port):
        return []

    egress = HttpEgress(resolver=resolver)
    with pytest.raises(EgressFailed, match="name is not known"):
        await egress.request("GET", "http://empty.example/")
    await egress.close()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X": "a\r\nY: b"}, "characters"),
        ({"X y": "a"}, "characters"),
        ({"X": "\ud800"}, "characters"),
        ({"Host": "other"}, "set by Perdure"),
        ({"Content-Length": "3"}, "set by Perdure"),
    ],
)
async def test_headers_that_would_break_the_message_are_refused(egress, headers, said):
    with pytest.raises(EgressRefused, match=said):
        await egress.request("GET", "http://127.0.0.1:9/", headers=headers)


async def test_a_method_must_be_one(egress):
    with pytest.raises(EgressRefused, match="no HTTP method"):
        await egress.request("GE T", "http://127.0.0.1/")


async def test_redirects_are_returned_unless_followed(egress):
    def answer(asked):
        if asked.target == "/end":
            return web.json_response({"end": True})
        return web.Response(status=302, headers={"Location": "/end"})

    async with recording(answer) as server:
        assert (await egress.request("GET", f"{server.url}/a")).status == 302
        followed = await egress.request("GET", f"{server.url}/a", follow=True)
        assert (followed.status, followed.uri) == (200, f"{server.url}/end")
        assert (await egress.request("POST", f"{server.url}/a", follow=True)).status == 302


async def test_a_chain_of_redirects_ends(egress):
    async with recording(lambda asked: web.Response(status=302, headers={"Location": "/again"})) as server:
        with pytest.raises(EgressFailed, match="more than 10 redirects"):
            await egress.request("GET", f"{server.url}/a", follow=True)
        assert len(server.asked) == 11


@pytest.mark.parametrize("packing", ["gzip", "deflate", "raw deflate"])
async def test_packed_answers_are_unpacked(egress, packing):
    text = b"hello " * 1000
    packer = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "raw deflate": packer.compress(text) + packer.flush(),
    }
    name = packing.split()[-1]
    answer = lambda asked: web.Response(body=packed[packing], headers={"Content-Encoding": name})  # noqa: E731
    async with recording(answer) as server:
        assert (await egress.request("GET", server.url)).body == text


async def test_a_bomb_is_stopped_at_the_limit():
    bomb = gzip.compress(b"\0" * 50_000_000)
    answer = lambda asked: web.Response(body=bomb, headers={"Content-Encoding": "gzip"})  # noqa: E731
    async with recording(answer) as server:
        egress = HttpEgress(["127.0.0.1"], max_bytes=1_000_000)
        with pytest.raises(EgressFailed, match="larger than the limit of 1000000"):
            await egress.request("GET", server.url)
        await egress.close()


async def test_an_answer_of_exactly_the_limit_passes_and_one_more_byte_does_not():
    size = 1000
    async with recording(lambda asked: web.Response(body=b"x" * size)) as server:
        egress = HttpEgress(["127.0.0.1"], max_bytes=1000)
        assert len((await egress.request("GET", server.url)).body) == 1000
        size = 1001
        with pytest.raises(EgressFailed, match="larger"):
            await egress.request("GET", server.url)
        await egress.close()


@pytest.mark.parametrize(("encoding", "said"), [("br", "not asked for"), ("gzip", "damaged")])
async def test_what_cannot_be_unpacked_is_told(egress, encoding, said):
    answer = lambda asked: web.Response(body=b"not packed", headers={"Content-Encoding": encoding})  # noqa: E731
    async with recording(answer) as server:
        with pytest.raises(EgressFailed, match=said) as caught:
            await egress.request("GET", server.url)
    assert caught.value.sent


async def test_a_closed_port_is_a_failure_that_sent_nothing(egress):
    with socket.socket() as held:  # bound and not listening: no other process can take the port meanwhile
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(EgressFailed, match="no connection") as caught:
            await egress.request("POST", f"http://127.0.0.1:{port}/", body=b"x")
    assert not caught.value.sent


async def test_an_unknown_name_is_a_failure_that_sent_nothing():
    async def resolver(host, port):
        raise OSError(2, "Name or service not known")

    egress = HttpEgress(resolver=resolver)
    with pytest.raises(EgressFailed, match="name is not known") as caught:
        await egress.request("GET", "http://nowhere.example/")
    assert not caught.value.sent
    await egress.close()


async def test_a_broken_connection_may_have_been_heard(egress):
    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(EgressFailed) as caught:
            await egress.request("POST", f"http://127.0.0.1:{port}/", body=b"x")
    assert caught.value.sent


async def test_no_answer_in_time_is_a_failure_that_may_have_been_heard(egress):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(EgressFailed, match=r"no whole answer within 0.*s") as caught:
            await egress.request("GET", f"http://127.0.0.1:{port}/", timeout=0.1)
        await egress.close()
    assert caught.value.sent


async def test_nonsense_is_no_http(egress):
    async def nonsense(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(EgressFailed, match="not valid HTTP"):
            await egress.request("GET", f"http://127.0.0.1:{port}/")


async def test_it_shows_its_state(egress):
    assert repr(egress) == "HttpEgress(Allowed(1 networks, 0 hosts), 0 requests, open=False)"


async def test_public_addresses_pass_both_checks_and_inner_ones_neither():
    async def resolver(host, port):
        return ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]

    egress = HttpEgress(["10.0.0.0/8"], resolver=resolver)
    found = await egress._resolve("public.example", 443)
    assert found == ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]
    for address in (*found, "10.0.0.1"):
        egress._check_connection(address, 443)
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fe80::1%lo"):
        with pytest.raises(EgressRefused, match="not open to documents"):
            egress._check_connection(address, 443)


# Streams


def dripping(*parts, headers=None, hold=None, cut=False):
    async def handle(request):
        response = web.StreamResponse(headers=headers or {})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if hold is not None:
            await hold.wait()
        if cut:
            request.transport.close()
        return response

    app = web.Application()
    app.router.add_route("*", "/", handle)
    return serving(app)


async def read(egress, place, **more):
    async with egress.stream("post", f"http://{place}/", body=b"x", **more) as streamed:
        return streamed, [chunk async for chunk in streamed.body]


async def test_a_stream_comes_as_it_is_sent(egress):
    async with dripping(b"a", b"b", headers={"X-One": "1"}) as place:
        streamed, chunks = await read(egress, place)
    assert (streamed.status, streamed.headers["x-one"], b"".join(chunks)) == (200, "1", b"ab")


async def test_a_packed_stream_is_unpacked_as_it_comes(egress):
    packed = gzip.compress(b"hello " * 100)
    async with dripping(packed[:9], packed[9:], headers={"Content-Encoding": "gzip"}) as place:
        assert b"".join((await read(egress, place))[1]) == b"hello " * 100


async def test_a_stream_that_stands_still_ends(egress):
    held = asyncio.Event()
    async with dripping(b"a", hold=held) as place:
        with pytest.raises(EgressFailed, match=r"no whole answer within 0\.05 s") as failed:
            await read(egress, place, idle=0.05)
        held.set()
    assert failed.value.sent


async def test_a_stream_that_takes_too_long_ends(egress):
    held = asyncio.Event()
    async with dripping(b"a", hold=held) as place:
        with pytest.raises(EgressFailed, match=r"within 0\.2 s"):
            await read(egress, place, timeout=0.2, idle=9)
        held.set()


async def test_a_stream_that_breaks_is_told(egress):
    async with dripping(b"a", cut=True) as place:
        with pytest.raises(EgressFailed, match="within the answer") as failed:
            await read(egress, place)
    assert failed.value.sent


async def test_a_stream_may_be_no_larger_than_the_limit():
    bomb = gzip.compress(b"\0" * 1_000_000)
    egress = HttpEgress(["127.0.0.1"], max_bytes=10_000)
    for parts, headers in (([b"x" * 6_000] * 2, {}), ([bomb], {"Content-Encoding": "gzip"})):
        async with dripping(*parts, headers=headers) as place:
            with pytest.raises(EgressFailed, match="larger than the limit"):
                await read(egress, place)
    await egress.close()


async def test_who_leaves_a_stream_early_ends_it(egress):
    held = asyncio.Event()
    async with dripping(b"a", hold=held) as place:
        async with egress.stream("GET", f"http://{place}/") as streamed:
            assert await anext(streamed.body) == b"a"
        held.set()


async def test_nobody_listens_to_a_stream(egress):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(EgressFailed) as failed:
            await read(egress, f"127.0.0.1:{bound.getsockname()[1]}")
    assert not failed.value.sent
