"""Answers the gateway's one question (`ports/identity.py`): who shows this?"""

import base64
import binascii

import msgspec

from perdure.ports.edge import Caller
from perdure.services.identity.keys import Keys
from perdure.services.identity.providers import Providers
from perdure.services.identity.sessions import Sessions
from perdure.services.identity.tokens import Tokens


class Who:
    """Keys, tokens of ours and of trusted providers, and cookies."""

    def __init__(self, keys: Keys, sessions: Sessions, tokens: Tokens, providers: Providers) -> None:
        self._keys = keys
        self._sessions = sessions
        self._tokens = tokens
        self._providers = providers

    async def by_key(self, key: str) -> Caller | None:
        return await self._keys.recognise(key)

    async def by_token(self, token: str) -> Caller | None:
        issuer = _issuer(token)
        if issuer is None or len(token) > 16_384:
            return None
        if issuer == self._tokens.issuer:
            found = await self._tokens.verify(token)
            return None if found is None else await self._sessions.caller(*found, "token")
        caller = await self._providers.verify(issuer, token)
        # A provider's word does not open a tenant that is shut here, or that there never was.
        return caller if caller is not None and await self._sessions.admits(caller.tenant) else None

    async def by_session(self, session: str) -> Caller | None:
        found = await self._sessions.by_session(session)
        return None if found is None else found[0]


def _issuer(token: str) -> str | None:
    """Who a token says made it: it only chooses whose keys must verify it."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else None
