"""Published workflows and their versions."""

from typing import Any

import msgspec

from perdure.client.call import Call, Page, call


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that checking says about a document."""

    severity: str
    code: str
    pointer: str
    line: int
    column: int
    message: str
    hint: str | None = None


class Findings(msgspec.Struct, frozen=True):
    """All of them at once."""

    valid: bool
    findings: list[Finding]


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow by its name, `<namespace>.<name>`. Times as RFC 3339."""

    id: str
    namespace: str
    name: str
    state: str
    default_version: str
    title: str
    summary: str
    tags: dict[str, Any]
    created: str
    updated: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One published document; it never changes. `document` and `text` only where one version was asked for."""

    workflow: str
    version: str
    hash: str
    created: str
    by: str
    lints: list[Finding]
    document: dict[str, Any] | None = None
    text: str = ""


class Published(msgspec.Struct, frozen=True):
    """`is_new` is False when the very same was published before."""

    workflow: Workflow
    version: Version
    is_new: bool


class Change(msgspec.Struct, frozen=True):
    """One difference in structure. Tasks are compared by name."""

    kind: str
    pointer: str
    before: Any = None
    after: Any = None


class Differences(msgspec.Struct, frozen=True):
    """`text` is a unified diff of the texts as written."""

    changes: list[Change]
    text: str


def publish(document: bytes, *, media: str = "application/yaml") -> Call[Published]:
    """Publish a document as it was written, in YAML or JSON."""
    return call("POST", "workflows", raw=document, type=media, answer=Published)


def validate(document: bytes, *, media: str = "application/yaml") -> Call[Findings]:
    return call("POST", "workflows", "validate", raw=document, type=media, answer=Findings)


def find(*, state: str = "", project: str = "", limit: int = 100, cursor: str = "") -> Call[Page[Workflow]]:
    """`project`: those of the namespace that is called like it."""
    query = {"state": state, "project": project, "limit": limit, "cursor": cursor}
    return call("GET", "workflows", query=query, answer=Page[Workflow])


def get(id: str) -> Call[Workflow]:
    return call("GET", "workflows", id, answer=Workflow)


def versions(id: str, *, limit: int = 100, cursor: str = "") -> Call[Page[Version]]:
    """The highest first."""
    return call("GET", "workflows", id, "versions", query={"limit": limit, "cursor": cursor}, answer=Page[Version])


def version(id: str, version: str) -> Call[Version]:
    """One version with its document."""
    return call("GET", "workflows", id, "versions", version, answer=Version)


def diff(id: str, before: str, after: str) -> Call[Differences]:
    return call("GET", "workflows", id, "diff", query={"from": before, "to": after}, answer=Differences)


def change(id: str, verb: str) -> Call[Workflow]:
    """`enable`, `disable`, `archive` or `restore`."""
    return call("POST", "workflows", id, verb, answer=Workflow)
