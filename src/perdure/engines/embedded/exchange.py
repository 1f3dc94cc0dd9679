"""What runs have to do with one another: events published and kept, subscriptions, children.

Each function works inside the commit in the making (`Worker`), so that an event is stored together with the facts it
causes in every run that waits for it, and a child begins together with what makes it findable.
"""

import asyncio
from collections import deque
from typing import Any, Protocol

from perdure.engines.embedded.audience import Audience
from perdure.engines.embedded.definitions import find_published, runtime
from perdure.engines.embedded.heads import Heads
from perdure.engines.embedded.journal import Journal
from perdure.engines.embedded.programs import Programs
from perdure.engines.embedded.records import RunRecord, RunRow, Tuning, child_id
from perdure.engines.embedded.residents import Residents
from perdure.engines.embedded.subscriptions import Subscriptions, types_of, wants_earlier
from perdure.engines.embedded.values import decode, encode, restored
from perdure.engines.embedded.writer import Writer
from perdure.errors import Exhausted, PerdureError
from perdure.interpreter import lifecycle
from perdure.interpreter.commands import LIFECYCLE, Command, Emit, Lifecycle, StartChild, Subscribe
from perdure.interpreter.correlation import could_match, is_lifecycle, signed
from perdure.interpreter.events import CallCompleted, CancelRequested, ChildFailed, Event, EventReceived, Started
from perdure.interpreter.faults import problem
from perdure.interpreter.program import Program
from perdure.language.values import Json
from perdure.ports.clock import Clock
from perdure.ports.spending import inherited

_FORGET_EVERY = 500
_FAULTED = "workflow.faulted.v1"


class Commit(Protocol):
    """What these functions need of the worker: the commit in the making, and what is known besides it."""

    journal: Journal
    writer: Writer
    residents: Residents
    heads: Heads
    programs: Programs
    subscriptions: Subscriptions
    clock: Clock
    tuning: Tuning
    last_fact: int
    last_run: int
    last_event: int
    unsaved_events: dict[int, tuple[str, dict[str, Any]]]
    unsaved_identities: dict[tuple[str, str, str], None]
    audience: Audience
    emitted: asyncio.Event
    untold: deque[tuple[str, dict[str, Any], int]] | None

    def take(self, key: int, event: Event, mark: int | None = None) -> None:
        """Record a fact of a run and let the machine decide."""
        ...

    def offer(self, key: int, event: Event, mark: int) -> None:
        """`take`, and whatever goes wrong there is the trouble of that run alone."""
        ...

    def begin(self, row: RunRow, program: Program, started: Started) -> RunRecord:
        """A new run with its first fact."""
        ...


def publish(
    worker: Commit, tenant: str, event: dict[str, Any], *, of: int | None = None, emitted: bool = False
) -> bool:
    """Keep an event and give it to everyone who waits for it, but for the run whose lifecycle it tells `of`. False: it
    was here before. One that a run `emitted` leaves the engine as well."""
    source, id = str(event.get("source", "")), str(event.get("id", ""))
    if worker.journal.read("has_event", (tenant, source, id)) or (tenant, source, id) in worker.unsaved_identities:
        return False
    worker.last_event += 1
    seq, batch, now = worker.last_event, worker.writer.batch, worker.clock.now()
    worker.unsaved_events[seq] = (tenant, event)
    worker.unsaved_identities[tenant, source, id] = None
    batch.add("add_event", (seq, tenant, source, id, str(event.get("type", "")), now, encode(event), int(emitted)))
    if seq % _FORGET_EVERY == 0:
        batch.add("forget_events", (now - worker.tuning.retention,))
    for run, subscription in list(worker.subscriptions.matching(tenant, event)):
        if run != of:
            worker.offer(run, EventReceived(now=now, id=subscription, event=event), seq)
    batch.after.append(lambda: _is_kept(worker, seq, (tenant, source, id)))
    if emitted:
        batch.after.append(worker.emitted.set)
    return True


def _is_kept(worker: Commit, seq: int, identity: tuple[str, str, str]) -> None:
    del worker.unsaved_events[seq]
    del worker.unsaved_identities[identity]


def tell(worker: Commit, record: RunRecord, commands: list[Command], number: int) -> None:
    """Make lifecycle events of what a run did, where somebody listens for them, and of its fault always: that one leaves the
    engine as well. They are stored with the fact that caused it. Runs may end one another: that is a loop here, and no
    recursion."""
    row, program = record.row, record.program
    events: deque[tuple[str, dict[str, Any], int]] = deque() if worker.untold is None else worker.untold
    for command in commands:
        if isinstance(command, Lifecycle):
            number += 1
            is_heard = worker.audience.hears(row.tenant, LIFECYCLE + command.type)
            if command.type == _FAULTED or (is_heard and lifecycle.is_told(program, command)):
                event = restored(lifecycle.cloud_event(program, row.id, number, command))
                events.append((row.tenant, event, row.key))
    if worker.untold is None:
        worker.untold = events
        try:
            while events:
                tenant, event, run = events.popleft()
                publish(worker, tenant, event, of=run, emitted=event["type"] == LIFECYCLE + _FAULTED)
        finally:
            worker.untold = None


def emit(worker: Commit, record: RunRecord, command: Emit) -> None:
    """Publish an event of a run; the run's answer is in the same commit."""
    assert record.state is not None
    event = signed(restored(command.event), record.state["seed"], record.program)
    publish(worker, record.row.tenant, event, emitted=True)
    worker.take(record.key, CallCompleted(now=worker.clock.now(), id=command.id))


def subscribe(worker: Commit, record: RunRecord, command: Subscribe) -> None:
    """Offer the kept events in their order, then every new one (T14)."""
    row, now = record.row, worker.clock.now()
    after = record.upto.get(command.id, 0 if wants_earlier(command.filters) else row.mark)
    since, types = (row.tenant, after, now - worker.tuning.retention), types_of(command.filters)
    rows = (
        worker.journal.read("events_after", since)
        if "" in types
        else worker.journal.read("events_after_of_types", (*since, encode(types).decode()))
    )
    events: list[tuple[int, Json]] = [(seq, decode(body)) for seq, body in rows]
    events += [
        (seq, event) for seq, (tenant, event) in worker.unsaved_events.items() if tenant == row.tenant and seq > after
    ]
    worker.subscriptions.add(row.tenant, record.key, command)
    for seq, event in events:
        if command.id not in record.open:
            break
        is_own = is_lifecycle(event) and event.get("subject") == row.id
        if not is_own and could_match(command.filters, event):
            worker.take(record.key, EventReceived(now=now, id=command.id, event=event), seq)


def start_child(worker: Commit, record: RunRecord, command: StartChild) -> None:
    """Begin a child run, once."""
    row = record.row
    id = child_id(row.id, command.id)
    known = (row.tenant, id) in worker.residents.keys or worker.journal.read("key_of", (row.tenant, id))
    if not known:
        try:
            _begin_child(worker, row, command, id)
        except PerdureError as error:
            if command.awaited:
                fault = problem(
                    "configuration", title=f"{command.namespace}.{command.name} cannot be started", detail=str(error)
                )
                worker.take(record.key, ChildFailed(now=worker.clock.now(), id=command.id, error=fault))
    if not command.awaited:
        record.close_command(command.id)
        if record.ended is not None:
            worker.heads.write(record)


def cancel_child(worker: Commit, row: RunRow, command: StartChild) -> None:
    """Cancel the child of a parent that does not wait any more; nothing happens when it has ended."""
    rows = worker.journal.read("key_of", (row.tenant, child_id(row.id, command.id)))
    if rows:
        worker.take(rows[0][0], CancelRequested(now=worker.clock.now()))


def _begin_child(worker: Commit, parent: RunRow, command: StartChild, id: str) -> None:
    if parent.depth >= worker.tuning.depth:
        raise Exhausted(f"Workflows start one another {parent.depth} levels deep; that is the limit.")
    definition = find_published(worker.journal, parent.tenant, (command.namespace, command.name, command.version))
    program = worker.programs.get(definition)
    pinned = inherited(worker.programs.get(parent.definition).resources, program.resources)
    if pinned is not program.resources:
        definition, program = worker.programs.add(program.document, pinned)
        worker.writer.batch.add("add_definition", (definition, encode(program.document), encode(program.resources)))
    now = worker.clock.now()
    worker.last_run += 1
    row = RunRow(
        key=worker.last_run, id=id, tenant=parent.tenant, namespace=program.namespace, name=program.name,
        version=program.version, program=program.hash, definition=definition, started=now, first=worker.last_fact + 1,
        mark=worker.last_event, origin=None, parent=parent.key if command.awaited else None, command=command.id,
        depth=parent.depth + 1,
    )  # fmt: skip
    worker.begin(
        row,
        program,
        Started(
            now=now,
            run=id,
            tenant=parent.tenant,
            seed=id,
            input=restored(command.input),
            runtime=runtime(parent.tenant),
        ),
    )
