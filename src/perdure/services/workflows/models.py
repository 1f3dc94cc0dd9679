"""The nouns of the workflows service, which of their states may follow which, and its errors. No I/O, no HTTP.

Times are whole milliseconds since the epoch. Everything here never changes once made; stores write a new one.
"""

import functools
import re
import uuid
from typing import Any, Literal

import msgspec

from perdure.errors import Conflict, Invalid, NotFound
from perdure.language.findings import Finding
from perdure.language.values import Json, canonical, check_count
from perdure.ports.ids import same_id

WorkflowState = Literal["enabled", "disabled", "archived"]
ScheduleState = Literal["active", "paused"]
ScheduleKind = Literal["cron", "every", "after", "on"]
CatchUp = Literal["none", "last", "all"]
Overlap = Literal["skip", "queue", "allow", "cancel"]
FiringState = Literal["open", "queued", "started", "skipped", "failed"]
ItemState = Literal["open", "decided", "expired", "closed"]
Verb = Literal["cancel", "suspend", "resume", "retry", "skip"]
JobState = Literal["working", "done"]

WORKFLOW: dict[tuple[WorkflowState, str], WorkflowState] = {
    ("enabled", "disable"): "disabled",
    ("enabled", "archive"): "archived",
    ("disabled", "enable"): "enabled",
    ("disabled", "archive"): "archived",
    ("archived", "restore"): "disabled",
    ("enabled", "enable"): "enabled",
    ("disabled", "disable"): "disabled",
    ("archived", "archive"): "archived",
}
"""What a verb makes of a workflow. What is restored starts nothing before it is enabled."""

SCHEDULE: dict[tuple[ScheduleState, str], ScheduleState] = {
    ("active", "pause"): "paused",
    ("paused", "resume"): "active",
    ("paused", "pause"): "paused",
    ("active", "resume"): "active",
}

FIRING: dict[FiringState, frozenset[FiringState]] = {
    "open": frozenset({"queued", "started", "skipped", "failed"}),
    "queued": frozenset({"started", "skipped", "failed"}),
    "started": frozenset(),
    "skipped": frozenset(),
    "failed": frozenset(),
}

ITEM: dict[ItemState, frozenset[ItemState]] = {
    "open": frozenset({"decided", "expired", "closed"}),
    "decided": frozenset(),
    "expired": frozenset(),
    "closed": frozenset(),
}
"""An item is decided exactly once; nothing comes after."""

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)
_RUN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?", re.ASCII)
run_id = functools.partial(same_id, uuid.UUID("6f1d3c52-6a1f-5c0e-9f56-0d7a54a8f6b1"))
"""The id of a run that must not be started twice: the same for the same cause."""


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow by its name: its versions never change, what it is may."""

    tenant: str
    id: str
    """`<namespace>.<name>`: neither part has a dot."""
    namespace: str
    name: str
    state: WorkflowState
    default: str
    """The highest version, which runs without one get."""
    title: str = ""
    summary: str = ""
    tags: dict[str, Any] = msgspec.field(default_factory=dict)
    created: int
    updated: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One published document with everything pinned to it. It never changes."""

    tenant: str
    workflow: str
    version: str
    hash: str
    """Content hash of the document and what is pinned to it."""
    document: Json
    resources: dict[str, Json]
    text: str
    """As it was written."""
    media: str
    lints: tuple[Finding, ...] = ()
    created: int
    by: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between two documents: what stands at a place before and after. Tasks are compared by name."""

    kind: Literal["added", "removed", "changed", "moved"]
    pointer: str
    """In the newer document; in the older one for what was removed."""
    before: Json = None
    after: Json = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When runs of a workflow start by themselves."""

    tenant: str
    id: str
    workflow: str
    version: str | None = None
    """None: the default version at that time."""
    kind: ScheduleKind
    spec: Json
    """`cron`: the text; `every` and `after`: milliseconds; `on`: the strategy of the document."""
    read: Literal["data", "envelope", "raw"] = "data"
    zone: str = "UTC"
    input: Json = None
    catch_up: CatchUp = "last"
    window: int = 86_400_000
    """How far back `all` makes up for what was missed."""
    overlap: Overlap = "skip"
    state: ScheduleState = "active"
    is_held: bool = False
    """Its workflow is not enabled."""
    of_document: bool = False
    """It stands in the document, and comes and goes with it."""
    by: str = ""
    """Who made it: the runs that it starts are on this account."""
    project: str = ""
    created: int
    updated: int
    due: int | None = None
    """The next time; None while it is paused or held, for `on`, and for `after` while its run goes on."""
    last_run: str | None = None
    memory: Json = None
    """`on`: how far the listening has come (`triggers.py`)."""


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a schedule came due. Unique by schedule and `due`, and so is its run."""

    tenant: str
    schedule: str
    due: int
    state: FiringState
    run: str
    at: int
    input: Json = None
    missed: int = 0
    """Earlier times that were not made up for."""
    detail: str = ""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An address that others may call, signed with a secret of its own; it starts a workflow or delivers an event."""

    tenant: str
    id: str
    name: str
    workflow: str = ""
    version: str | None = None
    event: str = ""
    """The type of the event to deliver."""
    created: int
    by: str
    """Who made it: the runs that it starts are on this account."""
    project: str = ""
    rotated: int | None = None
    until: int | None = None
    """Until then the secret before is good as well."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a person, from a run."""

    tenant: str
    id: str
    request: str
    """The id of the event that asked; answers carry it as their subject."""
    source: str
    kind: Literal["approval", "question", "repair"]
    """A `repair` asks what is to become of a run that cannot go on by itself."""
    title: str
    details: Json = None
    form: Json = None
    """JSON Schema of the `data` that a decision carries."""
    to: tuple[str, ...] = ()
    """Who may decide: `user:<id>`, `role:<name>`; empty: everybody who may decide anything."""
    hash: str
    """Of what is shown. A decision names it, and one for something else is void."""
    asker: str = ""
    """The run whose document asked, by the name that it cannot choose (`perdurerun`); empty: a service of ours."""
    run: str = ""
    task: str = ""
    state: ItemState = "open"
    asked: int
    deadline: int | None = None
    delegations: tuple["Delegation", ...] = ()
    decision: "Decision | None" = None


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody gave the question to others."""

    by: str
    to: tuple[str, ...]
    at: int
    reason: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, by whom."""

    approved: bool
    by: str
    at: int
    reason: str = ""
    data: Json = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One verb on many runs. What is done of it is kept, so that it goes on after a crash."""

    tenant: str
    id: str
    verb: Verb
    arguments: dict[str, Any]
    runs: tuple[str, ...]
    """What is left of those named, or found for the query and not done yet."""
    query: Json = None
    """The query that still has pages, or None."""
    before: str | None = None
    state: JobState = "working"
    created: int
    by: str
    done: int = 0
    failed: int = 0
    answers: tuple["Answer", ...] = ()
    """The newest of them, at most `ANSWERS`."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run of a job."""

    run: str
    ok: bool
    detail: str = ""


ANSWERS = 1_000


class NotValid(Invalid):
    """The document has errors; nothing was published."""

    code = "invalid-document"


class Taken(Conflict):
    """This version is published with another content."""

    code = "version-taken"


class Void(Conflict):
    """What was shown to you is not what is asked now."""

    code = "decision-void"


def no_workflow(id: str) -> NotFound:
    return NotFound(f"There is no workflow {id[:140]!r}.", hint="Its id is <namespace>.<name>.")


def no_run(id: str) -> NotFound:
    return NotFound(f"There is no run {id}.", hint="`perdure runs list` shows the runs there are.")


def no_schedule(id: str) -> NotFound:
    return NotFound(f"There is no schedule {id[:80]!r}.")


def no_webhook(id: str) -> NotFound:
    return NotFound(f"There is no webhook {id[:80]!r}.")


def no_item(id: str) -> NotFound:
    return NotFound(f"There is no question {id[:80]!r} in the inbox.")


def no_job(id: str) -> NotFound:
    return NotFound(f"There is no job {id[:80]!r}.")


def checked_run(id: str) -> str:
    """An id that somebody chose for a run, or Invalid."""
    if not _RUN.fullmatch(id):
        raise Invalid(
            f"{id[:80]!r} cannot be the id of a run.",
            hint="Use 1 to 100 letters, digits, dots, hyphens and underscores, with a letter or digit at both ends.",
        )
    return id


def decoded_json(body: bytes) -> Json:
    """The JSON value of a body, or Invalid."""
    try:
        check_count(body)
        return msgspec.json.decode(body)
    except RecursionError:
        raise Invalid("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise Invalid(f"The body is not JSON that can be taken: {error}.") from None


def checked_json(value: Json) -> Json:
    """A value that can be kept as JSON text, or Invalid."""
    try:
        canonical(value)
    except RecursionError:
        raise Invalid("The value is nested too deeply.") from None
    except (ValueError, TypeError) as error:
        raise Invalid(f"That is no JSON value that can be kept: {error}.") from None
    return value


def checked_text(text: str, what: str, most: int) -> str:
    """A line of text that every database can hold, or Invalid."""
    if "\x00" in text or not text.isprintable() or len(text) > most:
        raise Invalid(f"The {what} is a line of at most {most:,} printable characters.")
    return text


def precedence(version: str) -> tuple[Any, ...]:
    """A key that orders versions as semver.org does (11); what is none comes first."""
    found = _SEMVER.fullmatch(version)
    if found is None:
        return ((-1, -1, -1), (), version)
    numbers = tuple(int(part) for part in found.groups()[:3])
    if found[4] is None:
        return (numbers, ((2, 0, ""),), version)
    marks = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in found[4].split("."))
    return (numbers, ((-1, 0, ""), *marks), version)


def moved(workflow: Workflow, verb: str) -> WorkflowState:
    """The state after a verb. Conflict where it has no place."""
    state = WORKFLOW.get((workflow.state, verb))
    if state is None:
        hint = "`restore` it first." if workflow.state == "archived" else None
        raise Conflict(f"The workflow {workflow.id} is {workflow.state}.", hint=hint)
    return state
