"""A POST that is sent again under the same `Idempotency-Key` has its effect once, and the same answer.

The key belongs to who sent it and to the address it was sent to. What is kept: a hash of the body, and the answer,
unless it shows a secret, which the route says or its `Cache-Control: no-store`: then a repetition is told that it was done.
"""

import hashlib

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perdure.gateway.exchange import Exchange, entry, exchange
from perdure.gateway.problems import Refused
from perdure.ports.cache import Cache
from perdure.ports.edge import CALLER, Caller
from perdure.ports.meters import Meters

HEADER = b"idempotency-key"
_LONGEST = 255
_LARGEST = 1024 * 1024
_UNDER_WAY = 300.0
"""Seconds after which a request that never answered (its process died) no longer stands in the way."""
_NOT_KEPT = frozenset({401, 403, 408, 409, 413, 415, 429})


class Kept(msgspec.Struct, array_like=True):
    """What is known of a key. `status` 0: still under way; `body` None: done, but its answer is not kept."""

    body_hash: bytes
    status: int = 0
    headers: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)
    body: bytes | None = None


class Idempotent:
    """Only for signed-in callers, and for routes whose service does not do it itself."""

    def __init__(self, app: ASGIApp, cache: Cache, meters: Meters, seconds: float) -> None:
        self._app = app
        self._cache = cache
        self._meters = meters
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = exchange(scope)
        caller: Caller | None = scope.get(CALLER)
        if HEADER not in seen.headers or scope["method"] != "POST" or caller is None or seen.body is None:
            await self._app(scope, receive, send)
            return
        given = seen.headers[HEADER]
        if not 1 <= len(given) <= _LONGEST or not given.decode("latin-1").isprintable():
            raise Refused(400, "malformed", f"An Idempotency-Key has 1 to {_LONGEST} printable characters.")
        if entry(scope).idempotency == "own":
            await self._app(scope, receive, send)
            return
        name, body_hash = _name(caller, scope, given), _hash_of(seen, scope)
        if not await self._cache.put_new(name, msgspec.msgpack.encode(Kept(body_hash)), _UNDER_WAY):
            await self._again(name, body_hash, send)
            return
        await self._first(name, body_hash, scope, receive, send)

    async def _again(self, name: str, body_hash: bytes, send: Send) -> None:
        raw = await self._cache.get(name)
        kept = msgspec.msgpack.decode(raw, type=Kept) if raw else None
        if kept is None or (kept.status == 0 and kept.body_hash == body_hash):
            raise Refused(409, "conflict", "The same request is still under way.", headers={"Retry-After": "1"})
        if kept.body_hash != body_hash:
            raise Refused(422, "invalid", "This Idempotency-Key was used for another request.")
        if kept.body is None:
            raise Refused(409, "conflict", "This was done already; its answer showed a secret once and is not kept.")
        self._meters.add("perdure_idempotent_replays_total")
        headers = [*kept.headers, (b"idempotency-replayed", b"true")]
        await send({"type": "http.response.start", "status": kept.status, "headers": headers})
        await send({"type": "http.response.body", "body": kept.body})

    async def _first(self, name: str, body_hash: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        kept = Kept(body_hash, body=b"")
        finished = False

        async def sender(message: Message) -> None:
            nonlocal finished
            if message["type"] == "http.response.start":
                kept.status, kept.headers = message["status"], list(message.get("headers", ()))
                if entry(scope).idempotency == "secret" or _is_secret(kept.headers):
                    kept.body = None
            elif kept.body is not None:
                kept.body = kept.body + message.get("body", b"")
                kept.body = kept.body if len(kept.body) <= _LARGEST else None
            if message["type"] == "http.response.body" and not message.get("more_body"):
                finished = True
                await self._keep(name, kept)
            await send(message)

        try:
            await self._app(scope, receive, sender)
        finally:
            if not finished:
                await self._cache.delete(name)

    async def _keep(self, name: str, kept: Kept) -> None:
        """Answers that a second try may change are not kept: it is a new try."""
        if kept.status >= 500 or kept.status in _NOT_KEPT:
            await self._cache.delete(name)
            return
        await self._cache.put(name, msgspec.msgpack.encode(kept), self._seconds)


def _is_secret(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"set-cookie" or (name == b"cache-control" and b"no-store" in value) for name, value in headers)


def _name(caller: Caller, scope: Scope, given: bytes) -> str:
    digest = hashlib.blake2b(digest_size=20)
    for part in (caller.subject, caller.project, scope["path"]):
        digest.update(part.encode() + b"\0")
    digest.update(given)
    return f"{caller.tenant}:idempotency:{digest.hexdigest()}"


def _hash_of(seen: Exchange, scope: Scope) -> bytes:
    digest = hashlib.blake2b(seen.headers.get(b"content-type", b"") + b"\0", digest_size=20)
    digest.update(scope["query_string"] + b"\0")
    digest.update(seen.body or b"")
    return digest.digest()
