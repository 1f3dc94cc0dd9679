"""Secrets at rest: AES-256-GCM under a key of the tenant, which is derived from a key of the installation (HKDF, RFC 5869).

The additional data binds tenant and place. The first key seals; any opens, so a key is changed by putting a new one first.
"""

import base64
import contextlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from perdure.errors import Invalid, Unavailable

_JOURNAL = "journal.db"
_FORM = b"\x01"
_NONCE = 12
_MARK = 4
"""Bytes that tell which key sealed, so that opening tries one."""


class KeySealing:
    """Sealing under keys of 32 bytes."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise Invalid("A master key is 32 bytes.", hint="Make one with `openssl rand -base64 32`.")
        self._keys = {_derived(key, b"perdure mark")[:_MARK]: key for key in keys}
        self._first = next(iter(self._keys))
        self._tenants: dict[tuple[bytes, str], AESGCM] = {}

    def __repr__(self) -> str:
        return f"KeySealing({len(self._keys)} keys)"

    def seal(self, tenant: str, place: str, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        sealed = self._of(self._first, tenant).encrypt(nonce, secret, _bound(tenant, place))
        return _FORM + self._first + nonce + sealed

    def open(self, tenant: str, place: str, sealed: bytes) -> bytes:
        mark, nonce = sealed[1 : 1 + _MARK], sealed[1 + _MARK : 1 + _MARK + _NONCE]
        if sealed[:1] != _FORM or mark not in self._keys:
            raise Unavailable(
                "A stored secret was sealed with another master key.",
                hint="Add the earlier key to PERDURE_MASTER_KEYS, behind the first.",
            )
        try:
            return self._of(mark, tenant).decrypt(nonce, sealed[1 + _MARK + _NONCE :], _bound(tenant, place))
        except InvalidTag:
            raise Unavailable("A stored secret does not belong where it was found, or is damaged.") from None

    def _of(self, mark: bytes, tenant: str) -> AESGCM:
        found = self._tenants.get((mark, tenant))
        if found is None:
            if len(self._tenants) > 10_000:
                self._tenants.clear()
            found = AESGCM(_derived(self._keys[mark], b"perdure tenant " + tenant.encode()))
            self._tenants[mark, tenant] = found
        return found


def keys_from(texts: tuple[str, ...]) -> tuple[bytes, ...]:
    """Keys as settings have them: 32 bytes in base64 each. Invalid for anything else."""
    try:
        return tuple(base64.b64decode(text, validate=True) for text in texts)
    except ValueError:
        raise Invalid("A master key is not base64.", hint="Make one with `openssl rand -base64 32`.") from None


def key_of_file(path: Path) -> bytes:
    """The key of an installation on one machine, made at the first call, before there is anything to seal. The file is
    readable by its owner only, and there with its whole content or not at all."""
    try:
        return _kept(path)
    except FileNotFoundError:
        if any(one.name != _JOURNAL for one in path.parent.glob("*.db")):
            raise Invalid(
                f"{path} is missing: the key that seals the secrets in the databases beside it.",
                hint="Bring it back from your backup. Only a new one, `openssl rand -base64 32`, can take the place of one that is"
                " lost; webhooks and second factors have to be made again then.",
            ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(base64.b64encode(os.urandom(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was faster; its key counts
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return _kept(path)


def _kept(path: Path) -> bytes:
    text = path.read_text(errors="replace").strip()
    try:
        key = keys_from((text,))[0]
    except Invalid:
        key = b""
    if len(key) != 32:
        raise Invalid(f"{path} holds no key of 32 bytes in base64.", hint="Bring it back from your backup.")
    return key


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(key)


def _bound(tenant: str, place: str) -> bytes:
    return f"{len(tenant)}:{tenant}:{place}".encode()
