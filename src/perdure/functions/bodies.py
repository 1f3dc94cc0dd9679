"""Bodies of HTTP messages: JSON values to bytes and back, by content type (language.md B2, B26)."""

import base64
import binascii
import hashlib
from urllib.parse import parse_qsl, quote_plus

import msgspec

from perdure.language.values import Json, TooMany, canonical, check_count, is_finite

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
TEXT = "text/plain; charset=utf-8"
MAX_FIELDS = 100_000
"""Fields of a form at most."""

_TEXTUAL = frozenset({"application/xml", "application/javascript", "application/yaml", "application/x-ndjson"})


def media_type(content_type: str) -> str:
    """The bare type, lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    kind = media_type(content_type)
    return kind == JSON or kind.endswith("+json")


def text_of(value: Json) -> str:
    """A value as it stands in a header, a query or a form: a text as it is, null empty, all else its JSON text."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def encode(body: Json, content_type: str | None = None) -> tuple[bytes, str]:
    """The bytes of a body, and their content type. ValueError when the body does not fit the type.

    A text is sent as it is under any declared type but a form; without a declared type it is plain text, and every
    other value is JSON. What is declared as `application/octet-stream` is base64 text.
    """
    if content_type is None:
        content_type = TEXT if isinstance(body, str) else JSON
    kind = media_type(content_type)
    if kind == MULTIPART:
        return _multipart(body)
    if isinstance(body, str):
        return _text_bytes(body, kind), content_type
    if kind == FORM:
        return _form(body).encode(), content_type
    if is_json(content_type):
        return json_bytes(body), content_type
    if isinstance(body, int | float) or body is None:
        return text_of(body).encode(), content_type
    raise ValueError(f"An object or array cannot be sent as {kind}: make a text of it, or declare {JSON}.")


def json_bytes(value: Json) -> bytes:
    """JSON text with the keys in their own order. ValueError for NaN and infinity, which JSON has not."""
    if not is_finite(value):
        raise ValueError("NaN and infinity are not JSON numbers.")
    return msgspec.json.encode(value)


def decode(body: bytes, content_type: str | None) -> Json:
    """The value of a body. ValueError when it is not what its content type says.

    JSON becomes its value, a form an object, a text its text; all other bytes base64 text. No body is null.
    """
    if not body:
        return None
    kind = media_type(content_type or "")
    if is_json(kind):
        try:
            check_count(body)
            return msgspec.json.decode(body)
        except TooMany as error:
            raise ValueError(f"{error}: ask for fewer at once, or take it whole with `output: raw`") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the body is not valid JSON ({error})") from None
    if kind == FORM:
        return _read_form(body.decode("utf-8", "replace"))
    if kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXTUAL or not kind:
        text = _read_text(body, content_type or "", strict=not kind)
        if text is not None:
            return text
    return base64.b64encode(body).decode("ascii")


def _read_text(body: bytes, content_type: str, *, strict: bool) -> str | None:
    charset = "utf-8"
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"')
    try:
        return body.decode(charset, "strict" if strict else "replace")
    except (LookupError, UnicodeDecodeError):
        return None


def _text_bytes(body: str, kind: str) -> bytes:
    if kind == "application/octet-stream":
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("A body of application/octet-stream must be base64 text.") from None
    return body.encode("utf-8", "replace")


def _form(body: Json) -> str:
    if not isinstance(body, dict):
        raise ValueError(f"A body of {FORM} must be an object.")  # noqa: TRY004 - the value is wrong, no caller is
    return "&".join(
        f"{quote_plus(name)}={quote_plus(text_of(item))}"
        for name, value in body.items()
        for item in (value if isinstance(value, list) else [value])
    )


def _read_form(text: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS):
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _multipart(body: Json) -> tuple[bytes, str]:
    """RFC 7578. A part is text, a JSON value, or a file `{"filename", "content" (base64), "contentType"?}`."""
    if not isinstance(body, dict):
        raise ValueError(f"A body of {MULTIPART} must be an object.")  # noqa: TRY004 - the value is wrong, no caller is
    # The boundary is made from the content, so that the same call is the same request again.
    boundary = "perdure-" + hashlib.sha256(canonical(body)).hexdigest()[:40]
    lines: list[bytes] = []
    for name, value in body.items():
        for item in value if isinstance(value, list) else [value]:
            heading, content = _part(name, item)
            lines += [b"--" + boundary.encode(), *heading, b"", content]
    lines += [b"--" + boundary.encode() + b"--", b""]
    return b"\r\n".join(lines), f"{MULTIPART}; boundary={boundary}"


def _part(name: str, item: Json) -> tuple[list[bytes], bytes]:
    disposition = f'Content-Disposition: form-data; name="{_quoted(name)}"'
    if isinstance(item, dict) and isinstance(item.get("filename"), str) and isinstance(item.get("content"), str):
        kind = item.get("contentType", "application/octet-stream")
        if not isinstance(kind, str) or not kind.isprintable():
            raise ValueError(f"The content type of the file {name!r} is not valid.")
        heading = [f'{disposition}; filename="{_quoted(item["filename"])}"'.encode(), f"Content-Type: {kind}".encode()]
        return heading, _text_bytes(item["content"], "application/octet-stream")
    if isinstance(item, dict):
        return [disposition.encode(), f"Content-Type: {JSON}".encode()], json_bytes(item)
    return [disposition.encode()], text_of(item).encode("utf-8", "replace")


def _quoted(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
