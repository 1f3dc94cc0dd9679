"""How values travel: as plain JSON, encrypted when there is a key, and by name when they are big.

A payload of more than LIMIT bytes goes to the blobs, and the server only gets its name: the run's, and a hash of its content.
What is sealed is bound to its place (the workflow, and the activity of a call), so that it opens nowhere else.
"""

import base64
import copy
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import quote, unquote

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    EncodingPayloadConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from perdure.errors import Invalid, Unavailable
from perdure.ports.blobs import Blobs

LIMIT = 64 * 1024
"""So that the commands of many parallel calls fit into the 4 MB that the server takes at once."""
PAYLOADS = "payloads"
ANY = "?"
CLAIM, SEALED = b"binary/perdure-claim", b"binary/perdure-sealed"
_OURS = frozenset({CLAIM, SEALED})
_KEPT, _KEPT_BYTES = 64, 64 * 1024 * 1024
_SHUT = b"perdure-sealed:"
_NONCE, _NAME = 12, 12
_LONG = 180
"""Of a longer workflow id, only so many characters and a hash are part of a name: a file name has 255 at most."""


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


class Place(msgspec.Struct, frozen=True):
    """Where a payload belongs; empty when nobody knows. An activity that the workflow does not name is `ANY`."""

    workflow: str = ""
    activity: str = ""

    @property
    def name(self) -> str:
        return f"{self.workflow}#{self.activity}" if self.activity else self.workflow

    def admits(self, name: str) -> bool:
        """Whether what was sealed at the place of this name belongs here."""
        if name == self.name or not self.workflow:
            return True
        if self.activity == ANY:
            return name.startswith(f"{self.workflow}#")
        return bool(self.activity) and name == f"{self.workflow}#{ANY}"


class Codec(PayloadCodec, WithSerializationContext):
    """Seals and stores payloads on their way to the server."""

    def __init__(self, blobs: Blobs, keys: Sequence[str] = (), limit: int = LIMIT) -> None:
        """`keys` are 32 bytes in base64 each: the first seals, any of them opens. Invalid when one does not fit."""
        self._blobs = blobs
        self._limit = limit
        self._seals = {name_of(key): key for key in map(_key, keys)}
        self._seal_with = next(iter(self._seals), "")
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._place = Place()

    def __repr__(self) -> str:
        return f"Codec(limit={self._limit}, keys={len(self._seals)})"

    def with_context(self, context: SerializationContext) -> Self:
        place = Place()
        if isinstance(context, WorkflowSerializationContext):
            place = Place(context.workflow_id)
        elif isinstance(context, ActivitySerializationContext):
            place = Place(context.workflow_id or "", context.activity_id or ANY)
        if place == self._place:
            return self
        placed = copy.copy(self)
        placed._place = place
        return placed

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not self._seal_with and all(len(payload.data) <= self._limit for payload in payloads):
            return list(payloads)
        return [await self._encode(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if not any(payload.metadata.get("encoding") in _OURS for payload in payloads):
            return list(payloads)
        return [await self._decode(payload) for payload in payloads]

    def shut(self, name: str, body: bytes) -> bytes:
        """What is kept under a name in the blobs by others than this codec: sealed, when there is a key."""
        if not self._seal_with:
            return body
        seal = self._seal_with.encode()
        return _SHUT + seal + self._sealed(body, {"encoding": SEALED, "key": seal, "place": name.encode()})

    def opened(self, name: str, stored: bytes) -> bytes:
        """What `shut` was given; also what was kept before there was a key."""
        if not stored.startswith(_SHUT):
            return stored
        seal, sealed = stored[len(_SHUT) :][:_NAME], stored[len(_SHUT) + _NAME :]
        return self._opened(sealed, {"encoding": SEALED, "key": seal, "place": name.encode()})

    async def _encode(self, payload: Payload) -> Payload:
        size = len(payload.data)
        if size <= self._limit and not self._seal_with:
            return payload
        body = payload.SerializeToString()
        metadata = {"encoding": SEALED if size <= self._limit else CLAIM}
        if self._seal_with:
            metadata |= {"key": self._seal_with.encode(), "place": self._place.name.encode()}
        if size <= self._limit:
            return Payload(metadata=metadata, data=self._sealed(body, metadata))
        # Keyed, so that the name of a secret value tells nothing about it.
        secret = self._seals[self._seal_with] if self._seal_with else b""
        name = f"{directory_of(self._place.workflow)}/{hashlib.blake2b(body, digest_size=32, key=secret).hexdigest()}"
        stored = self._sealed(body, {**metadata, "place": name.encode()}) if self._seal_with else body
        await self._blobs.put(name, stored, is_hash=True)
        self._keep(name, body)
        if self._seal_with:
            metadata["proof"] = self._sealed(name.encode(), metadata)
        return Payload(metadata=metadata, data=name.encode())

    async def _decode(self, payload: Payload) -> Payload:
        metadata = dict(payload.metadata)
        if metadata.get("encoding") not in _OURS:
            return payload
        if "key" in metadata and not self._place.admits(metadata.get("place", b"").decode(errors="replace")):
            raise Unavailable("A sealed value was found where it does not belong; it is not used.")
        if metadata["encoding"] == SEALED:
            return Payload.FromString(self._opened(payload.data, metadata))
        name = payload.data.decode()
        if "key" in metadata and self._opened(metadata.pop("proof", b""), metadata) != payload.data:
            raise Unavailable("The name of a sealed value was changed on its way; it is not used.")
        return Payload.FromString(await self._fetched(name, metadata))

    async def _fetched(self, name: str, metadata: dict[str, bytes]) -> bytes:
        body = self._kept.get(name)
        if body is not None:
            return body
        stored = await self._blobs.get(name)
        if stored is None:
            raise Unavailable(
                f"The value {name} is not where big values are kept.",
                hint="Give this process the same PERDURE_TEMPORAL_STORE as the others.",
            )
        body = self._opened(stored, {**metadata, "place": name.encode()}) if "key" in metadata else stored
        self._keep(name, body)
        return body

    def _keep(self, name: str, body: bytes) -> None:
        self._kept[name] = body
        while len(self._kept) > _KEPT or sum(map(len, self._kept.values())) > _KEPT_BYTES:
            self._kept.popitem(last=False)

    def _sealed(self, body: bytes, metadata: dict[str, bytes]) -> bytes:
        import os  # with the cipher below, only where there is a key

        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._seals[metadata["key"].decode()]).encrypt(nonce, body, _bound(metadata))

    def _opened(self, sealed: bytes, metadata: dict[str, bytes]) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = metadata.get("key", b"").decode(errors="replace")
        if key not in self._seals:
            raise Unavailable(
                f"A value is sealed with the key {key}, which this process does not have.",
                hint="Name it in PERDURE_TEMPORAL_KEYS.",
            )
        try:
            return AESGCM(self._seals[key]).decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(metadata))
        except (InvalidTag, ValueError):  # changed, or too short to have been sealed
            raise Unavailable("A sealed value was changed on its way; it is not used.") from None


class Placing(DataConverter):
    """Converts for one place after another, several times for every command: only the codec is another one each time."""

    def with_context(self, context: SerializationContext) -> Self:
        assert isinstance(self.payload_codec, Codec)
        codec = self.payload_codec.with_context(context)
        if codec is self.payload_codec:
            return self
        placed = copy.copy(self)
        object.__setattr__(placed, "payload_codec", codec)
        return placed


def converter(blobs: Blobs, keys: Sequence[str] = ()) -> DataConverter:
    """What client and workers convert with."""
    codec = Codec(blobs, keys)
    # What an exception says may hold values too.
    failures = DefaultFailureConverterWithEncodedAttributes if keys else DefaultFailureConverter
    return Placing(payload_converter_class=Converter, payload_codec=codec, failure_converter_class=failures)


def directory_of(workflow: str) -> str:
    """Where the big values of a workflow are kept."""
    quoted = quote(workflow, safe="")
    if len(quoted) > _LONG:
        return f"{PAYLOADS}/~~{quoted[:_LONG]}-{hashlib.blake2b(workflow.encode(), digest_size=16).hexdigest()}"
    return f"{PAYLOADS}/~{quoted}"


def workflow_of(part: str) -> str | None:
    """The workflow id that the last part of a directory stands for; None when that is cut, or empty."""
    return None if part.startswith("~~") else unquote(part[1:]) or None


def name_of(key: bytes) -> str:
    """The public name of a key."""
    return hashlib.blake2b(key, digest_size=6, person=b"perdure-key").hexdigest()


def _bound(metadata: dict[str, bytes]) -> bytes:
    """What is sealed along: the encoding, the key and the place, each with its length."""
    return msgspec.json.encode([metadata[name].decode() for name in ("encoding", "key", "place")])


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
