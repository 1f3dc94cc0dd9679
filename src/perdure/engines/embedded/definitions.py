"""Documents that the journal keeps: by content for the runs that began with them, by name for `run.workflow`."""

import re
from typing import Any

from perdure import __version__
from perdure.engines.embedded.journal import Rows
from perdure.engines.embedded.values import decode
from perdure.errors import NotFound
from perdure.language.values import Json, content_hash

_PUBLISH = "Publish it, or give its document with --workflow."
_number = re.compile(r"\d+|\D+")


def runtime(tenant: str) -> dict[str, Any]:
    """`$runtime` as a run records it when it begins."""
    return {"name": "Perdure", "version": __version__, "metadata": {"tenant": tenant}}


def stored(journal: Rows, hash: str) -> tuple[Json, dict[str, Json]] | None:
    """The document and the outside documents pinned to it, by their hash."""
    rows = journal.read("definition", (hash,))
    return (decode(rows[0][0]), decode(rows[0][1])) if rows else None


def published_as(journal: Rows, tenant: str, document: Json, resources: dict[str, Json]) -> str | None:
    """The hash of a document that is published exactly so, found without compiling it."""
    heading = document.get("document") if isinstance(document, dict) else None
    names = [heading.get(key) for key in ("namespace", "name", "version")] if isinstance(heading, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        return None
    rows = journal.read("published", (tenant, *names))
    hash = content_hash([document, resources]) if rows else None
    return hash if rows and rows[0][0] == hash else None


def find_published(journal: Rows, tenant: str, identity: tuple[str, str, str]) -> str:
    """The definition of a published workflow; version `latest` is the highest. NotFound says what there is."""
    namespace, name, version = identity
    versions: dict[str, str] = dict(journal.read("published_versions", (tenant, namespace, name)))
    if version == "latest" and versions:
        return versions[max(versions, key=order)]
    if version in versions:
        return versions[version]
    known = f"Published versions: {', '.join(sorted(versions, key=order))}." if versions else _PUBLISH
    raise NotFound(f"There is no published workflow {namespace}.{name}:{version}.", hint=known)


def order(version: str) -> tuple[list[tuple[int, str]], bool, list[tuple[int, str]]]:
    """A sort key by semantic versioning: numbers as numbers, a pre-release before its release."""
    plain, _, pre = version.partition("+")[0].partition("-")
    return _parts(plain), not pre, _parts(pre)


def _parts(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _number.findall(text) if part != "."]
