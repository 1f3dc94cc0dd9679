"""One connection: how large the head of a request may be, and how long whoever sends it may take.

Before the head is whole nobody has said who he is, so what a stranger can cost is bounded here. What is no HTTP at all, or
too much of it, is told as a problem like every other error; nothing of it reaches the layers.
"""

import asyncio
from typing import Any

from perdure.gateway.joined import Joining
from perdure.gateway.problems import document

HEAD_BYTES = 65_536
SECONDS = 30.0
"""For a whole head; and of silence while the rest of a body is awaited."""
_HEADERS = b"content-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"


class _TooLarge(Exception):
    """The head of a request, once it is whole."""


class Connection(Joining):
    """HTTP from a stranger."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._since: float | None = None
        """When this head began; None between two requests, where the server's own patience counts."""
        self._heard = 0.0
        self._size = 0
        """What came since the piece in which this head began."""
        self._piece = 0
        self._first = 0
        """The size of the piece in which it began: the end of the request before may be in it too."""
        self._is_too_large = False
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = _plain(self.client)
        self._since = self.loop.time()
        self._looking = self.loop.call_later(SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        self._piece = len(data)
        if self._in_head:
            self._size += self._piece
        super().data_received(data)
        if self._in_head and self._size > HEAD_BYTES and not self.transport.is_closing():
            self._refuse_large()

    def on_message_begin(self) -> None:
        self._since = self._heard
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._since = False, None
        if self._size + self._first > HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > HEAD_BYTES:
                self._is_too_large = True
                raise _TooLarge
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._size, self._first = True, 0, self._piece
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the library says of what it cannot read."""
        if self._is_too_large:
            self._refuse_large()
        else:
            self._refuse(400, "malformed", "This is no HTTP request that can be read.")

    def _refuse_large(self) -> None:
        self._refuse(431, "too-large", f"Address and headers may have {HEAD_BYTES} bytes.")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Unless an answer is under way: then its connection ends, as there is no place for another one in it."""
        if self.cycle is None or self.cycle.response_complete:
            title, body = document(status, {"code": code, "detail": detail})
            head = f"HTTP/1.1 {status} {title}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n".encode()
            self.transport.write(head + _HEADERS + b"\r\n" + body)
        self.transport.close()

    def _look(self) -> None:
        """Now and then: whoever lets us wait for the rest of a request is not waited for any longer."""
        now, cycle = self.loop.time(), self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering:
            is_awaited = cycle.more_body and not self.flow.read_paused
            is_late = is_awaited and now - self._heard >= SECONDS
        else:
            is_late = self._since is not None and now - self._since >= SECONDS
        if is_late:
            self.transport.close()
        else:
            self._looking = self.loop.call_later(SECONDS, self._look)


def _plain(client: tuple[str, int] | None) -> tuple[str, int] | None:
    """Who comes by IPv4 to a socket for both (`--host ::`) is known by the address that he has."""
    return (client[0].removeprefix("::ffff:"), client[1]) if client else None
