"""The operations of the API as its OpenAPI document lists them, and a valid request for each."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

PUBLIC = {
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/session",
    "POST /api/v1/auth/refresh",
    "GET /api/v1/auth/jwks",
    "POST /api/v1/hooks/{id}",
}
"""Everything of the API that asks nobody who he is. Whoever adds to it says in the route why that is safe."""
PUBLIC_OUTSIDE = {"/health", "/health/live", "/health/ready", "/ready", "/api/v1/openapi.json"}

WORKFLOW = """\
document: {dsl: 1.0.3, namespace: NAMESPACE, name: NAME, version: 1.0.0}
do:
  - note: {set: {canary: CANARY}}
  - hold: {listen: {to: {one: {with: {type: dev.test.never}}}}}
"""


class Operation(NamedTuple):
    """One method at one path."""

    method: str
    path: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_public(self) -> bool:
        return "x-perdure-public" in self.spec

    @property
    def permission(self) -> str:
        return self.spec.get("x-perdure-permission", "")

    @property
    def media(self) -> list[str]:
        return list(self.spec.get("requestBody", {}).get("content", ()))

    @property
    def streams(self) -> bool:
        return self.path.endswith("/stream")

    def at(self, **ids: str) -> str:
        """Its address with these ids, and something that is nowhere for the others."""
        return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "nothing.here"), self.path)

    def required_query(self) -> str:
        needed = [q for q in self.spec.get("parameters", ()) if q["in"] == "query" and q.get("required")]
        return "?" + "&".join(f"{q['name']}=1.0.0" for q in needed) if needed else ""


def operations(openapi: dict[str, Any]) -> list[Operation]:
    return list(_each(openapi))


def _each(openapi: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in openapi["paths"].items():
        for method, spec in methods.items():
            yield Operation(method.upper(), path, spec)


def example(openapi: dict[str, Any], operation: Operation) -> Any:
    """A body that fits the schema of the operation's JSON: required members and what has an example."""
    content = operation.spec.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    if "example" in content:
        return content["example"]
    return _value(openapi, content.get("schema", {}))


def _value(openapi: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(openapi, openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for key in ("example", "const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _value(openapi, schema["anyOf"][0])
    kind = schema.get("type")
    if kind == "object":
        members = schema.get("properties", {})
        wanted = set(schema.get("required", ()))
        return {name: _value(openapi, member) for name, member in members.items() if name in wanted}
    simple: dict[Any, Any] = {"array": [], "integer": 1, "number": 1, "boolean": True, "null": None}
    return simple.get(kind, "x" * max(1, schema.get("minLength", 1)))
