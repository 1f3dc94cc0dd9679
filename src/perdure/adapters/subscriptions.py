"""What all buses have in common: which events a subscription wants, and how often a failing listener is asked again."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from perdure.ports.bus import Exchange, Listener

PAUSES = (0.2, 1.0, 5.0)
"""Seconds before each further delivery of an event whose listener failed; after the last it is a dead letter."""
LONGEST_PAUSE = 5.0
"""Seconds between two tries to reach a broker again."""


class Subscription(NamedTuple):
    """Whom a broker brings what."""

    name: str
    exchange: Exchange
    types: tuple[str, ...]
    listener: Listener

    async def take(self, body: bytes) -> None:
        """Let the listener take an event, unless the broker lets more through than is wanted."""
        event = msgspec.json.decode(body)
        if matches(self.types, type_of(event)):
            await self.listener(event)


def matches(patterns: Sequence[str], type: str) -> bool:
    """Whether one of the patterns fits; `*` stands for anything, dots included."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), type) for pattern in patterns)


def type_of(event: dict[str, Any]) -> str:
    return str(event.get("type", ""))
