"""Everything the machine can ask for. A command that changes anything is given out only after the event that caused it is
journaled.

`id` names the command for its answer, `path` is the position in the run (unique per attempt, iteration and visit) and
`ref` the JSON pointer of the task in the document. Times are whole milliseconds since the Unix epoch.
"""

from typing import Any, TypeAlias

import msgspec

from perdure.language.values import Json

LIFECYCLE = "io.serverlessworkflow."
"""What the types of all lifecycle CloudEvents begin with; what follows is the `type` of a `Lifecycle`."""


class ScheduleCall(msgspec.Struct, frozen=True, kw_only=True, tag="schedule-call", tag_field="kind"):
    """Call a function once. `key` is the idempotency key: a redelivery carries the same one."""

    id: str
    path: str
    ref: str
    function: str
    """Name in the function table: `http`, `openapi`, or a catalog function's name."""
    version: str | None = None
    args: Json = None
    """Evaluated arguments; secrets inside are handles (`interpreter/handles.py`)."""
    key: str
    attempt: int = 1
    deadline: int | None = None
    """When the result is of no use any more (from task and retry limits), or None."""


class StartTimer(msgspec.Struct, frozen=True, kw_only=True, tag="start-timer", tag_field="kind"):
    """Send TimerFired at `due` or as soon after it as possible, never before."""

    id: str
    path: str
    due: int


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, tag="subscribe", tag_field="kind"):
    """Deliver matching CloudEvents until Unsubscribe.

    Each filter is `{"with": {attribute: literal or {"expression": text}}, "correlate": {name: {"from": text,
    "expect": value}}}`; any one may match, and an empty list takes every event. `correlation.could_match` is the
    test the engine applies; the machine decides in full. The engine also delivers kept events: those since the run's
    start, and, when a filter correlates with an `expect`, earlier ones still within retention (T14).
    """

    id: str
    path: str
    filters: list[dict[str, Any]]


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, tag="unsubscribe", tag_field="kind"):
    """No more events for this subscription. `id` is the Subscribe's."""

    id: str


class Emit(msgspec.Struct, frozen=True, kw_only=True, tag="emit", tag_field="kind"):
    """Publish a CloudEvent (structured JSON form); answered by CallCompleted of this id."""

    id: str
    path: str
    event: dict[str, Any]


class StartChild(msgspec.Struct, frozen=True, kw_only=True, tag="start-child", tag_field="kind"):
    """Start another workflow as a run of its own. Without `awaited` no answer is expected, and none is heeded."""

    id: str
    path: str
    namespace: str
    name: str
    version: str
    input: Json
    awaited: bool = True
    key: str = ""


class CancelWait(msgspec.Struct, frozen=True, kw_only=True, tag="cancel-wait", tag_field="kind"):
    """Give up a call, timer or child; an answer that still comes changes nothing."""

    id: str


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, tag="lifecycle", tag_field="kind"):
    """Something for the timeline: the one source of history, progress display and lifecycle CloudEvents.

    `type` is the suffix of the specification's event type (`task.created.v1`, `workflow.completed.v1`), `path` and
    `ref` are empty for the workflow itself, `data` what the row of the checklist (L1, L2) asks for and, for us,
    `output`, `error`, `attempt`, `wait`, `usage`, `progress` where they apply.
    """

    type: str
    now: int
    path: str = ""
    ref: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class UpsertVisibility(msgspec.Struct, frozen=True, kw_only=True, tag="upsert-visibility", tag_field="kind"):
    """Values by which runs are found: the status phase, and more later."""

    values: dict[str, Any]


class Complete(msgspec.Struct, frozen=True, kw_only=True, tag="complete", tag_field="kind"):
    """The run is over and this is its output."""

    output: Json = None


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag="fault", tag_field="kind"):
    """The run faulted with this problem. An OperatorPatch may open it again."""

    error: dict[str, Any]


class Cancelled(msgspec.Struct, frozen=True, kw_only=True, tag="cancelled", tag_field="kind"):
    """The run was cancelled."""


Command: TypeAlias = (
    ScheduleCall
    | StartTimer
    | Subscribe
    | Unsubscribe
    | Emit
    | StartChild
    | CancelWait
    | Lifecycle
    | UpsertVisibility
    | Complete
    | Fault
    | Cancelled
)
