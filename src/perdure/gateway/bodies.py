"""What a body may be: its size, its declared type, and for JSON that it is JSON. A body is never parsed by guess.

A body is read here, after authentication, up to its limit and no further; only routes that take more than is good for
memory get theirs as it comes, counted (security.md, rule 5).
"""

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perdure.gateway.exchange import Exchange, entry, exchange
from perdure.gateway.problems import Refused
from perdure.gateway.routing import Entry

_READ_WHOLE = 8 * 1024 * 1024
_JSON = "application/json"
_METHODS_WITHOUT = frozenset({"GET", "HEAD", "OPTIONS"})


class Bodies:
    """Reads the body, or refuses it with 400, 413 or 415."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, route = exchange(scope), entry(scope)
        length = _length(seen)
        if length == 0 or scope["method"] in _METHODS_WITHOUT:
            if length != 0:
                raise Refused(400, "malformed", "A body has no meaning with this method.")
            if route.needs_body:
                raise Refused(422, "invalid", "The body is missing.")
            seen.body = b""
            await self._app(scope, receive, send)
            return
        limit = route.body or self._limit
        if length is not None and length > limit:
            raise _too_large(limit)
        if route.methods:
            media = _media(seen, route)
        else:
            media = ""
        is_large = route.body > _READ_WHOLE and (length is None or length > _READ_WHOLE)
        if is_large or not route.methods:
            await self._app(scope, _counted(receive, limit), send)
            return
        seen.body = await _whole(receive, limit)
        if seen.body and media == _JSON and route.direct is None:
            check_json(seen.body)
        await self._app(scope, _given(seen.body, receive), send)


def _length(seen: Exchange) -> int | None:
    """The length as declared; None when it is not, because the body comes in pieces."""
    if b"transfer-encoding" in seen.headers:
        return None
    given = seen.headers.get(b"content-length", b"0")
    if not given.isdigit():
        raise Refused(400, "malformed", "Content-Length is no number.")
    return int(given)


def _media(seen: Exchange, route: Entry) -> str:
    given = seen.headers.get(b"content-type", b"").decode("latin-1")
    media = given.partition(";")[0].strip().lower()
    accepted = route.media or {_JSON}
    if media not in accepted and "*/*" not in accepted:
        stated = f"not {media!r}" if media else "and the request states no Content-Type"
        raise Refused(415, "unsupported-media-type", f"The body must be {' or '.join(sorted(accepted))}, {stated}.")
    if seen.headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(415, "unsupported-media-type", "The body must not be compressed.")
    return media


def check_json(body: bytes) -> None:
    """More strictly than the standard library reads it: no NaN, no infinities, no halves of characters."""
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(400, "malformed", f"The body is not JSON: {error}.") from error
    except RecursionError as error:
        raise Refused(400, "malformed", "The body is nested too deeply.") from error


async def _whole(receive: Receive, limit: int) -> bytes:
    """All of it. A body that was declared and never came is none: what it would have asked for is not known."""
    parts, size, more = [], 0, True
    while more and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "malformed", "The body ended early.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    if size > limit:
        raise _too_large(limit)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then whatever comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _counted(receive: Receive, limit: int) -> Receive:
    size = 0

    async def counting() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, f"The body may have {limit} bytes.", headers={"Connection": "close"})
        return message

    return counting


def _too_large(limit: int) -> Refused:
    return Refused(413, "too-large", f"The body may have {limit} bytes.", headers={"Connection": "close"})
