"""What the user hands in: documents, JSON arguments, settings. Every way it can be wrong ends as one sentence."""

import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from perdure import settings
from perdure.errors import Denied, Invalid, NotFound
from perdure.language.read import MAX_BYTES, Reading, Unreadable, read
from perdure.language.values import Json, is_finite
from perdure.settings import Settings

STDIN = "-"
_WRITE_JSON = 'Write JSON, for example \'{"name": "Ada"}\', or @FILE to read it from a file.'
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}
_LONGEST_AGE = 9
_escape = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
"""Escapes in JSON text; the half of a surrogate pair by its name."""


def read_settings() -> Settings:
    """The settings of this process's environment; a name that is no setting is told on standard error."""
    for line in settings.warnings(os.environ):
        print(f"perdure: {line}", file=sys.stderr)
    try:
        return settings.read(os.environ)
    except ValueError as error:
        raise Invalid(str(error), hint="See docs/operate.md for all settings.") from None


def read_bytes(source: str, what: str) -> bytes:
    """The whole content of a file, or of standard input for `-`, up to the size that a document may have."""
    if not source:
        raise Invalid(f"The path of the {what} is empty.", hint="Write a path, or - for standard input.")
    try:
        if source == STDIN:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"There is no file {source}.", hint=f"Check the path of the {what}.") from None
    except IsADirectoryError:
        raise Invalid(f"{source} is a directory.", hint=f"Give the path of the {what} itself.") from None
    except PermissionError:
        raise Denied(f"{source} may not be read by this user.", hint="Check the permissions of the file.") from None
    except ValueError as error:
        raise Invalid(f"{source!r} is not a path: {error}.") from None
    if len(content) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1_000_000} MB"
        raise Invalid(f"The {what} {source} is larger than {limit}.", hint="Keep large data outside and refer to it.")
    return content


def read_document(source: str) -> Reading:
    """A document with the places of its parts. Unreadable, with its place, when it is neither YAML nor JSON."""
    content = read_bytes(source, "document")
    if not content.strip():
        raise Invalid(f"The document {source} is empty.", hint="Start from an example: see README.md.")
    return read(content)


def runnable(source: str) -> Reading:
    """A document. Invalid names the file and the place when it cannot be read."""
    try:
        return read_document(source)
    except Unreadable as error:
        raise Invalid(f"{source}: {error.message}", hint=error.hint) from None


def json_argument(text: str | None, option: str, default: Json = None) -> Json:
    """The value of an option that takes JSON, `@FILE` (JSON or YAML by its suffix), or `-` for standard input."""
    if text is None:
        return default
    if text == STDIN or text.startswith("@"):
        source = text.removeprefix("@")
        content = read_bytes(source, f"file for {option}")
        if source.endswith((".yaml", ".yml")):
            return _yaml(content, option, source)
        return _json(content, option, f" in {source}" if source != STDIN else " on standard input")
    return _json(text.encode(errors="surrogateescape"), option, "")


def _json(content: bytes, option: str, where: str) -> Json:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason, hint = _trouble(content) or (f"is not JSON: {str(error).rstrip('.')}", _WRITE_JSON)
        raise Invalid(f"The value of {option}{where} {reason}.", hint=hint) from None
    except RecursionError:
        raise Invalid(f"The value of {option}{where} is nested too deeply.") from None
    if not is_finite(value):
        raise Invalid(f"The value of {option}{where} holds a number that is too large.")
    return value


def _trouble(content: bytes) -> tuple[str, str] | None:
    """What the decoder of JSON has no good words for, and what to do about it."""
    if not content.strip():
        return "is empty, which is not JSON", _WRITE_JSON
    try:
        content.decode()
    except UnicodeDecodeError as error:
        hint = "Save the text as UTF-8; in JSON every character can be written as \\uXXXX."
        return f"is not JSON, which is UTF-8 text: its byte {error.start} belongs to no character", hint
    half = next((found["half"] for found in _escape.finditer(content) if found["half"]), None)
    if half is not None:
        hint = "Write both halves of the pair, such as \\ud83d\\ude00, or the character itself."
        return f"holds \\{half.decode()}, which is half a character and cannot be kept", hint
    return None


def _yaml(content: bytes, option: str, source: str) -> Json:
    try:
        return read(content).value
    except Unreadable as error:
        raise Invalid(f"The value of {option} in {source} cannot be read: {error.message}", hint=error.hint) from None


def age(text: str, option: str) -> int:
    """Milliseconds of an age such as `30d`."""
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not number.isascii() or not number.isdigit() or len(number) > _LONGEST_AGE:
        raise Invalid(f"{option} {text!r} is no age.", hint="Write a whole number and a unit: 30d, 12h, 45m or 10s.")
    return int(number) * unit


def instant(text: str | None, option: str) -> str:
    """A moment as RFC 3339: given as one, as a date, or as an age (`2h` ago). Without a zone it is one of the user's own."""
    if not text:
        return ""
    if text[-1] in _UNITS and text[:-1].isdigit():
        return _rfc3339(time.time() - age(text, option) / 1000)
    try:
        return _rfc3339(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        raise Invalid(
            f"{option} {text[:80]!r} is no moment.", hint="Write 2026-03-01, 2026-03-01T08:30, or an age such as 2h."
        ) from None


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def data_directory(option: str | None, chosen: Settings) -> Path:
    """The directory of the journal: `--data`, else PERDURE_DATA, else the place XDG gives to programs."""
    share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    directory = Path(option or chosen.data or f"{share}/perdure").expanduser()
    if directory.exists() and not directory.is_dir():
        raise Invalid(f"{directory} is not a directory.", hint="Name the data directory with --data.")
    return directory
