"""Connections whose answers go out in as few pieces as they can: the head of an answer together with what follows it at once.

The server library writes head and body apart. Each piece is a call of the system and a packet, and wakes who waits for it.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LARGE = 65_536
"""From here on copying costs more than another call."""


class Joined(asyncio.Transport):
    """A transport that holds a piece until the next one, or until everything that is ready in the loop had its say."""

    def __init__(self, inner: asyncio.Transport) -> None:
        self._inner = inner
        self._held = b""
        self._soon = asyncio.get_running_loop().call_soon
        # As they are: each is asked for with every request.
        self.is_closing = inner.is_closing  # type: ignore[method-assign]
        self.pause_reading = inner.pause_reading  # type: ignore[method-assign]
        self.resume_reading = inner.resume_reading  # type: ignore[method-assign]
        self.get_extra_info = inner.get_extra_info  # type: ignore[method-assign]

    def __repr__(self) -> str:
        return f"Joined({self._inner!r}, held={len(self._held)})"

    def write(self, data: Any) -> None:
        held = self._held
        if not held:
            self._held = bytes(data)
            self._soon(self._flush)
            return
        self._held = b""
        if len(data) < _LARGE:
            self._inner.write(held + data)
        else:
            self._inner.write(held)
            self._inner.write(data)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._inner.write(held)

    def close(self) -> None:
        self._flush()
        self._inner.close()


class Joining(HttpToolsProtocol):
    """HTTP over such connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Joined(transport))
