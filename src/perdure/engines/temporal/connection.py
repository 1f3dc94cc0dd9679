"""The way to the server, and what its errors mean here."""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from temporalio.client import Client, RPCError
from temporalio.converter import DataConverter
from temporalio.service import RPCStatusCode, TLSConfig

from perdure.errors import (
    Bug,
    Conflict,
    Denied,
    Exhausted,
    Invalid,
    NotFound,
    PerdureError,
    Unauthenticated,
    Unavailable,
)

MEANINGS: dict[RPCStatusCode, type[PerdureError]] = {
    RPCStatusCode.NOT_FOUND: NotFound,
    RPCStatusCode.ALREADY_EXISTS: Conflict,
    RPCStatusCode.FAILED_PRECONDITION: Conflict,
    RPCStatusCode.INVALID_ARGUMENT: Invalid,
    RPCStatusCode.PERMISSION_DENIED: Denied,
    RPCStatusCode.UNAUTHENTICATED: Unauthenticated,
    RPCStatusCode.RESOURCE_EXHAUSTED: Exhausted,
    RPCStatusCode.UNAVAILABLE: Unavailable,
    RPCStatusCode.DEADLINE_EXCEEDED: Unavailable,
    RPCStatusCode.CANCELLED: Unavailable,
}
"""What the server says -> what we say."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server is and how it is spoken to."""

    target: str = "127.0.0.1:7233"
    namespace: str = "default"
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    private_key: str = ""
    api_key: str = ""

    def __repr__(self) -> str:
        return f"Address({self.target!r}, {self.namespace!r}, tls={self.tls})"


CERTIFICATES = (
    ("Expired", "has expired", "Renew it, or look at the clock of this machine."),
    ("NotValidYet", "is not valid yet", "Look at the clock of this machine."),
    ("NotValidForName", "is for another name", "Name the server in PERDURE_TEMPORAL_ADDRESS as its certificate does."),
    ("Revoked", "has been revoked", "Renew it."),
    (
        "",
        "is not signed by an authority that is trusted here",
        "Name the file of its authority in PERDURE_TEMPORAL_CA.",
    ),
)
"""What the library says of a server's certificate -> what is wrong with it, and what to do."""


async def connect(address: Address, converter: DataConverter) -> Client:
    """A client. Unavailable with one sentence when the server cannot be reached, Unauthenticated or Denied when it refuses,
    Invalid for files that are not there."""
    tls = _tls(address)
    try:
        return await Client.connect(
            address.target,
            namespace=address.namespace,
            data_converter=converter,
            tls=tls,
            api_key=address.api_key or None,
        )
    except (RuntimeError, RPCError) as error:
        raise _refusal(address, str(error), is_tls=bool(tls)) from None


def _refusal(address: Address, said: str, *, is_tls: bool) -> PerdureError:
    server = f"The Temporal server at {address.target}"
    certificate = re.search(r"InvalidCertificate\((.*)", said, re.DOTALL)
    if certificate is not None:
        wrong, hint = next((wrong, hint) for sign, wrong, hint in CERTIFICATES if sign in certificate[1])
        return Unavailable(f"The certificate of the Temporal server at {address.target} {wrong}.", hint=hint)
    if "Unauthenticated" in said or "Unauthorized" in said:
        which = "refuses the API key" if address.api_key else "asks for an API key"
        return Unauthenticated(f"{server} {which}.", hint="Set PERDURE_TEMPORAL_API_KEY to one that is valid there.")
    if "PermissionDenied" in said or "permission denied" in said:
        return Denied(f"{server} does not let this client in.", hint="Look at the rights of its key or certificate.")
    if "KeyMismatch" in said:
        return Invalid(f"The key {address.private_key} does not belong to the certificate {address.certificate}.")
    if "InvalidContentType" in said or "CorruptMessage" in said:
        return Unavailable(
            f"{server} does not speak TLS.", hint="Leave out PERDURE_TEMPORAL_TLS and the settings that turn it on."
        )
    if "ConnectError" not in said and ("transport error" in said or "operation was canceled" in said):
        return Unavailable(f"{server} ended the connection at once.", hint=_guess(address, is_tls=is_tls))
    found = re.search(r'message: "([^"]+)"', said)
    reason = found[1] if found else said.splitlines()[0][:200]
    return Unavailable(
        f"{server} cannot be reached ({reason}).", hint="Start it, or name another one in PERDURE_TEMPORAL_ADDRESS."
    )


def _guess(address: Address, *, is_tls: bool) -> str:
    """What a server may have against a connection when it does not say."""
    if not is_tls:
        return "It may speak TLS: set PERDURE_TEMPORAL_TLS=1."
    if not address.certificate:
        return "It may ask for the certificate of a client: set PERDURE_TEMPORAL_CERTIFICATE and _PRIVATE_KEY."
    from cryptography.x509 import load_pem_x509_certificate  # only to tell what is wrong

    with contextlib.suppress(ValueError):
        end = load_pem_x509_certificate(_read(address.certificate) or b"").not_valid_after_utc
        if end < datetime.now(UTC):
            return f"The certificate {address.certificate} has expired on {end:%Y-%m-%d}: renew it."
    return f"It may not trust the authority of the certificate {address.certificate}."


def _tls(address: Address) -> TLSConfig | bool:
    if not (address.tls or address.ca or address.certificate or address.private_key):
        return bool(address.api_key)
    if bool(address.certificate) != bool(address.private_key):
        raise Invalid(
            "A client's certificate needs its private key, and a key its certificate.",
            hint="Set both PERDURE_TEMPORAL_CERTIFICATE and PERDURE_TEMPORAL_PRIVATE_KEY.",
        )
    for file in (address.ca, address.certificate):
        if file and b"-----BEGIN CERTIFICATE-----" not in (_read(file) or b""):
            raise Invalid(f"The file {file} holds no certificate.", hint="Give one in PEM form.")
    return TLSConfig(
        server_root_ca_cert=_read(address.ca),
        client_cert=_read(address.certificate),
        client_private_key=_read(address.private_key),
    )


def _read(file: str) -> bytes | None:
    if not file:
        return None
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise Invalid(
            f"The file {file} cannot be read: {error.strerror}.", hint="See PERDURE_TEMPORAL_CA and its neighbours."
        ) from None


@contextlib.contextmanager
def border(what: str) -> Iterator[None]:
    """Turn the server's errors into ours. `what` is what is not found, as a sentence."""
    try:
        yield
    except RPCError as error:
        kind = MEANINGS.get(error.status, Bug)
        if kind is NotFound:
            raise NotFound(what, hint="`perdure runs list` shows the runs there are.") from None
        if kind is Unavailable:
            raise Unavailable(
                f"The Temporal server does not answer ({error.message[:200]}).",
                hint="Nothing is lost: everything goes on when it is back.",
            ) from None
        raise kind(f"The Temporal server refused: {error.message[:300]}.") from None
