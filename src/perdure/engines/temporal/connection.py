"""The way to the server, and what its errors mean here."""

import contextlib
import re
from collections.abc import Iterator
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


async def connect(address: Address, converter: DataConverter) -> Client:
    """A client. Unavailable with one sentence when the server cannot be reached, Invalid for files that are not there."""
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
        found = re.search(r'message: "([^"]+)"', str(error))
        reason = found[1] if found else str(error).splitlines()[0][:200]
        raise Unavailable(
            f"The Temporal server at {address.target} cannot be reached ({reason}).",
            hint="Start it, or name another one in PERDURE_TEMPORAL_ADDRESS.",
        ) from None


def _tls(address: Address) -> TLSConfig | bool:
    if not (address.tls or address.ca or address.certificate):
        return bool(address.api_key)
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
            f"The file {file} cannot be read: {error.strerror}.", hint="See PERDURE_TEMPORAL_TLS_…."
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
