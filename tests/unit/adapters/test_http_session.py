"""The pool of connections: the last check of an address, and what each kind of error means."""

import asyncio
import contextlib
import socket
import ssl

import aiohttp
import pytest

from perdure.adapters.http_session import FAILURES, HttpSession
from perdure.adapters.locations import parse
from perdure.ports.egress import EgressFailed, EgressRefused
from tests.servers.recorder import recording


async def loopback(host, port):
    return ["127.0.0.1"]


def refuse(address, port):
    raise EgressRefused(f"{address}:{port} is not open.")


@pytest.mark.parametrize("host", ["127.0.0.1", "any.example"])
async def test_the_last_check_sees_literal_addresses_and_names(host):
    """Whatever went wrong before, no socket is made for an address that the rule refuses."""
    async with recording() as server:
        port = server.place.partition(":")[2]
        session = HttpSession(loopback, refuse, 1000)
        with pytest.raises(EgressRefused, match=r"127\.0\.0\.1:\d+ is not open"):
            await session.send("GET", parse(f"http://{host}:{port}/"), {}, None, 5)
        await session.close()
    assert server.asked == []


async def test_a_server_without_tls_is_told():
    async with recording() as server:
        session = HttpSession(loopback, lambda address, port: None, 1000)
        with pytest.raises(EgressFailed, match="no TLS connection") as caught:
            await session.send("GET", parse(f"https://{server.place}/"), {}, None, 5)
        await session.close()
    assert not caught.value.sent


async def test_a_name_that_takes_too_long_sent_nothing():
    never = asyncio.Event()

    async def slow(host, port):
        await never.wait()

    session = HttpSession(slow, refuse, 1000)
    with pytest.raises(EgressFailed, match=r"no connection could be made within 0\.05 s") as caught:
        await session.send("GET", parse("http://slow.example/"), {}, None, 0.05)
    await session.close()
    assert not caught.value.sent


async def test_several_headers_of_one_name_become_one():
    async def twice(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(twice, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    session = HttpSession(loopback, lambda address, port: None, 1000)
    async with server:
        answer = await session.send("GET", parse(f"http://127.0.0.1:{port}/"), {}, None, 5)
        await session.close()
    assert (answer.status, answer.headers["x-a"], answer.body) == (204, "1, 2", b"")


@pytest.mark.parametrize(("method", "is_sent_again"), [("GET", True), ("DELETE", True), ("POST", False)])
async def test_only_what_may_be_repeated_is_sent_again_where_a_kept_connection_was_closed(method, is_sent_again):
    heard, left = [], asyncio.Queue()

    async def once(reader, writer):
        """Answers one request of each connection and breaks off at the next."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            for number in range(2):
                heard.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[0])
                if not number:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()
        left.put_nowait(None)

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    place = parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    session = HttpSession(loopback, lambda address, port: None, 1000)
    async with server:
        await session.send("GET", place, {}, None, 5)
        if is_sent_again:
            assert (await session.send(method, place, {}, None, 5)).body == b"ok"
        else:
            with pytest.raises(EgressFailed, match="ended before the answer") as caught:
                await session.send(method, place, {}, b"{}", 5)
            assert caught.value.sent
        await session.close()
        for _ in range(1 + is_sent_again):
            await left.get()
    assert heard == [b"GET", *[method.encode()] * (1 + is_sent_again)]


async def test_an_answer_before_the_end_of_the_request_ends_the_connection():
    opened, left = [], asyncio.Queue()

    async def hasty(reader, writer):
        opened.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        writer.close()
        left.put_nowait(None)

    server = await asyncio.start_server(hasty, "127.0.0.1", 0, limit=1024)
    place = parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    session = HttpSession(loopback, lambda address, port: None, 1000)
    async with server:
        for _ in range(2):
            answer = await session.send("POST", place, {"X-A": "b"}, bytes(32 << 20), 5)
            assert answer.status == 413
            await left.get()
        await session.close()
    assert opened == [b"POST / HTTP/1.1\r\nX-A: b\r\nContent-Length: 33554432\r\n\r\n"] * 2


async def test_no_line_of_a_request_holds_another():
    session = HttpSession(loopback, lambda address, port: None, 1000)
    with pytest.raises(ValueError, match="the end of a line"):
        await session.send("GET", parse("http://127.0.0.1:1/"), {"a": "b\r\nc: d"}, None, 5)
    await session.close()


def test_the_table_knows_whether_a_request_was_sent():
    """The first row that fits; what breaks before the connection stands never sent anything."""

    def meaning(error):
        return next((known, sentence) for kind, known, sentence in FAILURES if isinstance(error, kind))

    key = aiohttp.client_reqrep.ConnectionKey("h", 1, True, True, None, None, None)
    refused = OSError(111, "refused")
    assert meaning(aiohttp.ClientConnectorError(key, refused)) == (False, "no connection could be made")
    assert meaning(aiohttp.ClientConnectorDNSError(key, refused)) == (False, "the name is not known")
    bad = aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError())
    assert meaning(bad) == (False, "its certificate is not valid")
    assert meaning(aiohttp.ConnectionTimeoutError()) == (False, "no connection could be made in time")
    assert meaning(aiohttp.ServerDisconnectedError())[0] is None
    assert meaning(aiohttp.ClientPayloadError())[0] is None
    assert meaning(socket.gaierror())[0] is None
