"""`call: openapi` (language.md B3): an operation by its id, its parameters by their names.

Parameters go where the document says: path, query, header, cookie, form or body. The body is the parameter `body`, or
is put together from those parameters that are properties of its schema. `apiKey` schemes are parameters as well, or
take the token of a `bearer` policy.
"""

import difflib
import hashlib
from typing import Any

from perdure.errors import Invalid
from perdure.functions import bodies, openapi_parameters
from perdure.functions.authentication import Authenticator
from perdure.functions.http_messages import (
    Request,
    check_status,
    effect_of,
    headers_of,
    output_of,
    refused,
    time_limit,
)
from perdure.functions.openapi_document import Api, Operation, parse, wrong
from perdure.functions.secret_use import SecretUse, has_secret, hidden
from perdure.interpreter import handles
from perdure.language.values import Json
from perdure.ports.function import Context, Effect, FunctionFault

_CACHED = 32
_PREFERRED = (bodies.JSON, bodies.FORM, bodies.MULTIPART, "text/plain")

_INPUT: dict[str, Any] = {
    "type": "object",
    "required": ["document", "operationId"],
    "properties": {
        "document": {"type": "object"},
        "operationId": {"type": "string"},
        "parameters": {"type": "object"},
        "authentication": {"type": "object"},
        "output": {"enum": ["content", "raw", "response"]},
        "redirect": {"type": "boolean"},
    },
}


class OpenApi:
    """One call of an operation of an OpenAPI document."""

    name = "openapi"
    version = "1.0.0"
    effect: Effect = "unsafe"
    summary = "Calls an operation of a service that an OpenAPI or Swagger document describes."
    input_schema = _INPUT
    output_schema: dict[str, Any] = {}

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._pinned: dict[int, tuple[Json, Api]] = {}
        """By identity: an entry holds its document, so no other one can take its place."""
        self._fetched: dict[str, Api] = {}
        """By hash of the text."""

    def __repr__(self) -> str:
        return f"OpenApi({len(self._pinned)} pinned, {len(self._fetched)} fetched documents)"

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        """By the method of the operation, when its document is pinned; otherwise nobody knows yet: `unsafe`."""
        try:
            address = _address(arguments["document"])[0]
            operation = self._of_pinned(resources[address], address).operation(arguments["operationId"])
        except (KeyError, TypeError, FunctionFault):
            return "unsafe"
        return effect_of(operation.method, arguments.get("parameters"))

    async def execute(self, arguments: Json, context: Context) -> Json:
        """The answer in the form that `output` asks for. Faults as `http_messages.py` says; `configuration` for a
        document that cannot be used, `validation` for parameters that do not fit."""
        if not isinstance(arguments, dict) or not isinstance(arguments.get("operationId"), str):
            raise refused("`operationId` must be a text.")
        form = arguments.get("output") or "content"
        if form not in ("content", "raw", "response"):
            raise refused("`output` must be content, raw or response.")
        api = await self._api(arguments.get("document"), context)
        operation = api.operation(arguments["operationId"])
        parameters = arguments.get("parameters") or {}
        policy = arguments.get("authentication")
        use = SecretUse(context)
        if policy is not None and (key := _key_for(api, operation, policy, context)) is not None:
            parameters, policy = {**key, **parameters}, None
        request = build(api, operation, use.open(parameters), context)
        shown = _shown(request, api, operation, parameters, context)
        response = await self._authenticator.send(request, policy, context, use=use, shown=shown)
        check_status(response, shown, redirect=arguments.get("redirect") is True, redact=use.redact)
        return output_of(response, shown, form, use.redaction)

    async def _api(self, document: Json, context: Context) -> Api:
        address, policy = _address(document)
        if isinstance(address, str) and address in context.resources:
            return self._of_pinned(context.resources[address], address)
        use = SecretUse(context)
        opened = use.open(address)
        if not isinstance(opened, str):
            raise refused("`document.endpoint` must be an address.")
        request = Request(
            method="GET",
            uri=opened,
            headers={"Accept": "application/json, application/yaml;q=0.9, */*;q=0.1"},
            timeout=time_limit(context),
        )
        shown = Request(method="GET", uri=hidden(address), headers={})
        response = await self._authenticator.send(request, policy, context, use=use, shown=shown)
        check_status(response, shown, redirect=False, redact=use.redact)
        return self._of_text(response.body, response.uri, shown.uri)

    def _of_pinned(self, document: Json, address: str) -> Api:
        known = self._pinned.get(id(document))
        if known is None:
            known = (document, Api(document, address))
            _keep(self._pinned, id(document), known)
        return known[1]

    def _of_text(self, body: bytes, address: str, shown: str) -> Api:
        key = hashlib.sha256(address.encode() + b"\0" + body).hexdigest()
        api = self._fetched.get(key)
        if api is None:
            try:
                api = Api(parse(body, shown), address)
            except Invalid as error:
                raise wrong(str(error)) from None
            _keep(self._fetched, key, api)
        return api


def _address(document: Json) -> tuple[Json, Json]:
    """Where a document is, and the authentication that it needs."""
    endpoint = document.get("endpoint", document) if isinstance(document, dict) else document
    if not isinstance(endpoint, dict):
        return endpoint, None
    return endpoint.get("uri", endpoint), endpoint.get("authentication")


def build(api: Api, operation: Operation, given: Json, context: Context) -> Request:
    """The request of an operation with these opened parameters."""
    if not isinstance(given, dict):
        raise refused("`parameters` must be an object.")
    declared = api.parameters(operation)
    keys = [key for key in api.keys(operation) if not any(_is(key, other) for other in declared)]
    parts = _Parts(operation.path, given)
    for parameter in (*declared, *keys):
        name = _taken(parameter, parts.left)
        schema = api.resolved(parameter.get("schema")) or parameter
        value = given[name] if name is not None else schema.get("default") if parameter.get("required") else None
        if value is not None:
            parts.put(parameter, value)
        elif parameter.get("required") and parameter.get("in") != "body":
            parts.missing.append(parameter["name"])
    for parameter in (*declared, *keys):  # one value may serve two places, so names are used up only now
        name = _taken(parameter, parts.left)
        if name is not None:
            del parts.left[name]
    parts.body, parts.content_type = (_swagger_body if api.is_swagger else _body)(api, operation, declared, parts)
    if parts.missing:
        many = "s" if len(parts.missing) > 1 else ""
        raise refused(f"{operation.id} needs the parameter{many} {', '.join(parts.missing)}.")
    if parts.left:
        raise _unknown(operation, next(iter(parts.left)), [str(parameter["name"]) for parameter in declared])
    return _request(api, operation, parts, context)


class _Parts:
    """The parts of a request as parameters fill them; `left` are those given and not used, `missing` those needed."""

    def __init__(self, path: str, given: dict[str, Json]) -> None:
        self.left = dict(given)
        self.missing: list[str] = []
        self.path = path
        self.query: list[str] = []
        self.headers: dict[str, str] = {}
        self.cookies: list[str] = []
        self.form: dict[str, Json] = {}
        self.body: Json = None
        self.content_type: str | None = None

    def put(self, parameter: dict[str, Any], value: Json) -> None:
        place, name = parameter.get("in"), parameter["name"]
        if place == "path":
            self.path = self.path.replace(f"{{{name}}}", openapi_parameters.in_path(parameter, value))
        elif place == "query":
            self.query += openapi_parameters.in_query(parameter, value)
        elif place == "header":
            if name.lower() not in ("accept", "content-type", "authorization") or parameter.get("x-key"):
                self.headers[name] = openapi_parameters.in_header(parameter, value)
        elif place == "cookie":
            self.cookies.append(openapi_parameters.in_cookie(parameter, value))
        elif place == "formData":
            self.form[name] = value
        elif place == "body":
            self.body = value


def _body(api: Api, operation: Operation, declared: list[dict[str, Any]], parts: _Parts) -> tuple[Json, str | None]:
    """The body of OpenAPI 3 and its content type; takes what it uses out of what is left."""
    section = api.resolved(operation.written.get("requestBody"))
    if not isinstance(section, dict):
        return None, None
    content = section.get("content")
    kinds = content if isinstance(content, dict) else {}
    kind = _chosen(list(kinds))
    body = _gathered(parts, _properties(api, (kinds.get(kind) or {}).get("schema")) if kind else {})
    if body is None and section.get("required") is True:
        parts.missing.append("body")
    return body, kind


def _swagger_body(
    api: Api, operation: Operation, declared: list[dict[str, Any]], parts: _Parts
) -> tuple[Json, str | None]:
    """The same of Swagger 2.0: one parameter in the body, or many in a form."""
    consumes = operation.written.get("consumes", api.document.get("consumes")) or []
    whole = next((parameter for parameter in declared if parameter.get("in") == "body"), None)
    if whole is not None:
        if parts.body is None:
            parts.body = _gathered(parts, _properties(api, whole.get("schema")))
        if parts.body is None and whole.get("required"):
            parts.missing.append(whole["name"])
        return parts.body, _chosen([kind for kind in consumes if kind not in (bodies.FORM, bodies.MULTIPART)])
    if parts.form:
        has_file = any(parameter.get("type") == "file" for parameter in declared)
        form = bodies.MULTIPART if has_file or consumes == [bodies.MULTIPART] else bodies.FORM
        return parts.form, form
    return None, None


def _gathered(parts: _Parts, properties: dict[str, Any]) -> Json:
    """The parameter `body`, or those parameters that are properties of the body's schema, as one object."""
    if "body" in parts.left and "body" not in properties:
        return parts.left.pop("body")
    names = [name for name in parts.left if name in properties]
    return {name: parts.left.pop(name) for name in names} or None


def _properties(api: Api, schema: Json, seen: set[int] | None = None) -> dict[str, Any]:
    """The properties that a body's schema names, with those of its `allOf`, `anyOf` and `oneOf`."""
    schema = api.resolved(schema)
    seen = set() if seen is None else seen
    if not isinstance(schema, dict) or id(schema) in seen:
        return {}  # each schema once: those that refer to themselves many times over would never end
    seen.add(id(schema))
    found = dict(schema.get("properties") or {})
    for key in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(key) or ():
            found |= _properties(api, part, seen)
    return found


def _chosen(kinds: list[str]) -> str | None:
    """The content type that we write best, of those offered."""
    for kind in kinds:
        if bodies.is_json(kind):
            return kind
    for preferred in _PREFERRED:
        for kind in kinds:
            if bodies.media_type(kind) == preferred:
                return kind
    return kinds[0] if kinds and "*" not in kinds[0] else None


def _request(api: Api, operation: Operation, parts: _Parts, context: Context) -> Request:
    headers = headers_of(parts.headers, operation.method, context)
    if parts.cookies:
        headers["Cookie"] = "; ".join(parts.cookies)
    uri = api.server(operation) + "/" + parts.path.lstrip("/")
    if "{" in parts.path:
        raise wrong(f"{operation.id} has a path parameter that {api.address} does not declare: {parts.path}.")
    if parts.query:
        uri += ("&" if "?" in uri else "?") + "&".join(parts.query)
    request = Request(method=operation.method, uri=uri, headers=headers, timeout=time_limit(context))
    body, content_type = parts.body, parts.content_type
    if body is not None:
        if isinstance(body, str) and content_type is not None and bodies.is_json(content_type):
            body = bodies.json_bytes(body).decode()  # here the schema says that it is a JSON text
        try:
            request.body, kind = bodies.encode(body, content_type)
        except ValueError as error:
            raise refused(f"{operation.id}: {error}") from None
        headers["Content-Type"] = kind
    return request


def _shown(request: Request, api: Api, operation: Operation, given: Json, context: Context) -> Request:
    if not has_secret(given):
        return request
    try:
        return build(api, operation, hidden(given), context)
    except FunctionFault:  # stars do not fit everywhere
        return Request(method=request.method, uri="***", headers=dict.fromkeys(request.headers, "***"))


def _key_for(api: Api, operation: Operation, policy: Json, context: Context) -> dict[str, Json] | None:
    """A `bearer` policy where the operation only knows API keys: its token, as the parameter of the first key."""
    keys = api.keys(operation)
    wanted = operation.written.get("security", api.document.get("security")) or []
    settings = policy.get("bearer") if isinstance(policy, dict) else None
    if not keys or not isinstance(settings, dict) or len(keys) < len(wanted):
        return None
    if handles.SECRET in settings:
        path = settings[handles.SECRET]
        holds_more = isinstance(context.secret(path), dict)
        return {keys[0]["name"]: {handles.SECRET: [*path, "token"]} if holds_more else settings}
    return {keys[0]["name"]: settings.get("token")}


def _is(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return bool(left["name"] == right["name"] and left["in"] == right.get("in"))


def _taken(parameter: dict[str, Any], left: dict[str, Json]) -> str | None:
    """Under which of the given names a parameter is; header names are compared without case."""
    name = str(parameter["name"])
    if name in left:
        return name
    if parameter.get("in") == "header":
        return next((given for given in left if given.lower() == name.lower()), None)
    return None


def _unknown(operation: Operation, name: str, names: list[str]) -> FunctionFault:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]}?" if near else f" It has {', '.join(names)}." if names else " It has none."
    return refused(f"{operation.id} has no parameter {name!r}.{hint}")


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _CACHED:
        cache.pop(next(iter(cache)))
    cache[key] = value
