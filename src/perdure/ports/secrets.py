"""Where the installation keeps secrets. A value is read only by the function that uses it."""

from collections.abc import Awaitable
from typing import Protocol

import msgspec

from perdure.language.values import Json


class Secret(msgspec.Struct, frozen=True):
    """A secret's value and the hosts it may be sent to (`*.example.com` patterns; empty: any host)."""

    value: Json
    hosts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Secret(…)"


class Secrets(Protocol):
    """Secrets by tenant and name."""

    def get(self, tenant: str, name: str) -> Awaitable[Secret | None]:
        """The secret, or None when the tenant has none of that name."""
        ...
