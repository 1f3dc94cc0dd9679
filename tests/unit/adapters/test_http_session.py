"""The pool of connections: the last check of an address, and what each kind of error means."""

import asyncio
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
