"""Our own issuer: short-lived access tokens (JWT, ES256; RFC 9068) and the public keys (JWKS) that verify them.

A new signing key is made every ninety days; those before it verify until all their tokens have expired.
"""

import asyncio
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from perdure.ports.database import EVERY, Transaction
from perdure.services.identity import store
from perdure.services.identity.models import Session, User
from perdure.services.identity.service import Ground

AUDIENCE = "perdure"
ALGORITHM = "ES256"
_SECONDS = 600
_KEY_MS = 90 * 86_400_000
_FRESH_MS = 60_000
_PLACE = "issuer_keys/{}/private"


class Tokens:
    """Issues and verifies access tokens of this installation."""

    def __init__(self, ground: Ground, issuer: str) -> None:
        self._ground = ground
        self.issuer = issuer
        self._signing: ECKey | None = None
        self._verifying = KeySet([])
        self._read_at = -_FRESH_MS
        self._turn = asyncio.Lock()

    async def issue(self, user: User, session: Session) -> tuple[str, int]:
        """An access token of a session, and how many seconds it lives."""
        await self._refresh()
        assert self._signing is not None
        now = self._ground.clock.now() // 1000
        claims = {
            "iss": self.issuer, "aud": AUDIENCE, "sub": user.id, "tenant": user.tenant, "sid": session.id,
            "iat": now, "exp": now + _SECONDS, "jti": self._ground.id("jti"),
        }  # fmt: skip
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": self._signing.kid}
        return jwt.encode(header, claims, self._signing, algorithms=[ALGORITHM]), _SECONDS

    async def verify(self, token: str) -> tuple[str, str] | None:
        """(tenant, session) of a token of ours that has not expired, or None."""
        await self._refresh()
        try:
            decoded = jwt.decode(token, self._verifying, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None  # a stranger's text, of any shape
        claims, now = decoded.claims, self._ground.clock.now() // 1000
        is_right = (
            decoded.header.get("typ") == "at+jwt"
            and claims.get("iss") == self.issuer
            and claims.get("aud") == AUDIENCE
            and isinstance(claims.get("exp"), int)
            and claims["exp"] > now
        )
        tenant, session = claims.get("tenant"), claims.get("sid")
        return (tenant, session) if is_right and isinstance(tenant, str) and isinstance(session, str) else None

    async def jwks(self) -> dict[str, Any]:
        """The public keys, as RFC 7517 has them."""
        await self._refresh()
        return {"keys": [key.as_dict(private=False) for key in self._verifying.keys]}

    async def _refresh(self) -> None:
        """Read the keys again now and then: another process may have made a new one."""
        async with self._turn:
            now = self._ground.clock.now()
            if self._signing is not None and now - self._read_at < _FRESH_MS:
                return
            rows = await self._ground.database.read(EVERY, lambda connection: store.all_issuer_keys(connection, EVERY))
            if not rows or now - rows[0][1] > _KEY_MS:
                await self._make(now)
                rows = await self._ground.database.read(
                    EVERY, lambda connection: store.all_issuer_keys(connection, EVERY)
                )
            id, _, _, private = rows[0]
            opened = self._ground.sealing.open(EVERY, _PLACE.format(id), private)
            self._signing = ECKey.import_key(msgspec.json.decode(opened))
            living = [row for index, row in enumerate(rows) if index == 0 or now - rows[index - 1][1] < 86_400_000]
            self._verifying = KeySet([ECKey.import_key(msgspec.json.decode(row[2])) for row in living])
            self._read_at = now

    async def _make(self, now: int) -> None:
        id = self._ground.id("jwk")
        key = ECKey.generate_key("P-256", {"kid": id, "use": "sig", "alg": ALGORITHM})
        private = self._ground.sealing.seal(EVERY, _PLACE.format(id), msgspec.json.encode(key.as_dict(private=True)))
        public = msgspec.json.encode(key.as_dict(private=False)).decode()

        def work(tx: Transaction) -> None:
            newest = store.all_issuer_keys(tx.connection, EVERY)[:1]
            if not newest or now - newest[0][1] > _KEY_MS:
                store.add_issuer_key(tx.connection, EVERY, id, created=now, public=public, private=private)

        await self._ground.database.write(EVERY, work)
