"""How services name what they keep: ids in order of time, and ids that the same cause makes again."""

import base64
import uuid


def new_id(kind: str, now: int, chance: bytes) -> str:
    """`key_0d5…`: sorted by time, unguessable by its 80 bits of chance (10 bytes)."""
    return f"{kind}_{base64.b32hexencode(now.to_bytes(6, 'big') + chance[:10]).decode().rstrip('=').lower()}"


def same_id(namespace: uuid.UUID, *parts: str | int) -> str:
    """The id of something that must not be made twice: the same for the same cause."""
    return str(uuid.uuid5(namespace, "\n".join(str(part) for part in parts)))
