"""TLS in front of a server that has none: certificates of an authority of the test's own, and a forwarder that may ask for
the client's certificate, or for the API key that travels with every gRPC request."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_DAY = dt.timedelta(days=1)
_HEADERS, _SETTINGS, _CONTINUATION = 1, 4, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 1, 1, 4, 8, 32


class Certificates:
    """An authority that writes what it signs as PEM files: `NAME.pem` and `NAME.key`, its own as `ca.pem`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        made = self._builder(self._name, self._key, _now() + _DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        (folder / "ca.pem").write_bytes(_pem(made.sign(self._key, hashes.SHA256())))

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def make(self, name: str, *, until: dt.datetime | None = None, host: str = "127.0.0.1") -> None:
        """A certificate for this address, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(_name(name), key, until or _now() + _DAY)
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        made = made.add_extension(address, critical=False)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        (self.folder / f"{name}.pem").write_bytes(_pem(made.sign(self._key, hashes.SHA256())))
        plain = serialization.NoEncryption()
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, until: dt.datetime
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(until - 30 * _DAY).not_valid_after(until)


@contextlib.asynccontextmanager
async def tls_forwarder(
    target: str, certificates: Certificates, server: str, *, asks_for: str | None = None, key: str | None = None
) -> AsyncIterator[str]:
    """HOST:PORT that speaks TLS with the certificate `server` and hands on to `target`.

    `asks_for`: the file of the authority that clients must be signed by. `key`: the API key without which it answers
    UNAUTHENTICATED.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(certificates.file(f"{server}.pem"), certificates.file(f"{server}.key"))
    if asks_for is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(asks_for)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        # A task that asyncio's streams began must not end as cancelled: they would report it.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _hand_on(reader, writer, target, key)
        writer.transport.abort()  # a client that is gone would not answer a farewell
        tasks.discard(task)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, key: str | None) -> None:
    seen = b""
    if key is not None:
        seen, stream, headers = await _first_request(reader)
        if headers.get("authorization") != f"Bearer {key}":
            await _refuse(writer, stream)
            return
    host, _, port = target.rpartition(":")
    back, forth = await asyncio.open_connection(host, int(port))
    forth.write(seen)
    try:
        await asyncio.gather(_copy(reader, forth), _copy(back, writer))
    finally:
        forth.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    sink.transport.abort()


async def _first_request(reader: asyncio.StreamReader) -> tuple[bytes, int, dict[str, str]]:
    """Everything up to the headers of the first request, its stream, and these headers."""
    from hpack import Decoder

    seen = await reader.readexactly(24)  # the preface
    block = b""
    while True:
        head = await reader.readexactly(9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        body = await reader.readexactly(int.from_bytes(head[:3]))
        seen += head + body
        if kind == _HEADERS:
            padding = body[0] if flags & _PADDED else 0
            block = body[(1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0) : len(body) - padding]
        elif kind == _CONTINUATION:
            block += body
        if kind in {_HEADERS, _CONTINUATION} and flags & _END_HEADERS:
            return seen, stream, dict(Decoder().decode(block))


async def _refuse(writer: asyncio.StreamWriter, stream: int) -> None:
    from hpack import Encoder

    answer = Encoder().encode([
        (":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "16"),
        ("grpc-message", "Request unauthorized."),
    ])  # fmt: skip
    writer.write(_frame(_SETTINGS, 0, 0, b"") + _frame(_SETTINGS, _ACK, 0, b""))
    writer.write(_frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, answer))
    await writer.drain()
    await asyncio.sleep(0.2)  # until it is read: closing at once may take it away


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
