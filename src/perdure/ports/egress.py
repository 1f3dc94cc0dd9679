"""The one way out: every request to another host goes through this port."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP response, read whole and capped in size. Header names are lower case."""

    method: str
    uri: str
    request_headers: dict[str, str]
    """As sent, with credentials left out."""
    status: int
    headers: dict[str, str]
    body: bytes


class Streamed(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of an HTTP response, and its body as it comes. Header names are lower case.

    `body` gives unpacked bytes and raises EgressFailed (`sent`) when it ends early, is too large, or stands still.
    """

    status: int
    headers: dict[str, str]
    body: AsyncIterator[bytes]


class EgressRefused(Exception):
    """The address is not permitted; nothing was sent."""


class EgressFailed(Exception):
    """The request failed. `sent` tells whether the other side may have acted on it."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Egress(Protocol):
    """Resolves, checks the address, connects to that address, checks each redirect again."""

    def request(
        self,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 60.0,
        follow: bool = False,
    ) -> Awaitable[Response]:
        """One request. A 3xx is returned as it is unless `follow`, which goes on for safe methods only and drops
        credentials on another host. Raises EgressRefused and EgressFailed. `timeout` in seconds, for the whole."""
        ...

    def stream(
        self,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 600.0,
        idle: float = 60.0,
    ) -> AbstractAsyncContextManager[Streamed]:
        """One request whose answer is read while it comes; leaving the context ends the connection. Redirects are never
        followed. `timeout` seconds for the whole, `idle` seconds at most between two pieces of the body."""
        ...

    def close(self) -> Awaitable[None]: ...
