"""Secrets at rest: sealed for one tenant and one place, so that no row can be put where another belongs."""

from typing import Protocol


class Sealing(Protocol):
    """Seals and opens small secrets. `place` names the row and column (`webhooks/hook_1/secret`)."""

    def seal(self, tenant: str, place: str, secret: bytes) -> bytes: ...
    def open(self, tenant: str, place: str, sealed: bytes) -> bytes:
        """Unavailable when none of the installation's keys opens it, or it was sealed for another tenant or place."""
        ...
