"""One request of the API as a value: where it goes, what it carries, and what its answer is. Sends nothing.

Errors of the server come back as the same kinds of `errors.py` that the server raised.
"""

import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from perdure import errors
from perdure.errors import MEANINGS, Bug, Invalid, PerdureError, Unavailable

T = TypeVar("T")
KINDS: dict[str, type[PerdureError]] = {kind.code: kind for kind in MEANINGS}
_BY_STATUS = {meaning.status: kind for kind, meaning in MEANINGS.items()}
PREFIX = "/api/v1"
_REASONS = 5


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A request and the type of its answer. Without `answer` there is none."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    answer: Any = None

    @property
    def target(self) -> str:
        """Path and query, behind the address of the server."""
        return f"{PREFIX}{self.path}" + (f"?{urlencode(self.query)}" if self.query else "")

    def read(self, status: int, body: bytes, next: str | None = None) -> T:
        """The answer, or the error that the server raised. `next` is what the header Perdure-Next said."""
        if status >= 300:
            raise error(status, body)
        if self.answer is None:
            return None  # type: ignore[return-value]
        if self.answer is Csv:
            return Csv(body.decode(), next)  # type: ignore[return-value]
        try:
            found: T = msgspec.json.decode(body, type=self.answer)
        except msgspec.DecodeError as wrong:
            raise Bug(f"The server's answer to {self.method} {self.path} cannot be read: {wrong}.") from None
        return found


class Csv(msgspec.Struct, frozen=True):
    """Rows as text, with a line of names. `next` is the cursor of the rows after them."""

    text: str
    next: str | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. `next` is the cursor of the page after it."""

    items: list[T]
    next: str | None = None


def call(method: str, *path: str, answer: Any = None, query: Mapping[str, Any] | None = None, **more: Any) -> Call[Any]:
    """A request; each part of the path is escaped. `more`: `body` (a JSON value), `raw` and `type`, `headers`."""
    given = {name: value for name, value in (query or {}).items() if value not in (None, "", [])}
    parts = [
        (name, _text(one)) for name, value in given.items() for one in (value if isinstance(value, list) else [value])
    ]
    body = _encoded(more["body"]) if "body" in more else more.get("raw")
    return Call(
        method=method,
        path="/" + "/".join(quote(part, safe="") for part in path),
        query=tuple(parts),
        body=body,
        type=more.get("type", "application/json"),
        headers=tuple((more.get("headers") or {}).items()),
        answer=answer,
    )


def _encoded(value: Any) -> bytes:
    """A value as JSON. Invalid for what JSON does not have: it must not arrive as something else."""
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
        return json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"This cannot be sent as JSON: {error}.") from None


def error(status: int, body: bytes) -> PerdureError:
    """The error that an answer stands for (RFC 9457), or Unavailable when something in between answered."""
    try:
        problem = msgspec.json.decode(body)
    except msgspec.DecodeError:
        problem = None
    if not isinstance(problem, dict) or "title" not in problem:
        kind: type[PerdureError] = Unavailable if status >= 500 else _BY_STATUS.get(status, errors.Invalid)
        return kind(f"The server answered {status}.", hint="Is there a Perdure server at this address?")
    kind = KINDS.get(str(problem.get("code")), _BY_STATUS.get(status, Unavailable if status >= 500 else errors.Invalid))
    given = problem.get("details")
    details = {"request": problem.get("request"), **(given if isinstance(given, dict) else {})}
    details = {name: value for name, value in details.items() if name not in ("message", "hint")}
    message = str(problem.get("detail") or problem["title"])
    return kind(_with_reasons(message, problem.get("errors")), hint=problem.get("hint"), **details)


def _with_reasons(message: str, found: object) -> str:
    """The sentence, and what does not fit where (`errors` of the problem)."""
    listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    reasons = [
        f"{str(one.get('pointer', '')).removeprefix('#/') or 'the body'}: {one.get('detail')}"
        for one in listed[:_REASONS]
    ]
    return f"{message.rstrip('.')}: {'; '.join(reasons)}." if reasons else message


def _text(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)
