"""TLS, client certificates and API keys in front of a real Temporal server: what works, and a clear sentence for what does not."""

import datetime as dt
import importlib.util
import uuid

import pytest

pytest.importorskip("temporalio")
pytest.importorskip("cryptography")

from perdure.adapters.blobs_memory import MemoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.engines.temporal.codec import converter
from perdure.engines.temporal.connection import Address, connect
from perdure.errors import Invalid, Unauthenticated, Unavailable
from perdure.functions.table import Table
from perdure.language.read import read
from tests.servers.tls import Certificates, tls_forwarder

YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
needs_hpack = pytest.mark.skipif(importlib.util.find_spec("hpack") is None, reason="`pip install hpack`")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("ours"))
    for name in ("server", "client"):
        made.make(name)
    made.make("old-server", until=YESTERDAY)
    made.make("old-client", until=YESTERDAY)
    made.make("elsewhere", host="127.0.0.9")
    return made


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("theirs"))
    made.make("client")
    return made


@pytest.fixture
def server(temporal_server, took_part):
    took_part("Temporal server behind TLS")
    return temporal_server.target


def with_certificate(certificates, name="client"):
    return {"certificate": certificates.file(f"{name}.pem"), "private_key": certificates.file(f"{name}.key")}


async def reach(target, **fields):
    client = await connect(Address(target=target, **fields), converter(MemoryBlobs(SystemClock())))
    assert await client.service_client.check_health()


@needs_hpack
async def test_a_run_goes_through_with_certificate_and_key(server, ours):
    from perdure.engines.temporal.engine import TemporalEngine
    from perdure.engines.temporal.worker import TemporalWorker

    ca, blobs, name = ours.file("ca.pem"), MemoryBlobs(SystemClock()), f"tls-{uuid.uuid4()}"
    document = read(
        "document: { dsl: 1.0.3, namespace: t, name: d, version: 1.0.0 }\ndo: [{ a: { set: { b: 1 } } }]"
    ).value
    async with tls_forwarder(server, ours, "server", asks_for=ca, key="right") as target:
        address = Address(target=target, ca=ca, api_key="right", **with_certificate(ours))
        async with TemporalEngine(address, Table([]), blobs, installation=name) as engine:
            worker = TemporalWorker(engine.client, name, blobs, Table([]), clock=SystemClock())
            await worker.open()
            try:
                run = await engine.wait("acme", await engine.start("acme", document, {}))
                assert (run.status, run.output) == ("completed", {"b": 1})
            finally:
                await worker.close()


async def test_only_a_server_of_the_right_authority_is_spoken_to(server, ours, theirs):
    async with tls_forwarder(server, ours, "server") as target:
        await reach(target, ca=ours.file("ca.pem"))
        for fields in ({"ca": theirs.file("ca.pem")}, {"tls": True}, {"api_key": "secret"}):
            with pytest.raises(Unavailable, match="not signed by an authority that is trusted here.*TEMPORAL_CA"):
                await reach(target, **fields)


@pytest.mark.parametrize(
    ("certificate", "sentence"), [("old-server", "has expired"), ("elsewhere", "is for another name")]
)
async def test_a_certificate_that_does_not_hold(server, ours, certificate, sentence):
    async with tls_forwarder(server, ours, certificate) as target:
        with pytest.raises(Unavailable, match=f"certificate of the Temporal server at .* {sentence}"):
            await reach(target, ca=ours.file("ca.pem"))


async def test_a_server_may_ask_for_the_clients_certificate(server, ours, theirs):
    ca = ours.file("ca.pem")
    async with tls_forwarder(server, ours, "server", asks_for=ca) as target:
        await reach(target, ca=ca, **with_certificate(ours))
        with pytest.raises(Unavailable, match="may ask for the certificate of a client"):
            await reach(target, ca=ca)
        with pytest.raises(Unavailable, match="may not trust the authority of the certificate"):
            await reach(target, ca=ca, **with_certificate(theirs))
        with pytest.raises(Unavailable, match="has expired on .*renew it"):
            await reach(target, ca=ca, **with_certificate(ours, "old-client"))


@needs_hpack
async def test_a_server_may_ask_for_a_key(server, ours):
    ca = ours.file("ca.pem")
    async with tls_forwarder(server, ours, "server", key="right") as target:
        await reach(target, ca=ca, api_key="right")
        with pytest.raises(Unauthenticated, match="refuses the API key") as refused:
            await reach(target, ca=ca, api_key="wrong-key")
        assert "wrong-key" not in str(refused.value)
        with pytest.raises(Unauthenticated, match="asks for an API key"):
            await reach(target, ca=ca)


async def test_tls_on_one_side_only(server, ours):
    async with tls_forwarder(server, ours, "server") as target:
        with pytest.raises(Unavailable, match="may speak TLS: set PERDURE_TEMPORAL_TLS=1"):
            await reach(target)
    with pytest.raises(Unavailable, match="does not speak TLS"):
        await reach(server, tls=True)


async def test_files_that_do_not_fit(server, ours):
    own = with_certificate(ours)
    with pytest.raises(Invalid, match="needs its private key"):
        await reach(server, certificate=own["certificate"])
    with pytest.raises(Invalid, match="needs its private key"):
        await reach(server, private_key=own["private_key"])
    with pytest.raises(Invalid, match="holds no certificate"):
        await reach(server, ca=own["private_key"])
    with pytest.raises(Invalid, match="cannot be read"):
        await reach(server, ca="nowhere.pem")
    with pytest.raises(Invalid, match="does not belong to the certificate"):
        await reach(server, certificate=own["certificate"], private_key=ours.file("server.key"))


async def test_nobody_there():
    with pytest.raises(Unavailable, match="cannot be reached.*PERDURE_TEMPORAL_ADDRESS"):
        await reach("127.0.0.1:1")
