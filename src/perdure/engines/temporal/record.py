"""A run inside the workflow: the machine's state, the facts so far, and what is open. No decisions, no Temporal."""

import uuid
from typing import Any, TypeAlias

import msgspec

from perdure.engines.temporal.protocol import Beginning, Carried
from perdure.errors import Bug
from perdure.interpreter import commands, events, handles
from perdure.interpreter.faults import problem
from perdure.interpreter.machine import compile, program_hash, step
from perdure.interpreter.program import Program
from perdure.interpreter.state import restore, snapshot
from perdure.language.values import Json
from perdure.ports.engine import ENDED

Asking: TypeAlias = (
    commands.ScheduleCall | commands.StartTimer | commands.Subscribe | commands.Emit | commands.StartChild
)
ANSWERS = (events.CallCompleted, events.CallFailed, events.TimerFired, events.ChildCompleted, events.ChildFailed)
_KEPT = 256
_CHILDREN = uuid.UUID("6f0a4f0e-6b0f-5d1b-9d0c-2f6a1a7c3e55")
_programs: dict[str, Program] = {}
"""Programs by hash, for all workflows of the process: a program is the same whoever compiles it."""

encode = msgspec.json.Encoder().encode
decode_fact: msgspec.json.Decoder[events.Event] = msgspec.json.Decoder(events.Event)


class Record:
    """State, facts and open commands of one run."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.state: dict[str, Any] | None = None
        self.facts: list[bytes] = []
        """Every event of this execution, as the machine was given it."""
        self.open: dict[str, Asking] = {}
        self.closed: list[Asking] = []
        """Those that the last event answered or gave up."""
        self.status = "pending"
        self.updated = 0
        self.ended: int | None = None
        self.output: Json = None
        self.error: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Record({self.status}, facts={len(self.facts)}, open={len(self.open)})"

    def expects(self, event: events.Event) -> bool:
        """Whether the event can change anything: late, repeated and unknown answers are not even a fact."""
        if self.ended is not None:
            return isinstance(event, events.OperatorPatch)
        id = getattr(event, "id", None)
        return id is None or id in self.open

    def take(self, event: events.Event, now: int) -> list[commands.Command]:
        """Hand an event to the machine, with the time that it has now."""
        due = event.now if isinstance(event, events.TimerFired) else 0
        event = msgspec.structs.replace(event, now=max(now, due, self.updated))
        body = encode(event)
        if handles.MARK in body:
            event = msgspec.convert(handles.escape(msgspec.json.decode(body)), type(event))
            body = encode(event)
        self.facts.append(body)
        return self.step(event)

    def step(self, event: events.Event) -> list[commands.Command]:
        """The same for an event that is a fact already. A Bug of the machine faults the run."""
        self.closed = []
        if isinstance(event, ANSWERS):
            self._close(event.id)
        self.updated = event.now
        try:
            self.state, given = step(self.program, self.state, event)
        except Exception as error:  # noqa: BLE001 - a bug of the machine is this run's fault and nobody else's
            detail = f"{type(error).__name__}: {error}"
            given = [commands.Fault(error=problem("runtime", title="bug in Perdure", detail=detail))]
        for command in given:
            self._absorb(command)
        if self.ended is None and self.state is not None:
            self.status = self.state["status"]
        return given

    def fits(self, patch: events.OperatorPatch) -> bool:
        """Whether the patch would change anything."""
        if self.state is None:
            return False
        return bool(step(self.program, restore(snapshot(self.state)), patch)[1])

    def carried(self) -> Carried:
        """What the next execution goes on with."""
        assert self.state is not None
        return Carried(state=self.state, open=list(self.open.values()), status=self.status, updated=self.updated)

    def go_on(self, carried: Carried) -> None:
        """Go on where the execution before stopped."""
        self.state, self.status, self.updated = carried.state, carried.status, carried.updated
        self.open = {command.id: command for command in msgspec.convert(carried.open, list[Asking])}

    def _absorb(self, command: commands.Command) -> None:
        if isinstance(command, Asking):
            self.open[command.id] = command
        elif isinstance(command, commands.CancelWait | commands.Unsubscribe):
            self._close(command.id)
        elif isinstance(command, commands.UpsertVisibility):
            self._show(str(command.values.get("status", self.status)))
        elif isinstance(command, commands.Complete):
            self._end("completed", output=command.output)
        elif isinstance(command, commands.Fault):
            self._end("faulted", error=command.error)
        elif isinstance(command, commands.Cancelled):
            self._end("cancelled")

    def _show(self, status: str) -> None:
        self.status = status
        if status not in ENDED and self.ended is not None:
            self.ended = self.output = self.error = None

    def _end(self, status: str, *, output: Json = None, error: dict[str, Any] | None = None) -> None:
        self.status, self.ended, self.output, self.error = status, self.updated, output, error
        self.closed.extend(command for command in self.open.values() if not is_debt(command))
        self.open = {id: command for id, command in self.open.items() if is_debt(command)}

    def _close(self, id: str) -> None:
        command = self.open.pop(id, None)
        if command is not None:
            self.closed.append(command)


def is_debt(command: Asking) -> bool:
    """Whether the engine owes this even when the run has ended: a child that nobody waits for."""
    return isinstance(command, commands.StartChild) and not command.awaited


def program_of(definition: dict[str, Any], expected: str) -> Program:
    """The program of a definition; Bug when this Perdure makes another one of it than the run began with."""
    program = _programs.get(expected)
    if program is None:
        made = program_hash(definition["document"], definition["resources"])
        if made != expected:
            raise Bug(
                f"This Perdure makes another program ({made[:12]}) of the run's document than the one it began with "
                f"({expected[:12]}).",
                hint="Let a worker of the version that started the run go on with it.",
            )
        program = compile(definition["document"], definition["resources"])
        if len(_programs) >= _KEPT:
            del _programs[next(iter(_programs))]
        _programs[expected] = program
    return program


def opened(beginning: Beginning, definition: dict[str, Any], carried: Carried | None) -> Record:
    """The record of a run whose workflow begins now."""
    record = Record(program_of(definition, beginning.program))
    if carried is not None:
        record.go_on(carried)
    for fact in beginning.facts if carried is None else ():
        record.facts.append(encode(fact))
        record.step(msgspec.convert(fact, events.Event))
    return record


# What an engine answers where nobody else does


def child_id(parent: str, command: str) -> str:
    """The public id of the run that a StartChild of `parent` makes: the same on every engine."""
    return str(uuid.uuid5(_CHILDREN, f"{parent}/{command}"))


def wants_earlier(filters: list[dict[str, Any]]) -> bool:
    """Whether events from before the run's start are offered too (T14): some filter correlates with a known value."""
    return any("expect" in key for one in filters for key in (one.get("correlate") or {}).values())


def refused_child(command: commands.StartChild, refusal: str) -> events.ChildFailed:
    """The answer when there is no such workflow to start."""
    title = f"{command.namespace}.{command.name} cannot be started"
    return events.ChildFailed(now=0, id=command.id, error=problem("configuration", title=title, detail=refusal))


def cancelled_child(run: str) -> dict[str, Any]:
    """What a parent hears when its child was cancelled."""
    return problem("runtime", title="cancelled", detail=f"The child run {run} was cancelled.")


def late_call(command: commands.ScheduleCall, *, is_sent: bool) -> events.CallFailed:
    """The answer for a call whose deadline came: before the timer of the same moment, as on every engine."""
    error = problem("timeout", title="call timed out", detail="The call had no answer when its deadline came.")
    return events.CallFailed(now=0, id=command.id, error=error, outcome="unknown" if is_sent else "definite")


def lost_call(command: commands.ScheduleCall, reason: str) -> events.CallFailed:
    """The answer for a call that the server gave up."""
    detail = f"{command.function} got no answer: {reason}."
    return events.CallFailed(
        now=0, id=command.id, error=problem("runtime", title="outcome unknown", detail=detail), outcome="unknown"
    )
