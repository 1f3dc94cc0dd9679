"""`call: http` (language.md B2, B26, T29)."""

from typing import Any

from perdure.functions import bodies
from perdure.functions.authentication import Authenticator
from perdure.functions.http_messages import (
    Request,
    check_status,
    effect_of,
    headers_of,
    output_of,
    query_pairs,
    refused,
    time_limit,
    with_query,
)
from perdure.functions.secret_use import SecretUse, has_secret, hidden
from perdure.language.values import Json
from perdure.ports.function import Context, Effect, FunctionFault

_INPUT: dict[str, Any] = {
    "type": "object",
    "required": ["method", "endpoint"],
    "properties": {
        "method": {"type": "string"},
        "endpoint": {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "required": ["uri"], "properties": {"uri": {}, "authentication": {}}},
            ]
        },
        "headers": {},
        "query": {},
        "body": {},
        "output": {"enum": ["content", "raw", "response"]},
        "redirect": {"type": "boolean"},
    },
}


class Http:
    """One HTTP request."""

    name = "http"
    version = "1.0.0"
    effect: Effect = "unsafe"
    summary = "Sends one HTTP request and gives its answer."
    input_schema = _INPUT
    output_schema: dict[str, Any] = {}

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        method = arguments.get("method") if isinstance(arguments, dict) else None
        return effect_of(method, arguments.get("headers")) if isinstance(method, str) else "unsafe"

    async def execute(self, arguments: Json, context: Context) -> Json:
        """The answer in the form that `output` asks for. Faults as `http_messages.py` says."""
        if not isinstance(arguments, dict):
            raise refused("`with` must be an object.")
        use = SecretUse(context)
        form, redirect = _options(arguments)
        policy = _policy(arguments.get("endpoint"))
        parts = {name: value for name, value in arguments.items() if name != "endpoint"}
        parts["endpoint"] = _address(arguments.get("endpoint"))
        request = build(use.open(parts), context)
        shown = _shown(request, parts, context)
        response = await self._authenticator.send(request, policy, context, use=use, shown=shown)
        check_status(response, shown, redirect=redirect, redact=use.redact)
        return output_of(response, shown, form, use.redaction)


def build(parts: dict[str, Json], context: Context) -> Request:
    """The request of evaluated, opened arguments."""
    method = parts.get("method")
    if not isinstance(method, str) or not method:
        raise refused("`method` must be a text like GET.")
    method = method.upper()
    uri = parts.get("endpoint")
    if not isinstance(uri, str) or not uri:
        raise refused("`endpoint` must be an address.")
    headers = headers_of(parts.get("headers"), method, context)
    request = Request(
        method=method,
        uri=with_query(uri, query_pairs(parts.get("query"))),
        headers=headers,
        timeout=time_limit(context),
    )
    if parts.get("body") is not None:
        declared = request.header("content-type")
        try:
            request.body, content_type = bodies.encode(parts["body"], declared)
        except ValueError as error:
            raise refused(str(error)) from None
        if declared != content_type:
            request.headers = {key: value for key, value in headers.items() if key.lower() != "content-type"}
            request.headers["Content-Type"] = content_type
    return request


def _shown(request: Request, parts: dict[str, Json], context: Context) -> Request:
    """The request as it may be shown. Without secrets that is the request itself."""
    if not has_secret({name: parts.get(name) for name in ("method", "endpoint", "headers", "query")}):
        return request
    try:
        shown = build(hidden({**parts, "body": None}), context)
    except FunctionFault:  # stars do not fit everywhere
        return Request(method=request.method, uri="***", headers=dict.fromkeys(request.headers, "***"))
    return shown


def _options(arguments: dict[str, Json]) -> tuple[str, bool]:
    form = arguments.get("output") or "content"
    if form not in ("content", "raw", "response"):
        raise refused("`output` must be content, raw or response.")
    return form, arguments.get("redirect") is True


def _address(endpoint: Json) -> Json:
    return endpoint.get("uri") if isinstance(endpoint, dict) and "uri" in endpoint else endpoint


def _policy(endpoint: Json) -> Json:
    return endpoint.get("authentication") if isinstance(endpoint, dict) else None
