"""An OpenAPI document (3.0, 3.1) or Swagger 2.0: operations by id, `$ref` within the document, servers. No I/O.

The document is indexed once and not checked as a whole: only what a call uses is looked at, so that a large document
costs no more than its size.
"""

import difflib
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from perdure.errors import Invalid
from perdure.interpreter.faults import problem
from perdure.language.read import read
from perdure.language.values import Json
from perdure.ports.function import FunctionFault

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_REFERENCES = 32
"""So many references may lead to one another."""


class Operation(msgspec.Struct, kw_only=True):
    """One operation as it is written, with what its path adds."""

    id: str
    method: str
    path: str
    item: dict[str, Any]
    written: dict[str, Any]


def parse(body: bytes, address: str) -> Json:
    """The value of a document's text, JSON or YAML. Invalid with one sentence."""
    if body.lstrip()[:1] in (b"{", b"["):
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"{address} is not valid JSON: {error}.") from None
    try:
        return read(body).value
    except Invalid as error:
        raise Invalid(f"{address} cannot be read: {error}") from None


class Api:
    """A document, indexed. `address` is where it came from: relative servers start there."""

    def __init__(self, document: Json, address: str) -> None:
        if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
            raise wrong(f"{address} is no OpenAPI document: it has no `paths`.")
        version = str(document.get("openapi") or document.get("swagger") or "")
        if not version.startswith(("3.0", "3.1", "2.")):
            raise wrong(f"{address} is no OpenAPI 3.0, OpenAPI 3.1 or Swagger 2.0 document.")
        self.document = document
        self.address = address
        self.is_swagger = version.startswith("2.")
        self._operations: dict[str, tuple[str, str]] = {}
        self._twice: set[str] = set()
        for path, item in document["paths"].items():
            item = self._item(item)
            for method in METHODS:
                written = item.get(method)
                if isinstance(written, dict) and isinstance(written.get("operationId"), str):
                    self._index(written["operationId"], path, method)

    def __repr__(self) -> str:
        return f"Api({self.address}, {len(self._operations)} operations)"

    def _index(self, id: str, path: str, method: str) -> None:
        if id in self._operations:
            self._twice.add(id)
        self._operations[id] = (path, method)

    def _item(self, item: Json) -> dict[str, Any]:
        """A path item; a `$ref` of an item to outside the document is left out of the index."""
        if isinstance(item, dict) and isinstance(item.get("$ref"), str):
            if not item["$ref"].startswith("#"):
                return {}
            item = {**self.resolved(item), **{key: value for key, value in item.items() if key != "$ref"}}
        return item if isinstance(item, dict) else {}

    def operation(self, id: str) -> Operation:
        """FunctionFault `configuration` with the nearest id when there is none."""
        found = self._operations.get(id)
        if found is None:
            near = difflib.get_close_matches(id, self._operations, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" It has {len(self._operations)} operations."
            raise wrong(f"{self.address} has no operation {id!r}.{hint}")
        if id in self._twice:
            raise wrong(f"{self.address} has several operations {id!r}.")
        path, method = found
        item = self._item(self.document["paths"][path])
        return Operation(id=id, method=method.upper(), path=path, item=item, written=item[method])

    def resolved(self, value: Json) -> Any:
        """What a value is behind its `$ref`s. FunctionFault `configuration` for one that leads nowhere or outside."""
        for _step in range(_REFERENCES):
            if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
                return value
            value = self._at(value["$ref"])
        raise wrong(f"{self.address} has references that lead in a circle.")

    def _at(self, reference: str) -> Json:
        if reference != "#" and not reference.startswith("#/"):
            raise wrong(
                f"{self.address} refers to {reference!r} outside of itself: give a document that holds all its parts."
            )
        place: Json = self.document
        for part in reference[2:].split("/") if reference != "#" else ():
            key = part.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
            if isinstance(place, list) and key.isdigit() and int(key) < len(place):
                place = place[int(key)]
            elif isinstance(place, dict) and key in place:
                place = place[key]
            else:
                raise wrong(f"{self.address} refers to {reference!r}, which it does not have.")
        return place

    def parameters(self, operation: Operation) -> list[dict[str, Any]]:
        """Declared parameters, those of the operation before those of its path with the same name and place."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for section in (operation.item.get("parameters"), operation.written.get("parameters")):
            for given in section if isinstance(section, list) else ():
                parameter = self.resolved(given)
                if isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
                    found[(parameter["name"], str(parameter.get("in")))] = parameter
        return list(found.values())

    def keys(self, operation: Operation) -> list[dict[str, Any]]:
        """The `apiKey` schemes that the operation may be called with, as optional parameters."""
        schemes = (
            self._section("securityDefinitions")
            if self.is_swagger
            else self._section("components").get("securitySchemes", {})
        )
        wanted = operation.written.get("security", self.document.get("security")) or []
        found = []
        for requirement in wanted if isinstance(wanted, list) else ():
            for name in requirement if isinstance(requirement, dict) else ():
                scheme = self.resolved(schemes.get(name)) if isinstance(schemes, dict) else None
                if isinstance(scheme, dict) and scheme.get("type") == "apiKey" and "name" in scheme:
                    found.append({"name": scheme["name"], "in": scheme.get("in", "header"), "x-key": True})
        return found

    def _section(self, name: str) -> dict[str, Any]:
        section = self.document.get(name)
        return section if isinstance(section, dict) else {}

    def server(self, operation: Operation) -> str:
        """The address that the operation's path is put behind, without a slash at its end."""
        written = self._swagger_server() if self.is_swagger else self._server(operation)
        return urljoin(self.address, written).rstrip("/")

    def _swagger_server(self) -> str:
        here = urlsplit(self.address)
        schemes = [scheme for scheme in self.document.get("schemes") or [] if scheme in ("http", "https")]
        scheme = "https" if "https" in schemes else schemes[0] if schemes else here.scheme
        base = str(self.document.get("basePath") or "")
        return f"{scheme}://{self.document.get('host') or here.netloc}/{base.lstrip('/')}"

    def _server(self, operation: Operation) -> str:
        for holder in (operation.written, operation.item, self.document):
            servers = holder.get("servers")
            if isinstance(servers, list) and servers and isinstance(servers[0], dict):
                return self._with_variables(servers[0])
        return "/"

    def _with_variables(self, server: dict[str, Any]) -> str:
        address = str(server.get("url", "/"))
        variables = server.get("variables")
        for name, variable in variables.items() if isinstance(variables, dict) else ():
            address = address.replace(f"{{{name}}}", str((variable or {}).get("default", "")))
        if "{" in address:
            raise wrong(f"The server {address} of {self.address} has a variable without a default.")
        return address


def wrong(detail: str) -> FunctionFault:
    """The fault for a document that cannot be used."""
    return FunctionFault(problem("configuration", title="OpenAPI document", detail=detail))
