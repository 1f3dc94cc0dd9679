"""Every error as problem+json (RFC 9457): what went wrong, what to do, and nothing of our insides."""

import http
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.errors import MEANINGS, Bug, Conflict, PerdureError, Unavailable
from perdure.gateway.exchange import exchange
from perdure.ports.edge import CALLER
from perdure.ports.log import REQUEST, Log
from perdure.ports.shapes import Line

TYPE = "urn:perdure:problem:"
MEDIA_TYPE = b"application/problem+json"
_BUG = "Something went wrong on our side. The log has more under the id of this request."
_AWAY = "A part that this needs cannot be reached now; try again later. `/ready` names it, and the log says why."
_NO_LINE = "Text should be one line, without control characters"
_encode = msgspec.json.Encoder().encode
_MOST_ERRORS = 50


Form = Callable[[int, dict[str, Any]], tuple[int, dict[str, Any]]]
"""Status and members of a problem (`code`, `detail`, ...) as the clients of other people's APIs expect them."""


class Refused(Exception):
    """The edge itself says no: a status that no error of a service has."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.more = more
        super().__init__(detail)


class Problems:
    """Turns whatever is raised below into an answer. Once an answer has begun, its connection is cut instead."""

    def __init__(self, app: ASGIApp, log: Log, forms: Mapping[str, Form]) -> None:
        self._app = app
        self._log = log
        self._forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            seen = exchange(scope)
            if seen.begun:
                self._log("error", "answer cut short", **_raised(error))
                raise
            form = self._forms.get(seen.entry.problems) if seen.entry is not None else None
            await answer(send, *self._told(error, is_known=CALLER in scope), form)

    def _told(self, error: Exception, *, is_known: bool) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Where a part is looked for, and why it does not answer, is nothing for strangers."""
        status, headers, body = told(error)
        if status >= 500 and status != 503:
            self._log("error", "request failed", **_raised(error))
        if isinstance(error, Unavailable) and not is_known:
            self._log("warning", "part away", reason=error.message)
            body = {"code": error.code, "detail": _AWAY}
        return status, headers, body


async def answer(
    send: Send, status: int, headers: dict[str, str], body: dict[str, Any], form: Form | None = None
) -> None:
    """Send a problem document, or what `form` makes of it."""
    if form is None:
        (_, encoded), media = document(status, body | _request()), MEDIA_TYPE
    else:
        status, content = form(status, body)
        encoded, media = _encode(content), b"application/json"
    raw = [(b"content-type", media), (b"content-length", b"%d" % len(encoded))]
    raw += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": encoded})


def document(status: int, body: dict[str, Any]) -> tuple[str, bytes]:
    """The title of a status, and the problem document of these members."""
    title = _title(status)
    return title, _encode({"type": TYPE + body["code"], "title": title, "status": status} | body)


def told(error: BaseException) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and members of the problem that an exception means outside."""
    if isinstance(error, PerdureError):
        return _of_ours(error)
    if isinstance(error, Refused):
        return error.status, error.headers, {"code": error.code, "detail": error.detail, **error.more}
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        detail = error.detail if isinstance(error.detail, str) else _title(error.status_code)
        return error.status_code, dict(error.headers or {}), {"code": _code(error.status_code), "detail": detail}
    return 500, {}, {"code": Bug.code, "detail": _BUG}


def _of_ours(error: PerdureError) -> tuple[int, dict[str, str], dict[str, Any]]:
    found = MEANINGS.get(type(error)) or next(
        (MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS), None
    )
    if found is None or found.status == 500:
        return 500, {}, {"code": Bug.code, "detail": _BUG}
    status = 412 if isinstance(error, Conflict) and error.details.get("precondition") else found.status
    body: dict[str, Any] = {"code": error.code, "detail": error.message}
    if error.hint:
        body["hint"] = error.hint
    details = {name: value for name, value in error.details.items() if name != "precondition"}
    if details:
        body["details"] = _plain(details)
    headers = {"Retry-After": "1"} if found.status == 503 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return status, headers, body


def _of_validation(error: RequestValidationError) -> tuple[int, dict[str, str], dict[str, Any]]:
    raised = list(error.errors())
    if any(one.get("type") == "json_invalid" for one in raised):
        return 400, {}, {"code": "malformed", "detail": "The body is not JSON.", "errors": list(_errors(raised))}
    return 422, {}, {"code": "invalid", "detail": "The request does not fit.", "errors": list(_errors(raised))}


def _errors(raised: list[Any]) -> Iterator[dict[str, str]]:
    """Place and reason only: the value that was given is not sent back."""
    for one in raised[:_MOST_ERRORS]:
        where, *path = one.get("loc", ("",))
        is_line = one.get("ctx", {}).get("pattern") == Line
        reason = _NO_LINE if is_line else str(one.get("msg", ""))[:300]
        if where == "body":
            yield {"pointer": "#" + "".join(f"/{_escaped(str(part))}" for part in path), "detail": reason}
        else:
            yield {"parameter": ".".join(str(part) for part in path), "in": str(where), "detail": reason}


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")[:200]


def _plain(value: Any) -> Any:
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return str(value)


def _request() -> dict[str, str]:
    request = REQUEST.get()
    return {"request": request} if request else {}


def _title(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _code(status: int) -> str:
    return _title(status).lower().replace(" ", "-").replace("'", "")


def _raised(error: BaseException) -> dict[str, Any]:
    return {"error": type(error).__name__, "trace": "".join(traceback.format_exception(error))[-8000:]}
