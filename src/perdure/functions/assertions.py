"""Client assertions (RFC 7523): short-lived JWTs by which an OAuth client says who it is. HS256 with the standard
library; RS256 and ES256 with `cryptography` (extra `signing`), imported when one is really signed.
"""

import base64
import hashlib
import hmac
from typing import Any

import msgspec

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 60
"""Seconds."""


def claims(client: str, audience: str, *, now: int, identifier: str) -> dict[str, Any]:
    """What an assertion says. `now` in seconds since the epoch; `identifier` is never used twice."""
    return {"iss": client, "sub": client, "aud": audience, "jti": identifier, "iat": now, "exp": now + LIFETIME}


def sign_with_secret(said: dict[str, Any], secret: str) -> str:
    """`client_secret_jwt`: HS256 with the client's secret."""
    signed = _signed_part("HS256", said)
    return f"{signed}.{_text(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def sign_with_key(said: dict[str, Any], pem: str) -> str:
    """`private_key_jwt`: RS256 or ES256, as the private key (PEM) is. ValueError with one sentence otherwise."""
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
    except ImportError:
        raise ValueError(
            "signing with a private key needs the extra `signing`: pip install 'perdure[signing]'"
        ) from None
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("client.secret is no private key in PEM form") from None
    if isinstance(key, rsa.RSAPrivateKey):
        signed = _signed_part("RS256", said)
        return f"{signed}.{_text(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        signed = _signed_part("ES256", said)
        r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_text(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
    raise ValueError("the private key must be an RSA key or one on the curve P-256")


def read_claims(token: str) -> dict[str, Any] | None:
    """What a JWT says, unverified; None when the token is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        said = msgspec.json.decode(base64.urlsafe_b64decode(padded))
    except (ValueError, msgspec.DecodeError):
        return None
    return said if isinstance(said, dict) else None


def _signed_part(algorithm: str, said: dict[str, Any]) -> str:
    header = {"alg": algorithm, "typ": "JWT"}
    return f"{_text(msgspec.json.encode(header))}.{_text(msgspec.json.encode(said))}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
