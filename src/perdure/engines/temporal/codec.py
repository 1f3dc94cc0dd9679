"""How values travel: as plain JSON, encrypted when there is a key, and by content hash when they are big.

A payload of more than LIMIT bytes goes to the blobs, and the server only gets its name, which is a hash of its content.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import CompositePayloadConverter, DataConverter, EncodingPayloadConverter, PayloadCodec

from perdure.errors import Invalid, Unavailable
from perdure.ports.blobs import Blobs

LIMIT = 256 * 1024
_CLAIM, _SEALED = b"binary/perdure-claim", b"binary/perdure-sealed"
_OURS = frozenset({_CLAIM, _SEALED})
_KEPT, _KEPT_BYTES = 64, 64 * 1024 * 1024
_NONCE = 12


class PlainJson(EncodingPayloadConverter):
    """Everything is JSON, records of msgspec too."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload:
        return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return msgspec.json.decode(payload.data, type=Any if type_hint is None else type_hint)


class Converter(CompositePayloadConverter):
    """One encoding and no other."""

    def __init__(self) -> None:
        super().__init__(PlainJson())


class Codec(PayloadCodec):
    """Seals and stores payloads on their way to the server."""

    def __init__(self, blobs: Blobs, keys: Sequence[str] = (), limit: int = LIMIT) -> None:
        """`keys` are 32 bytes in base64 each: the first seals, any of them opens. Invalid when one does not fit."""
        self._blobs = blobs
        self._limit = limit
        self._seals = {name_of(key): key for key in map(_key, keys)}
        self._names = list(self._seals)
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def __repr__(self) -> str:
        return f"Codec(limit={self._limit}, keys={len(self._seals)})"

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not self._names and all(len(payload.data) <= self._limit for payload in payloads):
            return list(payloads)
        return [await self._encode(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not any(payload.metadata.get("encoding") in _OURS for payload in payloads):
            return list(payloads)
        return [await self._decode(payload) for payload in payloads]

    async def _encode(self, payload: Payload) -> Payload:
        size = len(payload.data)
        if size <= self._limit and not self._names:
            return payload
        body = payload.SerializeToString()
        seal = self._names[0] if self._names else ""
        if size <= self._limit:
            return Payload(metadata={"encoding": _SEALED, "key": seal.encode()}, data=self._seal(body, seal))
        # Keyed, so that the name of a secret value tells nothing about it.
        digest = hashlib.blake2b(body, digest_size=32, key=self._seals[seal] if seal else b"").hexdigest()
        name = f"payloads/{digest[:2]}/{digest}"
        await self._blobs.put(name, self._seal(body, seal) if seal else body)
        self._keep(name, body)
        return Payload(metadata={"encoding": _CLAIM, "key": seal.encode()}, data=name.encode())

    async def _decode(self, payload: Payload) -> Payload:
        encoding = payload.metadata.get("encoding", b"")
        if encoding not in _OURS:
            return payload
        seal = payload.metadata.get("key", b"").decode()
        if encoding == _SEALED:
            return Payload.FromString(self._unseal(payload.data, seal))
        name = payload.data.decode()
        body = self._kept.get(name)
        if body is None:
            stored = await self._blobs.get(name)
            if stored is None:
                raise Unavailable(
                    f"The value {name} is not where big values are kept.",
                    hint="Give this process the same PERDURE_TEMPORAL_STORE as the others.",
                )
            body = self._unseal(stored, seal) if seal else stored
            self._keep(name, body)
        return Payload.FromString(body)

    def _keep(self, name: str, body: bytes) -> None:
        self._kept[name] = body
        while len(self._kept) > _KEPT or sum(map(len, self._kept.values())) > _KEPT_BYTES:
            self._kept.popitem(last=False)

    def _seal(self, body: bytes, seal: str) -> bytes:
        import os  # with the cipher below, only where there is a key

        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._seals[seal]).encrypt(nonce, body, seal.encode())

    def _unseal(self, sealed: bytes, seal: str) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if seal not in self._seals:
            raise Unavailable(
                f"A value is sealed with the key {seal}, which this process does not have.",
                hint="Name it in PERDURE_TEMPORAL_KEYS.",
            )
        try:
            return AESGCM(self._seals[seal]).decrypt(sealed[:_NONCE], sealed[_NONCE:], seal.encode())
        except InvalidTag:
            raise Unavailable("A sealed value was changed on its way; it is not used.") from None


def converter(blobs: Blobs, keys: Sequence[str] = ()) -> DataConverter:
    """What client and workers convert with."""
    return DataConverter(payload_converter_class=Converter, payload_codec=Codec(blobs, keys))


def name_of(key: bytes) -> str:
    """The public name of a key."""
    return hashlib.blake2b(key, digest_size=6, person=b"perdure-key").hexdigest()


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Invalid(
            "A key of PERDURE_TEMPORAL_KEYS is not 32 bytes in base64.", hint="`openssl rand -base64 32` makes one."
        )
    return key
