"""What requests and answers of the workflows service look like over HTTP: what all shapes share, and those of workflows.

The other nouns have their shapes in the modules beside. No shape holds a secret but one shown once.
"""

import datetime as dt
from typing import Annotated, Any, Literal, Self

import msgspec
from fastapi import Query
from pydantic import BeforeValidator, Field

from perdure.language.findings import Finding
from perdure.ports.shapes import Line, Shape, moment
from perdure.services.workflows.models import (
    Change,
    Version,
    Workflow,
    WorkflowState,
)


def written_moment(given: object) -> object:
    """A moment is written with its date: a bare number could be seconds or milliseconds."""
    if not isinstance(given, str) or "-" not in given[1:]:
        raise ValueError("write it like 2026-01-31T08:30:00Z")
    return given


Name = Annotated[str, Field(max_length=140, pattern=Line, examples=["shop.orders"])]
Number = Annotated[str, Field(min_length=1, max_length=100, pattern=Line, examples=["1.0.0"])]
Project = Annotated[
    str,
    Query(max_length=63, pattern=Line, description="Only of this project: of the namespace that is called like it."),
]
Moment = Annotated[dt.datetime, BeforeValidator(written_moment), Field(strict=False)]
Reason = Annotated[str, Field(max_length=2000)]
Path = Annotated[str, Field(max_length=2000, pattern=Line, examples=["/do/0/charge"])]

# Workflows


class FindingShape(Shape):
    severity: Literal["error", "lint"]
    code: str
    pointer: str
    line: int
    column: int
    message: str
    hint: str | None

    @classmethod
    def of(cls, finding: Finding) -> Self:
        return cls(**msgspec.structs.asdict(finding))


class Findings(Shape):
    valid: bool
    findings: list[FindingShape]


class WorkflowShape(Shape):
    id: str
    namespace: str
    name: str
    state: WorkflowState
    default_version: Annotated[str, Field(description="What runs get that name no version: the highest.")]
    title: str
    summary: str
    tags: dict[str, Any]
    created: str
    updated: str

    @classmethod
    def of(cls, workflow: Workflow) -> Self:
        return cls(
            id=workflow.id, namespace=workflow.namespace, name=workflow.name, state=workflow.state,
            default_version=workflow.default, title=workflow.title, summary=workflow.summary, tags=workflow.tags,
            created=moment(workflow.created), updated=moment(workflow.updated),
        )  # fmt: skip


class VersionShape(Shape):
    workflow: str
    version: str
    hash: Annotated[str, Field(description="Content hash of the document and of everything pinned to it.")]
    created: str
    by: str
    lints: list[FindingShape]

    @classmethod
    def of(cls, version: Version) -> Self:
        return cls(**_heading(version))


class WholeVersion(VersionShape):
    document: dict[str, Any]
    text: Annotated[str, Field(description="As it was written.")]
    media: str
    resources: Annotated[list[str], Field(description="Addresses of the outside documents that are pinned to it.")]

    @classmethod
    def of(cls, version: Version) -> Self:
        return cls(
            **_heading(version), document=version.document, text=version.text, media=version.media,
            resources=sorted(version.resources),
        )  # fmt: skip


def _heading(version: Version) -> dict[str, Any]:
    return {
        "workflow": version.workflow, "version": version.version, "hash": version.hash,
        "created": moment(version.created), "by": version.by,
        "lints": [FindingShape.of(finding) for finding in version.lints],
    }  # fmt: skip


class PublishedShape(Shape):
    workflow: WorkflowShape
    version: VersionShape
    is_new: Annotated[bool, Field(description="False: the very same was published before.")]


class ChangeShape(Shape):
    kind: Literal["added", "removed", "changed", "moved"]
    pointer: str
    before: Any
    after: Any

    @classmethod
    def of(cls, change: Change) -> Self:
        return cls(kind=change.kind, pointer=change.pointer, before=change.before, after=change.after)


class DifferencesShape(Shape):
    changes: list[ChangeShape]
    text: Annotated[str, Field(description="A unified diff of the texts as written.")]


class Workflows(Shape):
    items: list[WorkflowShape]
    next: str | None


class Versions(Shape):
    items: list[VersionShape]
    next: str | None
