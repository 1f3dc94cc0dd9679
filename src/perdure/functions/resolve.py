"""Fetches at publish what a document fixes outside of itself: OpenAPI documents, schemas, functions of catalogs.

The result, `resources`, is pinned with the document, so a run never depends on another host having kept a file:

- an OpenAPI document: its address as written -> its parsed value;
- `schema.resource`: its address as written -> the schema;
- a function called by its address: that address as written -> the function's definition (one task);
- `name:version@catalog`: `{endpoint of the catalog}/functions/{name}/{version}/function.yaml`, with the endpoint as
  written and without a slash at its end -> the function's definition.

Addresses of GitHub and GitLab trees are rewritten to their raw files before fetching (E8); the keys stay as written.
Functions are looked through as well, since they call, too. An address that is an expression or a template is left to
run time, and so is an OpenAPI document behind authentication that needs a secret or an expression.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

from perdure.errors import Invalid, Unavailable
from perdure.functions.openapi_document import parse
from perdure.language.values import Json
from perdure.ports.egress import Egress, EgressFailed, EgressRefused, Response

MOST = 200
"""Outside documents of one document, at most."""
DEEPEST = 16
"""Functions whose definitions call functions outside, one behind the other."""
TIMEOUT = 30.0
_AT_ONCE = 8

_DATA = frozenset({"as", "call", "document", "emit", "from", "in", "raise", "run", "schedule", "set", "wait", "with"})
"""Keys of a task that hold values, not tasks."""

_github = re.compile(
    r"https://github\.com/(?P<owner>[^/?#]+)/(?P<repository>[^/?#]+)(?:/(?:tree|blob)/(?P<rest>[^?#]+))?/?(?P<tail>/functions/[^?#]*)?\Z"
)
_gitlab = re.compile(r"(https://[^/?#]+/[^?#]+?)/-/(?:tree|blob)/")
_reference = re.compile(r"(?P<name>[^:@/\s]+)(?::(?P<version>[^:@/\s]+))?@(?P<catalog>[^:@/\s]+)\Z")


async def resolve(document: Json, egress: Egress) -> dict[str, Json]:
    """All outside documents by address. Unavailable when one cannot be fetched, Invalid when it cannot be used."""
    found: dict[str, Json] = {}
    wanted = list(_Survey(document).needs(document))
    for _depth in range(DEEPEST):
        new = {need.key: need for need in wanted if need.key not in found}
        if not new:
            return found
        if len(found) + len(new) > MOST:
            raise Invalid(f"The document needs more than {MOST} outside documents.")
        limit = asyncio.Semaphore(_AT_ONCE)
        values = await asyncio.gather(*(_fetched(need, egress, limit) for need in new.values()))
        wanted = []
        for need, value in zip(new.values(), values, strict=True):
            found[need.key] = value
            if need.is_function:
                wanted += _Survey(document).needs(value)
    raise Invalid(f"Functions call functions outside of the document more than {DEEPEST} deep.")


def raw_address(address: str) -> str:
    """The address of the file itself, where the given one is a page of GitHub or GitLab that shows it (E8)."""
    found = _github.match(address)
    if found is not None:
        rest = found["rest"] or "HEAD"
        return f"https://raw.githubusercontent.com/{found['owner']}/{found['repository']}/{rest}{found['tail'] or ''}"
    return _gitlab.sub(r"\1/-/raw/", address, count=1)


class Need:
    """One outside document: its key, where it is, what it must be, and where it is asked for."""

    __slots__ = ("address", "is_function", "key", "what")

    def __init__(self, key: str, what: str, *, is_function: bool = False) -> None:
        self.key = key
        self.address = raw_address(key)
        self.what = what
        self.is_function = is_function

    def __repr__(self) -> str:
        return f"Need({self.what} at {self.key})"


class _Survey:
    """What a document, or a function's definition, asks for. Catalogs and policies are those of the document."""

    def __init__(self, document: Json) -> None:
        use = document.get("use") if isinstance(document, dict) else None
        self._use: dict[str, Any] = use if isinstance(use, dict) else {}

    def needs(self, value: Json) -> Iterator[Need]:
        """In the order of the text. `value` is a document, a task or a part of one; plain data is not looked into."""
        if not isinstance(value, dict):
            return
        if "call" in value:
            yield from self._call(value)
        for key, item in value.items():
            if key == "schema":
                yield from self._schema(item)
            elif key == "metadata":
                yield from self.needs(item.get("compensate") if isinstance(item, dict) else None)
            elif key == "use" and isinstance(item, dict):
                yield from self._named(item.get("functions"))
                yield from self._named(item.get("extensions"))
            elif isinstance(item, list):
                yield from self._named(item)
            elif key not in _DATA:
                yield from self.needs(item)

    def _named(self, tasks: Json) -> Iterator[Need]:
        """Tasks by name, as a map or a list of one-key maps: a name may be any word of the language."""
        for item in tasks if isinstance(tasks, list) else [tasks]:
            for task in item.values() if isinstance(item, dict) else ():
                yield from self.needs(task)

    def _call(self, task: dict[str, Any]) -> Iterator[Need]:
        name, with_ = task["call"], task.get("with")
        if name == "openapi" and isinstance(with_, dict) and isinstance(with_.get("document"), dict):
            endpoint = with_["document"].get("endpoint")
            address = self._fixed(endpoint)
            if address is not None and self._policy(endpoint) is None:
                yield Need(address, "OpenAPI document")
        elif isinstance(name, str) and "://" in name:
            yield Need(_absolute(name), "function", is_function=True)
        elif isinstance(name, str) and name not in (self._use.get("functions") or {}):
            found = _reference.match(name)
            if found is not None and found["catalog"] != "default":
                yield Need(self._in_catalog(name, found), "function", is_function=True)

    def _schema(self, schema: Json) -> Iterator[Need]:
        resource = schema.get("resource") if isinstance(schema, dict) and "document" not in schema else None
        if not isinstance(resource, dict):
            return
        address = self._fixed(resource.get("endpoint"))
        if address is None:
            raise Invalid("The address of a schema must be fixed: write it out, or write the schema under `document`.")
        if self._policy(resource.get("endpoint")) is not None:
            raise Invalid(
                f"The schema at {address} asks for authentication, which publishing does not have.",
                hint="Put the schema under `document`.",
            )
        yield Need(address, "schema")

    def _in_catalog(self, name: str, found: re.Match[str]) -> str:
        catalog = (self._use.get("catalogs") or {}).get(found["catalog"])
        endpoint = catalog.get("endpoint") if isinstance(catalog, dict) else None
        base = self._fixed(endpoint)
        if base is None:
            raise Invalid(f"The call of {name} needs the fixed address of the catalog {found['catalog']}.")
        if found["version"] is None:
            raise Invalid(
                f"The call of {name} needs a version.", hint=f"Write {found['name']}:1.0.0@{found['catalog']}."
            )
        if self._policy(endpoint) is not None:
            raise Invalid(f"The catalog {found['catalog']} asks for authentication, which publishing does not have.")
        return f"{base.rstrip('/')}/functions/{found['name']}/{found['version']}/function.yaml"

    def _fixed(self, endpoint: Json) -> str | None:
        """The address when it is written out; None for an expression or a template."""
        address = endpoint.get("uri") if isinstance(endpoint, dict) else endpoint
        if not isinstance(address, str) or "{" in address:
            return None
        return _absolute(address)

    def _policy(self, endpoint: Json) -> Json:
        return endpoint.get("authentication") if isinstance(endpoint, dict) else None


def _absolute(address: str) -> str:
    if "://" not in address:
        raise Invalid(
            f"The address {address[:200]!r} is relative, and a document has no place of its own.",
            hint="Write the whole address, with https://.",
        )
    return address


async def _fetched(need: Need, egress: Egress, limit: asyncio.Semaphore) -> Json:
    async with limit:
        response = await _got(need, egress)
    if response.status != 200:
        raise Unavailable(f"The {need.what} at {need.key} cannot be fetched: it answered {response.status}.")
    value = parse(response.body, need.key)
    if not isinstance(value, dict | bool) or (need.is_function and not isinstance(value, dict)):
        raise Invalid(f"What is at {need.key} is no {need.what}.")
    return value


async def _got(need: Need, egress: Egress) -> Response:
    headers = {"Accept": "application/json, application/yaml;q=0.9, */*;q=0.1"}
    try:
        return await egress.request("GET", need.address, headers=headers, timeout=TIMEOUT, follow=True)
    except EgressRefused as error:
        raise Invalid(f"The {need.what} at {need.key} may not be fetched: {error}") from None
    except EgressFailed as error:
        raise Unavailable(f"The {need.what} at {need.key} cannot be fetched: {error}") from None
