"""Documents that the journal keeps: by content for the runs that began with them, by name for `run.workflow`."""

import re
from typing import Any

from perdure import __version__
from perdure.engines.embedded.journal import Journal
from perdure.errors import NotFound

_number = re.compile(r"\d+|\D+")


def runtime() -> dict[str, Any]:
    """`$runtime` as a run records it when it begins."""
    return {"name": "perdure", "version": __version__, "metadata": {}}


def find_published(journal: Journal, tenant: str, identity: tuple[str, str, str]) -> str:
    """The definition of a published workflow; version `latest` is the highest. NotFound says what there is."""
    namespace, name, version = identity
    versions: dict[str, str] = dict(journal.read("published_versions", (tenant, namespace, name)))
    if version == "latest" and versions:
        return versions[max(versions, key=order)]
    if version in versions:
        return versions[version]
    known = f"Published versions: {', '.join(sorted(versions, key=order))}." if versions else "Publish it first."
    raise NotFound(f"There is no published workflow {namespace}.{name}:{version}.", hint=known)


def order(version: str) -> tuple[list[tuple[int, str]], bool, list[tuple[int, str]]]:
    """A sort key by semantic versioning: numbers as numbers, a pre-release before its release."""
    plain, _, pre = version.partition("+")[0].partition("-")
    return _parts(plain), not pre, _parts(pre)


def _parts(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _number.findall(text) if part != "."]
