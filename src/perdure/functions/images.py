"""Pictures in the arguments of functions that ask models: how they are written, and what they become."""

from typing import Any

import msgspec

from perdure.ports.model import Image

IMAGES: dict[str, Any] = {
    "type": "array",
    "maxItems": 32,
    "items": {
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "media": {"enum": ["image/png", "image/jpeg", "image/gif", "image/webp"]},
                    "data": {"type": "string", "minLength": 4, "pattern": "^[A-Za-z0-9+/]+={0,2}$"},
                },
                "required": ["media", "data"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"uri": {"type": "string", "pattern": "^https://"}},
                "required": ["uri"],
                "additionalProperties": False,
            },
        ]
    },
}
"""JSON Schema of a list of pictures: bytes in base64, or an address that the provider reads."""


def read_images(given: list[dict[str, Any]]) -> tuple[Image, ...]:
    """As the port has them."""
    return tuple(msgspec.convert({"type": "image", **image}, Image) for image in given)
