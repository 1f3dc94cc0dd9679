"""What requests and answers of the workflows service look like over HTTP. No shape holds a secret but one shown once."""

import datetime as dt
import functools
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from perdure.language.findings import Finding
from perdure.ports.engine import Entry, Run, Status
from perdure.services.workflows.models import (
    CatchUp,
    Change,
    Firing,
    FiringState,
    Item,
    ItemState,
    Job,
    Overlap,
    Schedule,
    ScheduleKind,
    Verb,
    Version,
    Webhook,
    Workflow,
    WorkflowState,
)
from perdure.services.workflows.runs import Open


def written_moment(given: object) -> object:
    """A moment is written with its date: a bare number could be seconds or milliseconds."""
    if not isinstance(given, str) or "-" not in given[1:]:
        raise ValueError("write it like 2026-01-31T08:30:00Z")
    return given


Line = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Field(max_length=140, pattern=Line, examples=["shop.orders"])]
Number = Annotated[str, Field(min_length=1, max_length=100, pattern=Line, examples=["1.0.0"])]
Moment = Annotated[dt.datetime, BeforeValidator(written_moment), Field(strict=False)]
Reason = Annotated[str, Field(max_length=2000)]
Path = Annotated[str, Field(max_length=2000, pattern=Line, examples=["/do/0/charge"])]


class Shape(BaseModel):
    """Unknown keys are refused: a misspelt one must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def moment(at: int) -> str:
    """RFC 3339, in UTC."""
    second, part = divmod(at, 1000)
    return f"{_second(second)}.{part:03d}Z"


@functools.lru_cache(maxsize=1024)
def _second(second: int) -> str:
    """One answer names the same few seconds again and again."""
    return dt.datetime.fromtimestamp(second, dt.UTC).replace(tzinfo=None).isoformat()


def maybe(at: int | None) -> str | None:
    return None if at is None else moment(at)


def page(items: list[Any], limit: int) -> str | None:
    """The cursor of the next page: the last id of this one, when there may be more."""
    return items[-1].id if len(items) == limit else None


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


# Runs


class NewRun(Shape):
    """A run of the workflow in the address."""

    input: Annotated[Any, Field(examples=[{"order": 17}])] = None
    version: Number | None = None
    id: Annotated[str, Field(max_length=100, description="The id that the run is to have.", examples=["order-17"])] = ""


class NewRunOf(NewRun):
    workflow: Name


class StartedShape(Shape):
    id: str
    workflow: str
    version: str


class RunShape(Shape):
    id: str
    workflow: str
    namespace: str
    name: str
    version: str
    program: str
    status: Status
    started: str
    updated: str
    ended: str | None
    origin: Annotated[str | None, Field(description="The run that this one was forked from.")]
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(**run_values(run))


def run_values(run: Run) -> dict[str, Any]:
    """A run as its answer shows it."""
    return {
        "id": run.id, "workflow": f"{run.namespace}.{run.name}", "namespace": run.namespace, "name": run.name,
        "version": run.version, "program": run.program, "status": run.status, "started": moment(run.started),
        "updated": moment(run.updated), "ended": maybe(run.ended), "origin": run.origin, "input": run.input,
        "output": run.output, "error": run.error,
    }  # fmt: skip


class Runs(Shape):
    items: list[RunShape]
    next: Annotated[str | None, Field(description="A page may be short, or empty, and not the last one.")]


class EntryShape(Shape):
    number: Annotated[int, Field(description="Counted from 1; 0 for progress, which is not kept.")]
    at: str
    type: str
    path: str
    ref: str
    data: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(**entry_values(entry))


def entry_values(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number, "at": moment(entry.at), "type": entry.type, "path": entry.path, "ref": entry.ref,
        "data": entry.data,
    }  # fmt: skip


class History(Shape):
    items: list[EntryShape]
    next: str | None


class OpenShape(Shape):
    path: str
    ref: str
    since: str
    status: str
    wait: Annotated[dict[str, Any] | None, Field(description="What it waits for.")]

    @classmethod
    def of(cls, task: Open) -> Self:
        return cls(path=task.path, ref=task.ref, since=moment(task.since), status=task.status, wait=task.wait)


class OpenTasks(Shape):
    items: list[OpenShape]


class Cancel(Shape):
    compensate: Annotated[bool, Field(description="Undo first what was done, in reverse.")] = False


class Retry(Shape):
    path: Annotated[Path | None, Field(description="The task to enter again; absent: the one that faulted.")] = None


class Skip(Shape):
    path: Path | None = None
    output: Annotated[Any, Field(description="What the task is taken to have given; absent: its input.")] = None


class Fork(Shape):
    path: Annotated[Path | None, Field(description="Up to where the history is kept; absent: nothing of it.")] = None
    input: Any = None
    version: Number | None = None


class Select(Shape):
    """Runs by what is known of them."""

    statuses: list[Status] = []
    workflow: Name | None = None
    version: Number | None = None
    since: Moment | None = None
    until: Moment | None = None


class Many(Shape):
    """One verb for many runs: by their ids, or for all that are selected."""

    verb: Verb
    runs: Annotated[
        list[Annotated[str, Field(max_length=200, pattern=Line)]] | None, Field(min_length=1, max_length=10_000)
    ] = None
    select: Select | None = None
    compensate: bool = False
    path: Path | None = None
    output: Any = None


class AnswerShape(Shape):
    run: str
    ok: bool
    detail: str


class JobShape(Shape):
    id: str
    verb: Verb
    state: Literal["working", "done"]
    done: int
    failed: int
    left: Annotated[int, Field(description="Runs known and not done yet; more may be found.")]
    answers: Annotated[list[AnswerShape], Field(description="The newest of them.")]
    created: str
    by: str

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(
            id=job.id, verb=job.verb, state=job.state, done=job.done, failed=job.failed, left=len(job.runs),
            answers=[AnswerShape(run=one.run, ok=one.ok, detail=one.detail) for one in job.answers],
            created=moment(job.created), by=job.by,
        )  # fmt: skip


# Schedules


class NewSchedule(Shape):
    """Exactly one of `cron`, `every`, `after` and `on` says when."""

    workflow: Name
    version: Number | None = None
    cron: Annotated[str | None, Field(max_length=200, examples=["30 8 * * mon-fri"])] = None
    every: Annotated[dict[str, int] | str | None, Field(examples=[{"minutes": 5}])] = None
    after: Annotated[dict[str, int] | str | None, Field(description="After the run before has ended.")] = None
    on: Annotated[dict[str, Any] | None, Field(description="A strategy of events, as in a document.")] = None
    read: Literal["data", "envelope", "raw"] = "data"
    zone: Annotated[str, Field(max_length=100, examples=["Europe/Berlin"])] = "UTC"
    input: Any = None
    catch_up: CatchUp = "last"
    window: Annotated[int, Field(ge=0, le=2_678_400, description="Seconds that `all` looks back.")] = 86_400
    overlap: Overlap = "skip"


class ScheduleChange(Shape):
    """What is absent stays."""

    version: Number | None = None
    cron: Annotated[str, Field(max_length=200)] = ""
    every: dict[str, int] | str | None = None
    zone: Annotated[str, Field(max_length=100)] = ""
    input: Any = None
    catch_up: CatchUp | None = None
    window: Annotated[int | None, Field(ge=0, le=2_678_400)] = None
    overlap: Overlap | None = None


class ScheduleShape(Shape):
    id: str
    workflow: str
    version: str | None
    kind: ScheduleKind
    spec: Annotated[Any, Field(description="`cron`: the text; `every` and `after`: seconds; `on`: the strategy.")]
    zone: str
    input: Any
    catch_up: CatchUp
    window: int
    overlap: Overlap
    state: Literal["active", "paused"]
    held: Annotated[bool, Field(description="Its workflow is not enabled.")]
    of_document: Annotated[bool, Field(description="It comes and goes with its document.")]
    next: Annotated[str | None, Field(description="When it is due.")]
    last_run: str | None
    created: str
    updated: str

    @classmethod
    def of(cls, one: Schedule) -> Self:
        spec = one.spec / 1000 if one.kind in {"every", "after"} else one.spec
        return cls(
            id=one.id, workflow=one.workflow, version=one.version, kind=one.kind, spec=spec, zone=one.zone,
            input=one.input, catch_up=one.catch_up, window=one.window // 1000, overlap=one.overlap, state=one.state,
            held=one.is_held, of_document=one.of_document, next=maybe(one.due), last_run=one.last_run,
            created=moment(one.created), updated=moment(one.updated),
        )  # fmt: skip


class Schedules(Shape):
    items: list[ScheduleShape]
    next: str | None


class Fire(Shape):
    input: Annotated[Any, Field(description="Instead of the schedule's own.")] = None


class FiringShape(Shape):
    due: str
    state: FiringState
    run: Annotated[str, Field(description="The run that it is, or would have been.")]
    missed: Annotated[int, Field(description="Earlier times that were not made up for.")]
    detail: str

    @classmethod
    def of(cls, one: Firing) -> Self:
        return cls(due=moment(one.due), state=one.state, run=one.run, missed=one.missed, detail=one.detail)


class Firings(Shape):
    items: list[FiringShape]
    next: str | None


# Webhooks and events


class NewWebhook(Shape):
    """It starts a workflow with the message as input, or delivers the message as an event of a type: name one."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=Line, examples=["Payments"])]
    workflow: Name = ""
    version: Number | None = None
    event: Annotated[str, Field(max_length=200, pattern=Line, examples=["com.example.paid"])] = ""


class Rotation(Shape):
    grace: Annotated[int, Field(ge=0, le=604_800, description="Seconds for which the secret before is good.")] = 86_400


class WebhookShape(Shape):
    id: str
    name: str
    address: Annotated[str, Field(description="Where to send messages to, below the API's prefix.")]
    workflow: str
    version: str | None
    event: str
    created: str
    by: str
    rotated: str | None
    earlier_until: Annotated[str | None, Field(description="Until then the secret before is good as well.")]

    @classmethod
    def of(cls, hook: Webhook) -> Self:
        return cls(
            id=hook.id, name=hook.name, address=f"/hooks/{hook.id}", workflow=hook.workflow, version=hook.version,
            event=hook.event, created=moment(hook.created), by=hook.by, rotated=maybe(hook.rotated),
            earlier_until=maybe(hook.until),
        )  # fmt: skip


class WebhookOnce(Shape):
    webhook: WebhookShape
    secret: Annotated[str, Field(description="Shown this once.")]


class Webhooks(Shape):
    items: list[WebhookShape]
    next: str | None


class TakenShape(Shape):
    message: str
    run: str | None


class EventsTaken(Shape):
    taken: Annotated[int, Field(description="Events that were new.")]
    seen: Annotated[int, Field(description="Events that were here before, by source and id.")]


# The inbox


class DelegationShape(Shape):
    by: str
    to: list[str]
    at: str
    reason: str


class DecisionShape(Shape):
    approved: bool
    by: str
    at: str
    reason: str
    data: Any


class ItemShape(Shape):
    id: str
    kind: Literal["approval", "question", "repair"]
    state: ItemState
    title: str
    details: Any
    form: Annotated[Any, Field(description="JSON Schema of the `data` of a decision.")]
    to: list[str]
    hash: Annotated[str, Field(description="Of what is shown. A decision has to name it.")]
    run: str
    task: str
    request: str
    asked: str
    deadline: str | None
    delegations: list[DelegationShape]
    decision: DecisionShape | None

    @classmethod
    def of(cls, item: Item) -> Self:
        delegations = [
            DelegationShape(by=one.by, to=list(one.to), at=moment(one.at), reason=one.reason)
            for one in item.delegations
        ]
        made = item.decision
        decision = None if made is None else DecisionShape(
            approved=made.approved, by=made.by, at=moment(made.at), reason=made.reason, data=made.data
        )  # fmt: skip
        return cls(
            id=item.id, kind=item.kind, state=item.state, title=item.title, details=item.details, form=item.form,
            to=list(item.to), hash=item.hash, run=item.run, task=item.task, request=item.request,
            asked=moment(item.asked), deadline=maybe(item.deadline), delegations=delegations, decision=decision,
        )  # fmt: skip


class Items(Shape):
    items: list[ItemShape]
    next: str | None


class Decide(Shape):
    hash: Annotated[str, Field(min_length=1, max_length=200, description="The `hash` of what you were shown.")]
    approved: bool = True
    reason: Reason = ""
    data: Annotated[Any, Field(description="What the form asks for.")] = None


class Delegate(Shape):
    to: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=100, examples=[["role:operator"]]),
    ]
    reason: Reason = ""
