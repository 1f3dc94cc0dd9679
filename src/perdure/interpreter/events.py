"""Everything the machine can be told. An event is a fact: it is journaled before it is acted on.

Every event carries `now`, in whole milliseconds since the Unix epoch: the only clock the machine has. Events that
answer a command carry that command's `id`; an unknown, repeated or late id changes nothing.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from perdure.language.values import Json


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started", tag_field="kind"):
    """The first event of a run. `seed` is the namespace of its ids; what a fork took over keeps that of its origin."""

    now: int
    run: str
    tenant: str
    seed: str
    input: Json = msgspec.field(default_factory=dict)
    runtime: dict[str, Any] = msgspec.field(default_factory=dict)
    """`$runtime`: name, version, metadata. Recorded here so that a replay by a newer Perdure sees the same value."""
    seeds: tuple[tuple[int, str], ...] = ()
    """The seeds that follow (`lineage.py`): each holds from so many events after the one before on."""


class CallCompleted(msgspec.Struct, frozen=True, kw_only=True, tag="call-completed", tag_field="kind"):
    """A scheduled call, or an emit, succeeded. `usage` is what it cost (`{"inputTokens": 12, ...}`), for the timeline."""

    now: int
    id: str
    output: Json = None
    usage: dict[str, Any] | None = None


class CallFailed(msgspec.Struct, frozen=True, kw_only=True, tag="call-failed", tag_field="kind"):
    """A scheduled call failed. `error` is a problem (`faults.py`).

    `outcome` is `definite` when the effect certainly did not happen or was refused, `unknown` when it may have
    happened: a retry then keeps the idempotency key.
    """

    now: int
    id: str
    error: dict[str, Any]
    outcome: Literal["definite", "unknown"] = "definite"


class CallProgress(msgspec.Struct, frozen=True, kw_only=True, tag="call-progress", tag_field="kind"):
    """A running call reports something worth keeping; it changes the timeline only."""

    now: int
    id: str
    data: Json = None


class TimerFired(msgspec.Struct, frozen=True, kw_only=True, tag="timer-fired", tag_field="kind"):
    """A timer's due time has come."""

    now: int
    id: str


class EventReceived(msgspec.Struct, frozen=True, kw_only=True, tag="event-received", tag_field="kind"):
    """A CloudEvent reached a subscription; `id` is the id of the Subscribe command, `event` is in structured JSON form."""

    now: int
    id: str
    event: dict[str, Any]


class ChildCompleted(msgspec.Struct, frozen=True, kw_only=True, tag="child-completed", tag_field="kind"):
    """A child run completed. `id` is that of StartChild."""

    now: int
    id: str
    output: Json = None


class ChildFailed(msgspec.Struct, frozen=True, kw_only=True, tag="child-failed", tag_field="kind"):
    """A child run faulted or was cancelled."""

    now: int
    id: str
    error: dict[str, Any]


class CancelRequested(msgspec.Struct, frozen=True, kw_only=True, tag="cancel-requested", tag_field="kind"):
    """Somebody asks for the end of the run; its compensations run first when `compensate` is true."""

    now: int
    compensate: bool = False


class SuspendRequested(msgspec.Struct, frozen=True, kw_only=True, tag="suspend-requested", tag_field="kind"):
    """Hold the run: outcomes of what is under way are recorded, nothing new is started."""

    now: int


class ResumeRequested(msgspec.Struct, frozen=True, kw_only=True, tag="resume-requested", tag_field="kind"):
    """Let a suspended run go on."""

    now: int


class OperatorPatch(msgspec.Struct, frozen=True, kw_only=True, tag="operator-patch", tag_field="kind"):
    """An operator mends a run at one path.

    `retry`: the faulted (or waiting) task at `path` is entered again with its raw input; a faulted run is open again.
    `skip`: the task at `path` ends with `output` as its transformed output (`skip` without output: its raw input).
    A patch that does not fit the state changes nothing.
    """

    now: int
    action: Literal["retry", "skip"]
    path: str | None = None
    """None: the task that faulted the run."""
    output: Json = None
    has_output: bool = False


Event: TypeAlias = (
    Started
    | CallCompleted
    | CallFailed
    | CallProgress
    | TimerFired
    | EventReceived
    | ChildCompleted
    | ChildFailed
    | CancelRequested
    | SuspendRequested
    | ResumeRequested
    | OperatorPatch
)
