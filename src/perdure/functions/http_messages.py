"""HTTP messages as `call: http` and `call: openapi` share them: the request, its answer as output, its failures.

RULES (language.md B2, B26, T29)
- A status of 400 and more is a `communication` fault with that status; 3xx too, unless `redirect: true`, and then the
  3xx itself is the answer: it is never followed.
- A connection that fails is `communication`/500 and its outcome unknown: even when nothing was sent now, a delivery of
  the same call that a crash cut short may have been. An address that is not permitted is `communication`/403.
- What a secret went into is shown with stars instead of it.
"""

import base64
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec

from perdure.functions import bodies
from perdure.interpreter.faults import problem
from perdure.interpreter.redaction import Redaction
from perdure.language.values import Json
from perdure.ports.egress import Response
from perdure.ports.function import Context, Effect, FunctionFault
from perdure.ports.spans import TRACEPARENT

EXCERPT = 1_000
"""So many characters of an answer's body go into a fault's `detail`."""
TIMEOUT = 120.0
"""Seconds for a call without a deadline of its own."""
LONGEST = 86_400.0
"""Seconds for a call with a deadline: the engine ends it then, not we."""

EFFECTS: dict[str, Effect] = {
    "GET": "read",
    "HEAD": "read",
    "OPTIONS": "read",
    "TRACE": "read",
    "PUT": "idempotent",
    "DELETE": "idempotent",
}
"""RFC 9110, 9.2; every other method is unsafe unless its author sends an `Idempotency-Key` of his own."""

_LOST = frozenset({502, 504})
"""A gateway says so: whether the server behind it acted is not known."""


class Request(msgspec.Struct, kw_only=True):
    """A request, ready but for its credentials."""

    method: str
    uri: str
    headers: dict[str, str]
    body: bytes | None = None
    timeout: float = TIMEOUT

    def header(self, name: str) -> str | None:
        for key, value in self.headers.items():
            if key.lower() == name.lower():
                return value
        return None


Redact = Callable[[str], str]


def effect_of(method: str, headers: Json) -> Effect:
    """What kind of effect a request has; with an `Idempotency-Key` its author says that the server heeds it."""
    effect = EFFECTS.get(method.upper(), "unsafe")
    if effect == "unsafe" and isinstance(headers, dict) and any(name.lower() == "idempotency-key" for name in headers):
        return "idempotent"
    return effect


def time_limit(context: Context) -> float:
    return TIMEOUT if context.deadline is None else LONGEST


def headers_of(given: Json, method: str, context: Context) -> dict[str, str]:
    """Headers as texts: null leaves one out. Adds the idempotency key wherever something may be changed, and the trace."""
    if given is not None and not isinstance(given, dict):
        raise refused("`headers` must be an object of texts.")
    headers: dict[str, str] = {}
    for name, value in (given or {}).items():
        if isinstance(value, list | dict):
            raise refused(f"The header {name} must be a text, a number or a boolean.")
        if value is not None:
            headers[name] = bodies.text_of(value)
    if EFFECTS.get(method) != "read" and not any(name.lower() == "idempotency-key" for name in headers):
        headers["Idempotency-Key"] = context.key
    if (trace := TRACEPARENT.get()) and not any(name.lower() == "traceparent" for name in headers):
        headers["traceparent"] = trace
    return headers


def with_query(uri: str, pairs: list[tuple[str, str]]) -> str:
    """The address with these pairs behind its own query."""
    if not pairs:
        return uri
    address, mark, fragment = uri.partition("#")
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    joint = "" if address.endswith(("?", "&")) else "&" if "?" in address else "?"
    return f"{address}{joint}{query}{mark}{fragment}"


def query_pairs(given: Json) -> list[tuple[str, str]]:
    """A `query` as pairs: an array repeats its key, null leaves it out."""
    if given is None:
        return []
    if not isinstance(given, dict):
        raise refused("`query` must be an object of texts.")
    pairs = []
    for name, value in given.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, list | dict):
                raise refused(f"The query parameter {name} must be a text, a number, a boolean or an array of them.")
            if item is not None:
                pairs.append((name, bodies.text_of(item)))
    return pairs


def output_of(response: Response, shown: Request, form: str, secrets: Redaction) -> Json:
    """The call's output as `output` asks for it: `content`, `raw` (base64) or `response`. What a server repeats of the
    secrets that it was sent is hidden."""
    if form == "raw":
        return base64.b64encode(secrets.content(response.body)).decode("ascii")
    content = _content(response, secrets)
    if form != "response":
        return content
    masked = {name.lower(): value for name, value in shown.headers.items()}
    return {
        "request": {
            "method": response.method,
            "uri": shown.uri,
            "headers": {name: masked.get(name, value) for name, value in response.request_headers.items()},
        },
        "statusCode": response.status,
        "headers": secrets.value(response.headers),
        "content": content,
    }


def check_status(response: Response, shown: Request, *, redirect: bool, redact: Redact) -> None:
    """FunctionFault for a status that is an error (T29)."""
    status = response.status
    if status < 300 or (status < 400 and redirect):
        return
    reason = _reason(status)
    detail = f"{response.method} {shown.uri} answered {status} {reason}".rstrip()
    if status < 400:
        location = redact(response.headers.get("location", "nowhere"))
        detail += f" to {location[:EXCERPT]}. A redirect is an error unless `redirect: true`."
    else:
        excerpt = _excerpt(response, redact)
        detail += f": {excerpt}" if excerpt else "."
    outcome: Any = "unknown" if status in _LOST and EFFECTS.get(response.method) != "read" else "definite"
    raise FunctionFault(problem("communication", status=status, title=reason or None, detail=detail), outcome)


def unreachable(request: Request, message: str) -> FunctionFault:
    """The fault for a connection that failed."""
    return FunctionFault(
        problem("communication", title="no answer", detail=f"{request.method} {request.uri}: {message}"),
        "unknown",
    )


def not_permitted(message: str) -> FunctionFault:
    """The fault for an address that this installation does not permit."""
    return FunctionFault(problem("communication", status=403, title="address refused", detail=message))


def refused(detail: str) -> FunctionFault:
    """The fault for arguments that do not fit."""
    return FunctionFault(problem("validation", title="arguments refused", detail=detail))


def _content(response: Response, secrets: Redaction) -> Json:
    kind = response.headers.get("content-type")
    try:
        if not bodies.is_json(kind or ""):
            return bodies.decode(secrets.content(response.body), kind)
        return secrets.value(bodies.decode(response.body, kind))
    except ValueError as error:
        raise FunctionFault(
            problem(
                "communication",
                title="answer not readable",
                detail=secrets.text(f"{response.method} answered {response.status}, but {error}."),
            )
        ) from None


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _excerpt(response: Response, redact: Redact) -> str:
    """The beginning of what a failing server says, as text."""
    kind = bodies.media_type(response.headers.get("content-type", ""))
    if kind.startswith(("image/", "audio/", "video/")) or kind == "application/octet-stream":
        return ""
    text = redact(response.body[: EXCERPT * 4].decode("utf-8", "replace")).strip()
    return text if len(text) <= EXCERPT else text[:EXCERPT] + "…"
