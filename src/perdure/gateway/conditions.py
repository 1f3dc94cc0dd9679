"""Conditional requests (RFC 9110, 13): every JSON answer to a GET has an ETag; who has it already gets 304.

A change with `If-Match` is refused with 412 when the address shows something else right before it. The change itself is
made after that look: two changes within the same instant both pass.
"""

import hashlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perdure.gateway.exchange import entry, exchange
from perdure.gateway.inner import Inner
from perdure.gateway.problems import Refused
from perdure.ports.edge import CALLER

_KEPT = frozenset({b"etag", b"cache-control", b"vary", b"content-location", b"expires", b"date"})
_CHANGES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_LARGEST = 512 * 1024


class Conditional:
    """Holds an answer's start back until its first part is there; an answer that comes in pieces passes untouched."""

    def __init__(self, app: ASGIApp, inner: Inner) -> None:
        self._app = app
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in _CHANGES and CALLER in scope:
            await self._check(scope)
        if scope["method"] != "GET" or entry(scope).limit == "stream":
            await self._app(scope, receive, send)
            return
        asked = exchange(scope).headers.get(b"if-none-match")
        held: Message | None = None

        async def sender(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] == 200 and _is_json(message):
                held = message
                return
            if held is not None:
                start, held = held, None
                start, message = _answered(start, message, asked)
                await send(start)
            await send(message)

        await self._app(scope, receive, sender)

    async def _check(self, scope: Scope) -> None:
        wanted = exchange(scope).headers.get(b"if-match")
        if wanted is None:
            return
        shown = await self._inner.read(scope)
        # Strong comparison (13.1.1): a weak tag never matches.
        tags = {part.strip() for part in wanted.decode("latin-1").split(",")}
        if shown is None:
            raise Refused(
                412, "changed", "There is nothing to read at this address that If-Match could be compared with."
            )
        if not tags & {"*", tag_of(shown).decode()}:
            raise Refused(412, "changed", "It has changed since you read it.", hint="Read it again.")


def tag_of(content: bytes) -> bytes:
    return b'"%s"' % hashlib.blake2b(content, digest_size=12).hexdigest().encode()


def _is_json(start: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"application/json") for name, value in start["headers"])


def _answered(start: Message, body: Message, asked: bytes | None) -> tuple[Message, Message]:
    headers = list(start["headers"])
    tag = next((value for name, value in headers if name == b"etag"), b"")
    content = body.get("body", b"")
    if not tag:
        if body.get("more_body") or len(content) > _LARGEST:
            return start, body
        tag = tag_of(content)
        headers.append((b"etag", tag))
    if asked is not None and tag_matches(asked.decode("latin-1"), tag.decode("latin-1")):
        kept = [(name, value) for name, value in headers if name in _KEPT]
        return {**start, "status": 304, "headers": kept}, {"type": "http.response.body", "body": b""}
    return {**start, "headers": headers}, body


def tag_matches(listed: str, tag: str) -> bool:
    """Weak comparison, as If-None-Match wants it."""
    plain = tag.removeprefix("W/")
    return any(one in {"*", plain} for one in (part.strip().removeprefix("W/") for part in listed.split(",")))
