"""Who somebody is, from what they show."""

from collections.abc import Awaitable
from typing import Protocol

from perdure.ports.edge import Caller


class Identity(Protocol):
    """Verifies what a request shows. Each returns None when it proves nothing, in the same time for every reason."""

    def by_key(self, key: str) -> Awaitable[Caller | None]:
        """An API key (`x-api-key`, or a bearer that looks like one)."""
        ...

    def by_token(self, token: str) -> Awaitable[Caller | None]:
        """A JWT of our own issuer or of a trusted OpenID provider."""
        ...

    def by_session(self, session: str) -> Awaitable[Caller | None]:
        """The value of the session cookie."""
        ...
