"""How a secret may be spelt in bytes of any kind, and where it was found."""

import base64
import urllib.parse
from pathlib import Path


def forms(secret: str) -> dict[str, bytes]:
    """Raw, and as base64 (at each of the three places that it can have in a longer text), hexadecimal, URL and JSON write it."""
    raw = secret.encode()
    found = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    found["url"] = urllib.parse.quote(secret, safe="").encode()
    found["json"] = "".join(f"\\u{ord(character):04x}" for character in secret).encode()
    found["backwards"] = raw[::-1]
    found["utf-16"] = secret.encode("utf-16-le")
    for at in range(3):
        # Only whole groups of three bytes look the same whatever comes before and after them.
        inner = raw[(3 - at) % 3 :]
        whole = base64.b64encode(inner[: len(inner) // 3 * 3])
        found[f"base64 at {at}"] = whole
        found[f"base64url at {at}"] = whole.replace(b"+", b"-").replace(b"/", b"_")
    return found


def bytes_forms(key: bytes) -> dict[str, bytes]:
    """The same for a key that is no text."""
    return {"raw": key, "hex": key.hex().encode(), "base64": base64.b64encode(key).rstrip(b"="),
            "base64url": base64.urlsafe_b64encode(key).rstrip(b"=")}  # fmt: skip


def hits(content: bytes, secrets: dict[str, dict[str, bytes]]) -> list[str]:
    return [f"{name} ({form})" for name, spelt in secrets.items() for form, text in spelt.items() if text in content]


def hits_in_files(folder: Path, secrets: dict[str, dict[str, bytes]], *, but: set[Path]) -> list[str]:
    """Over every byte of every file, free pages of databases and their logs included."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in but]
    return [f"{path.relative_to(folder)}: {hit}" for path in files for hit in hits(path.read_bytes(), secrets)]
