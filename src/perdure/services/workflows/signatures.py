"""Signatures of webhooks as standardwebhooks.com has them: HMAC-SHA256 over `id.timestamp.body`. Pure; security.md rule 12."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import NamedTuple

PREFIX = "whsec_"
WINDOW = 300
"""Seconds by which the sender's clock may differ from ours."""
_MOST = 16


class Message(NamedTuple):
    """What a sender signed."""

    id: str
    timestamp: str
    signatures: str
    body: bytes

    @property
    def attempt(self) -> str:
        """Its name together with the time for which it was signed: a sender that tries again signs anew."""
        return f"{self.id}.{self.timestamp}"


def of_headers(headers: Mapping[str, str], body: bytes) -> Message | None:
    """The message of a request, or None when a header is missing or cannot be one. No id has a dot: `1.2` and `3` would
    sign the same text as `1` and `2.3`."""
    found = [headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
    if not all(found) or len(found[0]) > 200 or len(found[2]) > 4096 or not all(one.isascii() for one in found):
        return None
    if "." in found[0] or "." in found[1]:
        return None
    return Message(found[0], found[1], found[2], body)


def new_secret(chance: bytes) -> str:
    """A secret as its owner sees it, once."""
    return PREFIX + base64.b64encode(chance[:32]).decode()


def sign(secret: str, id: str, timestamp: str, body: bytes) -> str:
    """One signature, as in the header `webhook-signature`."""
    return "v1," + base64.b64encode(_mac(key_of(secret), f"{id}.{timestamp}.".encode() + body)).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret spells."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def is_timely(message: Message, now: int) -> bool:
    """Whether it was signed within the window. `now` in milliseconds."""
    text = message.timestamp
    return text.isdecimal() and len(text) <= 12 and abs(now / 1000 - int(text)) <= WINDOW


def is_signed(message: Message, keys: Iterable[bytes]) -> bool:
    """Whether one of its signatures is that of one of the keys. Every pair is compared, in constant time each."""
    content = f"{message.id}.{message.timestamp}.".encode() + message.body
    given = [_decoded(one) for one in message.signatures.split(" ")[:_MOST]]
    answer = False
    for key in keys:
        expected = _mac(key, content)
        for one in given:
            answer |= hmac.compare_digest(one, expected)
    return answer


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def _decoded(signature: str) -> bytes:
    version, comma, text = signature.partition(",")
    if version != "v1" or not comma:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
