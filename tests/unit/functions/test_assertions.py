"""Client assertions: what is signed, with what, and what happens without the extra."""

import base64
import hashlib
import hmac
import json
import sys
from types import SimpleNamespace

import pytest

from perdure.functions.assertions import claims, read_claims, sign_with_key, sign_with_secret

SAID = claims("client", "https://as.example/token", now=1000, identifier="j1")

MISSING = "cryptography is not installed (pip install 'perdure[signing]')"


@pytest.fixture
def crypto():
    """The parts of `cryptography` that make and check keys."""
    pytest.importorskip("cryptography", reason=MISSING)
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

    return SimpleNamespace(
        ec=ec, ed25519=ed25519, hashes=hashes, padding=padding, rsa=rsa, serialization=serialization, utils=utils
    )


def raw(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def pem(key, crypto):
    serialization = crypto.serialization
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_hs256():
    header, body, signature = sign_with_secret(SAID, "key").split(".")
    assert json.loads(raw(header)) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(raw(body)) == {
        "iss": "client",
        "sub": "client",
        "aud": "https://as.example/token",
        "jti": "j1",
        "iat": 1000,
        "exp": 1060,
    }
    assert raw(signature) == hmac.digest(b"key", f"{header}.{body}".encode(), hashlib.sha256)


def test_rs256(crypto):
    key = crypto.rsa.generate_private_key(public_exponent=65537, key_size=2048)
    header, body, signature = sign_with_key(SAID, pem(key, crypto)).split(".")
    assert json.loads(raw(header))["alg"] == "RS256"
    key.public_key().verify(
        raw(signature), f"{header}.{body}".encode(), crypto.padding.PKCS1v15(), crypto.hashes.SHA256()
    )


def test_es256(crypto):
    key = crypto.ec.generate_private_key(crypto.ec.SECP256R1())
    header, body, signature = sign_with_key(SAID, pem(key, crypto)).split(".")
    assert json.loads(raw(header))["alg"] == "ES256"
    both = raw(signature)
    der = crypto.utils.encode_dss_signature(int.from_bytes(both[:32], "big"), int.from_bytes(both[32:], "big"))
    key.public_key().verify(der, f"{header}.{body}".encode(), crypto.ec.ECDSA(crypto.hashes.SHA256()))


def test_keys_that_cannot_sign_are_told(crypto):
    with pytest.raises(ValueError, match="no private key"):
        sign_with_key(SAID, "hello")
    with pytest.raises(ValueError, match="RSA key or one on the curve"):
        sign_with_key(SAID, pem(crypto.ed25519.Ed25519PrivateKey.generate(), crypto))


def test_without_the_extra_its_name_is_told(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"perdure\[signing\]"):
        sign_with_key(SAID, "x")


def test_claims_are_read_from_tokens_only():
    assert read_claims(sign_with_secret(SAID, "key"))["jti"] == "j1"
    assert read_claims("opaque") is None
    assert read_claims("a.!.c") is None
    assert read_claims("a.W10.c") is None
