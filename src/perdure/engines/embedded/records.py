"""A run in memory: what the engine knows of it between two events."""

import logging
import math
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from perdure.engines.calls import Caller
from perdure.engines.embedded.values import Asking, Saved, pack_saved
from perdure.interpreter.commands import (
    CancelWait,
    Command,
    Complete,
    Emit,
    Fault,
    Lifecycle,
    ScheduleCall,
    StartChild,
    StartTimer,
    Subscribe,
    Unsubscribe,
    UpsertVisibility,
)
from perdure.interpreter.events import (
    CallCompleted,
    CallFailed,
    ChildCompleted,
    ChildFailed,
    Event,
    EventReceived,
    OperatorPatch,
    Started,
    TimerFired,
)
from perdure.interpreter.faults import problem
from perdure.interpreter.machine import step
from perdure.interpreter.program import Program
from perdure.language.values import Json
from perdure.ports.engine import ENDED

_CHILDREN = uuid.UUID("6f0a4f0e-6b0f-5d1b-9d0c-2f6a1a7c3e55")
_log = logging.getLogger("perdure.engine")
_ANSWERS = frozenset((CallCompleted, CallFailed, TimerFired, ChildCompleted, ChildFailed))
_ASKING = frozenset((ScheduleCall, StartTimer, Subscribe, Emit, StartChild))
_GIVING_UP = (CancelWait, Unsubscribe)


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the engine. Everything has a default that suits one machine."""

    idle: float = 1.0
    """Seconds without an event after which a waiting run leaves memory."""
    resident: int = 2_000
    """Runs in memory at most, as far as they can leave it."""
    snapshot_every: int = 100
    """Facts of one run between two snapshots, at least."""
    calls: int = 256
    """Calls under way at once; more of them queue."""
    timers: int = 10_000
    """Timers of runs outside memory that are kept at hand."""
    evict: str = "idle"
    """`idle`; for tests `step` (snapshot and leave after each event) or `replay` (leave without a snapshot)."""
    commit: str = "adaptive"
    """`adaptive`, or `inline` or `thread` always (`writer.py`)."""
    retention: int = 7 * 24 * 3600 * 1000
    """Milliseconds for which CloudEvents are kept for later subscriptions."""
    result_bytes: int = 16 * 1024 * 1024
    """The largest result of one call, as JSON."""
    depth: int = 64
    """How deep workflows may start workflows."""


class RunRow(NamedTuple):
    """A row of `runs` with its row of `heads`."""

    key: int
    id: str
    tenant: str
    namespace: str
    name: str
    version: str
    program: str
    definition: str
    started: int
    first: int
    mark: int
    origin: str | None
    parent: int | None
    command: str | None
    depth: int
    head: int = 0
    status: str = "pending"
    updated: int = 0
    parked: int = 0
    ended: int | None = None
    result: bytes | None = None


_NEEDS_MEMORY = (ScheduleCall, Emit)


class RunRecord:
    """State, open commands and position of one run."""

    __slots__ = (
        "asked", "bytes_since", "caller", "closed", "ended", "entries", "error", "facts_since", "given", "has_rows", "has_snapshot", "head", "is_whole", "key", "offset", "open", "output",
        "pins", "program", "result", "row", "sent", "shown", "snapshot_bytes", "state", "status", "updated", "upto",
    )  # fmt: skip

    def __init__(self, row: RunRow, program: Program) -> None:
        self.row = row
        self.key = row.key
        """The run's number in the journal."""
        self.caller = Caller(row.key, row.tenant, row.id, program.resources)
        """For whom its calls are made."""
        self.program = program
        self.state: dict[str, Any] | None = None
        self.open: dict[str, Asking] = {}
        """Commands given out and not answered, by id: what to do again after a crash."""
        self.asked: list[Asking] = []
        """Those that the last step gave out."""
        self.closed: list[Asking] = []
        """Those that the last step gave up, or answered when more than the answer is kept of them."""
        self.sent: dict[str, None] = {}
        """Unsafe calls that were sent."""
        self.upto: dict[str, int] = {}
        self.entries = 0
        self.head = row.head
        self.status = row.status
        self.updated = row.updated
        self.ended = row.ended
        self.result = row.result
        self.shown: str | None = None
        """The phase that its row of `heads` says, when that is active and not parked."""
        self.offset = 0.0
        """The run's own time is monotonic time plus this, in milliseconds: it goes on evenly while the run is in memory,
        and never back, whatever happens to the wall clock."""
        self.has_rows = False
        """Whether `timers` or `subscriptions` may hold rows of it."""
        self.has_snapshot = False
        self.facts_since = 0
        self.bytes_since = 0
        self.snapshot_bytes = 0
        self.pins = 0
        """Reasons to stay in memory: facts that are not durable yet, work that is about to be done for it."""
        self.is_whole = False
        """Whether all its facts were seen here, and so its input is known."""
        self.given: Json = None
        self.output: Json = None
        self.error: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"RunRecord({self.row.id!r}, {self.status}, open={len(self.open)}, pins={self.pins})"

    @property
    def can_park(self) -> bool:
        """Whether everything it waits for can be found without it."""
        return not any(isinstance(command, _NEEDS_MEMORY) or is_debt(command) for command in self.open.values())

    @property
    def wants_snapshot(self) -> bool:
        """Whether enough happened: replay stays bounded, and writing snapshots costs no more than the facts did."""
        return self.bytes_since >= self.snapshot_bytes

    def timers(self) -> list[StartTimer]:
        """Its open timers."""
        return [command for command in self.open.values() if isinstance(command, StartTimer)]

    def subscriptions(self) -> list[Subscribe]:
        """Its open subscriptions."""
        return [command for command in self.open.values() if isinstance(command, Subscribe)]

    def saved(self, store: Callable[[bytes, bytes], None]) -> bytes:
        """The body of a snapshot of it."""
        saved = Saved(
            state=self.state, open=list(self.open.values()), sent=list(self.sent), upto=self.upto, entries=self.entries
        )
        body, self.snapshot_bytes = pack_saved(
            saved, store
        )  # what it cost to look at, however little of it is left to store
        self.facts_since = self.bytes_since = 0
        self.has_snapshot = True
        return body

    def head_row(self, *, parked: bool = False) -> tuple[Any, ...]:
        """Its row of `heads`. A run that has ended needs no memory either, once its debts are paid."""
        parked = parked or (self.ended is not None and not self.open)
        return (self.row.key, self.head, self.status, self.updated, int(parked), self.ended, self.result)

    def as_row(self) -> RunRow:
        """What its rows say once all its facts are stored."""
        return self.row._replace(
            head=self.head, status=self.status, updated=self.updated, ended=self.ended, result=self.result
        )

    def keep_time(self, steady: float, wall: int) -> None:
        """Begin or go on by the wall clock, but not before the run's last fact. `steady` is monotonic, in milliseconds."""
        self.offset = max(wall, self.updated) - steady

    def now(self, steady: float, due: int = 0) -> int:
        """The run's own time, at least `due`. Rounded up, so that what is counted from it is never early."""
        now = max(self.updated, math.ceil(steady + self.offset), due)
        if now > steady + self.offset + 1:
            self.offset = now - steady
        return now

    def step(self, fact: Event, mark: int | None = None) -> list[Command]:
        """Hand a fact to the machine and keep account of what it asks for. A Bug of the machine faults the run."""
        self.asked, self.closed = [], []
        if type(fact) in _ANSWERS:
            self.close_command(fact.id, answered=True)  # type: ignore[union-attr]
        elif mark is not None and isinstance(fact, EventReceived):
            self.upto[fact.id] = mark
        elif isinstance(fact, Started):
            self.is_whole, self.given = True, fact.input
        self.updated = fact.now
        try:
            self.state, commands = step(self.program, self.state, fact)
        except Exception as error:  # noqa: BLE001 - a bug of the machine must not stop the other runs
            _log.exception("The machine failed on a fact of run %s", self.row.id)
            commands = [
                Fault(error=problem("runtime", title="bug in Perdure", detail=f"{type(error).__name__}: {error}"))
            ]
        for command in commands:
            kind = type(command)
            if kind is Lifecycle:
                self.entries += 1
            elif kind in _ASKING:
                self.open[command.id] = command  # type: ignore[union-attr, assignment]
                self.asked.append(command)  # type: ignore[arg-type]
            else:
                self._absorb(command)
        return commands

    def expects(self, event: Event, mark: int | None) -> bool:
        """Whether the event can change anything: late, repeated and unknown answers do not even reach the journal."""
        if self.ended is not None:
            return isinstance(event, OperatorPatch)
        if isinstance(event, EventReceived):
            return event.id in self.open and (mark is None or mark > self.upto.get(event.id, -1))
        id = getattr(event, "id", None)
        return id is None or id in self.open

    def _absorb(self, command: Command) -> None:
        if isinstance(command, _GIVING_UP):
            self.close_command(command.id)
        elif isinstance(command, UpsertVisibility):
            self._show(str(command.values.get("status", self.status)))
        elif isinstance(command, Complete):
            self._end("completed", output=command.output)
        elif isinstance(command, Fault):
            self._end("faulted", error=command.error)
        else:
            self._end("cancelled")

    def _show(self, status: str) -> None:
        self.status = status
        if status not in ENDED and self.ended is not None:
            self.ended = self.result = self.error = None

    def _end(self, status: str, *, output: Json = None, error: dict[str, Any] | None = None) -> None:
        self.status, self.ended, self.output, self.error = status, self.updated, output, error
        self.closed.extend(command for command in self.open.values() if not is_debt(command))
        self.open = {id: command for id, command in self.open.items() if is_debt(command)}
        self.sent.clear()
        self.upto.clear()

    def close_command(self, id: str, *, answered: bool = False) -> None:
        """Forget an open command that is answered or given up. An answered call without a deadline leaves nothing."""
        if self.sent or self.upto:
            self.sent.pop(id, None)
            self.upto.pop(id, None)
        command = self.open.pop(id, None)
        if command is not None and not (answered and type(command) is ScheduleCall and command.deadline is None):
            self.closed.append(command)


def is_debt(command: Asking) -> bool:
    """Whether the engine owes this even when the run has ended: a child that nobody waits for."""
    return isinstance(command, StartChild) and not command.awaited


def child_id(parent: str, command: str) -> str:
    """The public id of the run that a StartChild of `parent` makes: the same after every crash."""
    return str(uuid.uuid5(_CHILDREN, f"{parent}/{command}"))
