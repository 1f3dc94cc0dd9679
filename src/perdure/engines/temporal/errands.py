"""What a run has done for it on the server: calls, timers, signals to others, children."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ActivityError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    import msgspec

    from perdure.engines.temporal import protocol
    from perdure.engines.temporal.record import (
        cancelled_child,
        child_id,
        is_debt,
        late_call,
        lost_call,
        refused_child,
        wants_earlier,
    )
    from perdure.interpreter import commands as c
    from perdure.interpreter import events as e
    from perdure.interpreter import handles, lifecycle
    from perdure.interpreter.correlation import signed
    from perdure.language.values import content_hash
    from perdure.ports.spending import INHERITED

if TYPE_CHECKING:
    from perdure.engines.temporal.workflow import RunWorkflow

_FOREVER = timedelta(days=3650)
_KEPT = 50
_FAULTED = "workflow.faulted.v1"
_MOST_FACTS = 1_000_000


class Errands:
    """Does commands. An answer comes back through `run.push`."""

    def __init__(self, run: "RunWorkflow") -> None:
        self._run = run
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._lanes: dict[str, list[tuple[Any, str | None]]] = {}
        self._held: list[c.ScheduleCall] = []
        self._count = 0
        self._shown = run.record.status
        self.turned: Callable[[str, str], None] | None = None
        """Is told of each new status: before, and now."""
        # An execution that goes on from another one does not know what that one told, and tells everything.
        self._told: dict[str, Any] = {} if run.is_first else dict.fromkeys(("ended", "error"), ...)
        self.progress: dict[str, Any] = {}
        """Call -> [number, path, ref, data]: the last thing that recent calls reported."""
        beginning = run.beginning
        self._began = beginning.began or protocol.moment(workflow.info().workflow_start_time)
        self._exchange = protocol.exchange_id(beginning.installation, beginning.tenant)

    def __repr__(self) -> str:
        return f"Errands(calls={len(self._calls)}, timers={len(self._timers)}, others={len(self._others)})"

    def do(self, command: c.Command) -> None:
        """Begin to do it."""
        act = _DO.get(type(command))
        if act is not None:
            act(self, command)

    def is_busy(self) -> bool:
        """Whether anything is under way besides calls and timers."""
        return bool(self._others)

    def is_over(self) -> bool:
        """Whether the run has ended and owes nobody anything."""
        return self._run.record.ended is not None and not self._others

    def is_full(self) -> bool:
        """Whether this execution has done enough, and nothing is under way: the next one goes on."""
        return bool(self._held) and not self._calls and not self._others

    def next_beginning(self) -> protocol.Beginning:
        """What the next execution of the run begins with."""
        past = (*self._run.beginning.past, workflow.info().run_id)
        return msgspec.structs.replace(self._run.beginning, past=past, began=self._began, facts=())

    def next_attributes(self) -> TypedSearchAttributes | None:
        """By what the next execution is found; None: by the same. No command of its own, which older histories do not have."""
        if not self._run.beginning.has_attributes or not self._run.is_first:
            return None
        began = SearchAttributePair(SearchAttributeKey.for_int(protocol.BEGAN), self._began)
        return workflow.info().typed_search_attributes.updated(began)

    def left_open(self, is_first: bool) -> list[c.Command]:
        """What was open when another execution, or the run this one was forked from, stopped."""
        record = self._run.record
        if is_first:
            record.open = {id: command for id, command in record.open.items() if not is_debt(command)}
            return list(record.open.values())
        return [command for command in record.open.values() if isinstance(command, c.ScheduleCall | c.StartTimer)]

    def show(self) -> None:
        """Let the run be found by what it is now."""
        record = self._run.record
        is_new_fault = record.status == "faulted" and self._told.get("ended", record.ended) != record.ended
        if record.status == self._shown and not is_new_fault:
            return
        if self.turned is not None and record.status != self._shown:
            self.turned(self._shown, record.status)
        self._shown = record.status
        about = {
            "status": record.status, "updated": record.updated, "ended": record.ended, "began": self._began,
            "error": record.error if record.status == "faulted" else None,
        }  # fmt: skip
        workflow.upsert_memo({name: value for name, value in about.items() if self._told.get(name) != value})
        self._told = about
        if self._run.beginning.has_attributes:
            key = SearchAttributeKey.for_keyword(protocol.STATUS)
            workflow.upsert_search_attributes([key.value_set(record.status)])

    # Calls and timers

    def call(self, command: c.ScheduleCall) -> None:
        if command.id not in self._run.record.open:
            return
        limits = self._run.beginning.limits
        info = workflow.info()
        is_long = info.get_current_history_length() > limits.events or info.get_current_history_size() > limits.bytes
        if is_long or (self._count >= limits.calls and not self._calls):
            self._held.append(command)
            return
        self._count += 1
        self._calls[command.id] = self._begin(self._call(command), lambda: self._calls.pop(command.id, None))

    async def _call(self, command: c.ScheduleCall) -> None:
        beginning = self._run.beginning
        limits = beginning.limits
        try:
            answer = await workflow.execute_activity(
                protocol.CALL,
                args=[command, beginning.tenant, beginning.run, self._run.record.program.resources],
                task_queue=protocol.queue(beginning.installation, protocol.group_of(command.function)),
                activity_id=f"{command.path[-200:]}~{command.id}",
                start_to_close_timeout=_FOREVER,
                heartbeat_timeout=timedelta(seconds=limits.heartbeat),
                retry_policy=RetryPolicy(
                    initial_interval=timedelta(seconds=limits.redelivery), maximum_interval=timedelta(minutes=1)
                ),
            )
        except ActivityError as error:
            self._calls.pop(command.id, None)
            self._run.push(lost_call(command, str(error.cause or error)))
            return
        self._calls.pop(command.id, None)
        if answer["progress"] is not None:
            self.progress[command.id] = answer["progress"]
            while len(self.progress) > _KEPT:
                del self.progress[next(iter(self.progress))]
        self._run.push(msgspec.convert(answer["event"], e.CallCompleted | e.CallFailed))

    def wait(self, command: c.StartTimer) -> None:
        if command.id in self._run.record.open:
            self._timers[command.id] = self._begin(self._wait(command), lambda: self._timers.pop(command.id, None))

    async def _wait(self, command: c.StartTimer) -> None:
        await self._run.until(command.due)
        self._expire(command.due)
        self._run.push(e.TimerFired(now=command.due, id=command.id))

    def _expire(self, now: int) -> None:
        """End the calls whose deadline has come. Each deadline is that of a timer of the machine."""
        for call in list(self._run.record.open.values()):
            if isinstance(call, c.ScheduleCall) and call.deadline is not None and call.deadline <= now:
                task = self._calls.pop(call.id, None)
                if task is not None:
                    task.cancel()
                self._held = [held for held in self._held if held.id != call.id]
                self._run.push(late_call(call, is_sent=task is not None))

    def give_up(self, command: c.CancelWait | c.Unsubscribe) -> None:
        for task in (self._calls.pop(command.id, None), self._timers.pop(command.id, None)):
            if task is not None:
                task.cancel()
        self._held = [held for held in self._held if held.id != command.id]
        closed = next((closed for closed in self._run.record.closed if closed.id == command.id), None)
        if isinstance(closed, c.StartChild) and closed.awaited:
            self._cancel_child(closed)
        elif isinstance(closed, c.Subscribe):
            self._tell_exchange({"do": "unsubscribe", "run": workflow.info().workflow_id, "id": command.id})

    # Events between runs

    def subscribe(self, command: c.Subscribe) -> None:
        self._tell_exchange({
            "do": "subscribe", "run": workflow.info().workflow_id, "id": command.id, "filters": command.filters,
            "since": 0 if wants_earlier(command.filters) else self._began // 1000,
        })  # fmt: skip

    def emit(self, command: c.Emit) -> None:
        record = self._run.record
        assert record.state is not None
        event = signed(handles.restore(command.event), record.state["seed"], record.program)
        message = {"do": "publish", "event": event}
        self._tell_exchange(message | self._out() if self._run.beginning.has_outlet else message, command.id)

    def faulted(self, command: c.Lifecycle) -> None:
        """The fault of a run is for the platform alone, which may ask a person what to do."""
        beginning, record = self._run.beginning, self._run.record
        if command.type == _FAULTED and beginning.has_outlet:
            number = len(beginning.past) * _MOST_FACTS + len(record.facts)
            event = lifecycle.cloud_event(record.program, beginning.run, number, command)
            self._tell_exchange({"do": "report", "event": handles.restore(event)} | self._out())

    def _out(self) -> dict[str, Any]:
        """Whose platform takes it, and at which queue."""
        beginning = self._run.beginning
        return {"out": [beginning.tenant, protocol.queue(beginning.installation, protocol.PLATFORM)]}

    def _tell_exchange(self, message: Any, answers: str | None = None) -> None:
        self._send(self._exchange, message, answers)

    def _send(self, target: str, message: Any, answers: str | None = None) -> None:
        """Tell another workflow something, in order; `answers` is the command that is done when it has heard it."""
        lane = self._lanes.get(target)
        if lane is None:
            self._lanes[target] = lane = []
            self._other(self._empty(target, lane))
        lane.append((message, answers))

    async def _empty(self, target: str, lane: list[tuple[Any, str | None]]) -> None:
        while lane:
            sent = lane[:]
            signal = protocol.SEND if target == self._exchange else protocol.TELL
            other = workflow.get_external_workflow_handle(target)
            try:
                await other.signal(signal, [message for message, _ in sent])
            except FailureError:
                if target == self._exchange:
                    await self._open_exchange()
                    continue
            del lane[: len(sent)]
            if not lane:
                del self._lanes[target]
            for _, answers in sent:
                if answers is not None:
                    self._run.push(e.CallCompleted(now=0, id=answers))

    async def _open_exchange(self) -> None:
        await self._ask(protocol.OPEN, [self._run.beginning.tenant])

    async def _ask(self, activity: str, values: list[Any]) -> Any:
        return await workflow.execute_activity(
            activity,
            args=values,
            task_queue=protocol.queue(self._run.beginning.installation, "services"),
            start_to_close_timeout=timedelta(seconds=30),
        )

    # Children and the parent

    def start_child(self, command: c.StartChild) -> None:
        self._other(self._start_child(command))

    async def _start_child(self, command: c.StartChild) -> None:
        parent, record = self._run.beginning, self._run.record
        held = {name: value for name, value in record.program.resources.items() if name in INHERITED}
        wanted = [parent.tenant, [command.namespace, command.name, command.version], parent.depth, parent.limits.depth]
        found = await self._ask(protocol.FIND, [*wanted, held] if held else wanted)
        if command.id not in record.open:
            return
        if found.get("refusal"):
            self._started(command)
            if command.awaited:
                self._run.push(refused_child(command, found["refusal"]))
            return
        id = child_id(parent.run, command.id)
        own = workflow.info().workflow_id
        beginning = protocol.Beginning(
            tenant=parent.tenant, run=id, installation=parent.installation, definition=found["hash"],
            program=found["program"], runtime=found["runtime"], has_attributes=parent.has_attributes,
            limits=parent.limits, depth=parent.depth + 1, parent=own if command.awaited else None, command=command.id,
            has_outlet=parent.has_outlet,
        )  # fmt: skip
        input = handles.restore(command.input)
        try:
            await workflow.start_child_workflow(
                protocol.RUN,
                args=[beginning, found["definition"], input, None],
                id=protocol.run_id(parent.installation, parent.tenant, id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                memo=protocol.memo_of(found["definition"]["document"], beginning, content_hash(input)),
                search_attributes=attributes_of(found["definition"]["document"], beginning),
            )
        except WorkflowAlreadyStartedError:
            pass
        if command.id not in record.open:
            self._cancel_child(command)
        self._started(command)

    def _started(self, command: c.StartChild) -> None:
        if not command.awaited:
            self._run.record.open.pop(command.id, None)

    def _cancel_child(self, command: c.StartChild) -> None:
        beginning = self._run.beginning
        child = protocol.run_id(beginning.installation, beginning.tenant, child_id(beginning.run, command.id))
        self._send(child, e.CancelRequested(now=0))

    def ended(self, command: c.Complete | c.Fault | c.Cancelled) -> None:
        """Tell the parent."""
        beginning = self._run.beginning
        if beginning.parent is None or beginning.command is None:
            return
        if isinstance(command, c.Complete):
            answer: Any = e.ChildCompleted(now=0, id=beginning.command, output=handles.restore(command.output))
        else:
            error = command.error if isinstance(command, c.Fault) else cancelled_child(beginning.run)
            answer = e.ChildFailed(now=0, id=beginning.command, error=error)
        self._send(beginning.parent, answer)

    # Tasks

    def _other(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._begin(work, lambda: self._others.discard(task))
        self._others.add(task)

    def _begin(self, work: Coroutine[Any, Any, None], end: Callable[[], Any]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(_until_cancelled(work))
        task.add_done_callback(lambda _: end())
        return task


async def _until_cancelled(work: Coroutine[Any, Any, None]) -> None:
    """An errand that was given up ends without a word, in whichever way the server says so."""
    try:
        await work
    except asyncio.CancelledError:
        return


def attributes_of(document: Any, beginning: protocol.Beginning) -> TypedSearchAttributes:
    """The search attributes with which a run begins."""
    if not beginning.has_attributes:
        return TypedSearchAttributes.empty
    heading = document["document"]
    values = {
        protocol.TENANT: f"{beginning.installation}/{beginning.tenant}", protocol.WORKFLOW: heading["name"],
        protocol.VERSION: heading["version"], protocol.STATUS: "pending",
    }  # fmt: skip
    return TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in values.items()]
    )


_DO: dict[type, Callable[[Errands, Any], None]] = {
    c.ScheduleCall: Errands.call,
    c.StartTimer: Errands.wait,
    c.CancelWait: Errands.give_up,
    c.Unsubscribe: Errands.give_up,
    c.Subscribe: Errands.subscribe,
    c.Emit: Errands.emit,
    c.Lifecycle: Errands.faulted,
    c.StartChild: Errands.start_child,
    c.Complete: Errands.ended,
    c.Fault: Errands.ended,
    c.Cancelled: Errands.ended,
}
