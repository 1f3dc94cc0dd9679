"""The reference loop around `machine.step`: in memory, with virtual time, in four ways of making it hard.

`straight` hands each event in once. `snapshots` writes the state down and reads it back at every step. `disorder`
hands answers in twice, takes independent ones of the same moment in any order, and still delivers answers that nobody
waits for any more. `replay` forgets the state after every event and rebuilds it from the events alone.
"""

import asyncio
import heapq
import random
from typing import Any

import msgspec

from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter import handles
from perdure.interpreter.correlation import could_match
from perdure.interpreter.faults import problem
from perdure.interpreter.machine import compile, step
from perdure.interpreter.program import Program
from perdure.interpreter.state import restore, snapshot
from perdure.language.values import Json
from perdure.ports.engine import ENDED, Entry
from perdure.ports.function import Context, FunctionFault, Result
from perdure.ports.secrets import Secrets

START = 1_767_225_600_000
"""The scenarios' first moment: 2026-01-01T00:00:00Z."""
TENANT = "acme"
MODES = ("straight", "snapshots", "disorder", "replay")
MOST_STEPS = 20_000
RUNTIME = {"name": "Perdure", "version": "test", "metadata": {"tenant": TENANT}}


class Seen(msgspec.Struct, frozen=True):
    """A run as a scenario sees it."""

    status: str
    output: Json
    error: dict[str, Any] | None
    entries: list[Entry]


class MemoryRun:
    """One run: its program, its state, and all that happened to it."""

    def __init__(self, program: Program, parent: tuple[str, str] | None = None) -> None:
        self.program = program
        self.parent = parent
        self.state: dict[str, Any] | None = None
        self.status = "pending"
        self.output: Json = None
        self.error: dict[str, Any] | None = None
        self.journal: list[e.Event] = []
        self.entries: list[Entry] = []
        self.open: dict[str, c.Command] = {}
        self.started = 0

    def __repr__(self) -> str:
        return f"MemoryRun({self.status}, {len(self.journal)} events, {len(self.open)} open)"


class Driver:
    """Drives runs by `step` alone. Calls are made at once, and their answers arrive when virtual time has come."""

    def __init__(self, loop: asyncio.Runner, secrets: Secrets, mode: str = "straight", seed: int = 7) -> None:
        self.table: Any = None
        self.secrets = secrets
        self.mode = mode
        self.now = START
        self.runs: dict[str, MemoryRun] = {}
        self.published: dict[tuple[str, str, str], tuple[Program, dict[str, Json]]] = {}
        self.bus: list[tuple[int, dict[str, Any]]] = []
        self.chance = random.Random(seed)  # a repeatable shuffle, nothing secret
        self._queue: list[tuple[int, int, str, e.Event]] = []
        self._count = 0
        self._delay = 0.0
        self._loop = loop
        self._resources: dict[str, dict[str, Json]] = {}

    def close(self) -> None:
        """Nothing is open."""

    async def sleep(self, seconds: float) -> None:
        """What a scripted function waits with: its answer arrives that much later."""
        self._delay += seconds

    # What a scenario does

    def publish(self, document: Json, resources: dict[str, Json]) -> None:
        program = compile(document, resources, self.table)
        self.published[program.namespace, program.name, program.version] = (program, resources)

    def start(self, document: Json, resources: dict[str, Json], input: Json) -> str:
        run = f"run-{len(self.runs) + 1}"
        self._begin(run, MemoryRun(compile(document, resources, self.table)), resources, input)
        return run

    def deliver(self, event: dict[str, Any]) -> None:
        """A CloudEvent from outside; in disorder it comes twice."""
        for _ in range(2 if self.mode == "disorder" else 1):
            if all((event["source"], event["id"]) != (kept["source"], kept["id"]) for _, kept in self.bus):
                self._spread(event)

    def cancel(self, run: str, *, compensate: bool = False) -> None:
        self._push(self.now, run, e.CancelRequested(now=0, compensate=compensate))

    def suspend(self, run: str) -> None:
        self._push(self.now, run, e.SuspendRequested(now=0))

    def resume(self, run: str) -> None:
        self._push(self.now, run, e.ResumeRequested(now=0))

    def retry(self, run: str) -> None:
        self._push(self.now, run, e.OperatorPatch(now=0, action="retry"))

    def skip(self, run: str, output: Json) -> None:
        patch = e.OperatorPatch(now=0, action="skip", output=handles.escape(output), has_output=True)
        self._push(self.now, run, patch)

    def settle(self) -> None:
        """Do all that can be done without time going on."""
        self.advance(0)

    def advance(self, milliseconds: int) -> None:
        """Let time pass, and hand in what comes due."""
        until = self.now + milliseconds
        while self._queue and self._queue[0][0] <= until:
            self._take()
        self.now = until

    def finish(self, run: str) -> None:
        """Let time jump until the run has ended or waits for something that time does not bring."""
        while self._queue and self.runs[run].status not in ENDED:
            self._take()

    def kill(self) -> None:
        """Forget all that is not journaled, and start from the journal: calls are made again, timers started again."""
        self._queue = [item for item in self._queue if isinstance(item[3], OUTSIDE)]
        for name, run in self.runs.items():
            self._rebuild(run)
            if run.status not in ENDED:
                for command in list(run.open.values()):
                    self._do(name, run, command)

    # What a scenario sees

    def seen(self, run: str) -> Seen:
        found = self.runs[run]
        return Seen(found.status, found.output, found.error, found.entries)

    def kept(self) -> bytes:
        """Everything that a journal would hold, as one text."""
        return b"".join(
            msgspec.json.encode([run.journal, run.state, run.entries]) for run in self.runs.values()
        ) + msgspec.json.encode(self.bus)

    # The loop

    def _begin(self, name: str, run: MemoryRun, resources: dict[str, Json], input: Json) -> None:
        self.runs[name] = run
        self._resources[name] = resources
        run.started = self.now
        first = e.Started(
            now=self.now, run=name, tenant=TENANT, seed=name, input=handles.escape(input), runtime=RUNTIME
        )
        self._push(self.now, name, first)

    def _push(self, at: int, run: str, event: e.Event) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, run, event))

    def _take(self) -> None:
        at = self._queue[0][0]
        due = [item for item in self._queue if item[0] == at]
        item = self._choose(sorted(due, key=lambda item: item[1]))
        self._queue.remove(item)
        heapq.heapify(self._queue)
        self.now = max(self.now, at)
        assert self._count < MOST_STEPS, "the scenario does not come to an end"
        self._hand(item[2], item[3])

    def _choose(self, due: list[tuple[int, int, str, e.Event]]) -> tuple[int, int, str, e.Event]:
        """The next of those due now. In disorder any, but events of one subscription stay in their order."""
        if self.mode != "disorder":
            return due[0]
        if isinstance(due[0][3], OUTSIDE):
            return due[0]
        firsts: dict[tuple[str, str], tuple[int, int, str, e.Event]] = {}
        for item in due:
            if isinstance(item[3], OUTSIDE):
                break
            firsts.setdefault((item[2], item[3].id), item)
        return self.chance.choice(list(firsts.values()))

    def _hand(self, name: str, run_event: e.Event) -> None:
        run = self.runs[name]
        answers = getattr(run_event, "id", None)
        if answers is not None and answers not in run.open and self.mode != "disorder":
            return
        event = msgspec.structs.replace(run_event, now=self.now)
        if self.mode == "snapshots" and run.state is not None:
            run.state = restore(snapshot(run.state))
            run.program = self._compiled_anew(run.program)
        run.state, commands = step(run.program, run.state, event)
        run.journal.append(event)
        if self.mode == "snapshots":
            assert restore(snapshot(run.state)) == run.state, "the state is not plain JSON"
        if self.mode == "disorder":
            self._again(run, event)
        if self.mode == "replay":
            self._rebuild_checked(run)
        if isinstance(event, ANSWERS):
            run.open.pop(event.id, None)
        for command in commands:
            self._do(name, run, command)

    def _again(self, run: MemoryRun, event: e.Event) -> None:
        """An answer that comes a second time changes nothing."""
        if not isinstance(event, ANSWERS):
            return
        before = restore(snapshot(run.state or {}))
        run.state, commands = step(run.program, run.state, event)
        assert not commands, f"a repeated {type(event).__name__} was answered with {commands}"
        assert run.state == before, f"a repeated {type(event).__name__} changed the state"

    def _rebuild_checked(self, run: MemoryRun) -> None:
        before = snapshot(run.state or {})
        self._rebuild(run)
        assert snapshot(run.state or {}) == before, "a replay of the journal gives another state"

    def _rebuild(self, run: MemoryRun) -> None:
        """As another process would: a program compiled anew, and all events again."""
        run.program = self._compiled_anew(run.program)
        run.state = None
        for event in run.journal:
            run.state, _ = step(run.program, run.state, event)

    def _compiled_anew(self, program: Program) -> Program:
        return compile(program.document, program.resources, self.table)

    # Commands

    def _do(self, name: str, run: MemoryRun, command: c.Command) -> None:
        match command:
            case c.ScheduleCall():
                run.open[command.id] = command
                self._call(name, command)
            case c.StartTimer():
                run.open[command.id] = command
                self._push(max(self.now, command.due), name, e.TimerFired(now=0, id=command.id))
            case c.Subscribe():
                run.open[command.id] = command
                self._subscribe(name, run, command)
            case c.Emit():
                run.open[command.id] = command
                event = handles.restore(command.event)
                if all((event["source"], event["id"]) != (kept["source"], kept["id"]) for _, kept in self.bus):
                    self._spread(event)
                self._push(self.now, name, e.CallCompleted(now=0, id=command.id))
            case c.StartChild():
                run.open[command.id] = command
                self._child(name, command)
            case c.CancelWait() | c.Unsubscribe():
                self._give_up(name, run, command.id)
            case c.Lifecycle():
                number = len(run.entries) + 1
                run.entries.append(
                    Entry(
                        number=number,
                        at=command.now,
                        type=command.type,
                        path=command.path,
                        ref=command.ref,
                        data=command.data,
                    )
                )
            case c.UpsertVisibility():
                run.status = command.values.get("status", run.status)
            case c.Complete() | c.Fault() | c.Cancelled():
                self._end(run, command)

    def _call(self, name: str, command: c.ScheduleCall) -> None:
        self._delay = 0.0
        try:
            outcome: e.Event = self._loop.run(self._execute(name, command))
        except FunctionFault as fault:
            outcome = e.CallFailed(now=0, id=command.id, error=fault.problem, outcome=fault.outcome)
        self._push(self.now + round(self._delay * 1000), name, outcome)

    async def _execute(self, name: str, command: c.ScheduleCall) -> e.CallCompleted:
        opened = {key: await self.secrets.get(TENANT, key) for key in secret_names(command.args)}

        def secret(path: list[str]) -> Json:
            value: Json = getattr(opened.get(path[0]), "value", None)
            for key in path[1:]:
                value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                raise FunctionFault(problem("authorization", detail=f"The secret {'.'.join(path)} is missing."))
            return value

        context = Context(
            tenant=TENANT,
            run=name,
            path=command.path,
            ref=command.ref,
            key=command.key,
            attempt=command.attempt,
            deadline=command.deadline,
            resources=self._resources[name],
            secret=secret,
            progress=lambda data: None,
        )
        function = self.table.get(command.function, command.version)
        result = await function.execute(command.args, context)
        output, usage = (result.output, result.usage) if isinstance(result, Result) else (result, None)
        return e.CallCompleted(now=0, id=command.id, output=handles.escape(output), usage=usage)

    def _subscribe(self, name: str, run: MemoryRun, command: c.Subscribe) -> None:
        expects = any(
            "expect" in correlation
            for filter in command.filters
            for correlation in filter.get("correlate", {}).values()
        )
        for at, event in self.bus:
            if at >= run.started or expects:
                self._offer(name, command, event)

    def _spread(self, event: dict[str, Any]) -> None:
        self.bus.append((self.now, event))
        for name, run in self.runs.items():
            for command in list(run.open.values()):
                if isinstance(command, c.Subscribe):
                    self._offer(name, command, event)

    def _offer(self, name: str, command: c.Subscribe, event: dict[str, Any]) -> None:
        if could_match(command.filters, event):
            self._push(self.now, name, e.EventReceived(now=0, id=command.id, event=handles.escape(event)))

    def _child(self, name: str, command: c.StartChild) -> None:
        child = f"{name}/{command.id}"
        if child in self.runs:
            return
        found = self._find(command)
        if found is None:
            told = problem("configuration", detail=f"There is no workflow {command.namespace}/{command.name}.")
            self._push(self.now, name, e.ChildFailed(now=0, id=command.id, error=told))
            return
        program, resources = found
        parent = (name, command.id) if command.awaited else None
        self._begin(child, MemoryRun(program, parent), resources, handles.restore(command.input))

    def _find(self, command: c.StartChild) -> tuple[Program, dict[str, Json]] | None:
        if command.version != "latest":
            return self.published.get((command.namespace, command.name, command.version))
        versions = [found for key, found in self.published.items() if key[:2] == (command.namespace, command.name)]
        return max(versions, key=lambda found: found[0].version.split("."), default=None)

    def _give_up(self, name: str, run: MemoryRun, command: str) -> None:
        run.open.pop(command, None)
        child = self.runs.get(f"{name}/{command}")
        if child is not None and child.status not in ENDED:
            self.cancel(f"{name}/{command}")

    def _end(self, run: MemoryRun, command: c.Complete | c.Fault | c.Cancelled) -> None:
        answer: e.Event
        if isinstance(command, c.Complete):
            run.status, run.output = "completed", handles.restore(command.output)
        elif isinstance(command, c.Fault):
            run.status, run.error = "faulted", handles.restore(command.error)
        else:
            run.status, run.error = "cancelled", problem("runtime", title="The run was cancelled")
        if run.parent is None:
            return
        name, waiting = run.parent
        if run.status == "completed":
            answer = e.ChildCompleted(now=0, id=waiting, output=handles.escape(run.output))
        else:
            answer = e.ChildFailed(now=0, id=waiting, error=handles.escape(run.error))
        self._push(self.now, name, answer)


ANSWERS = (e.CallCompleted, e.CallFailed, e.TimerFired, e.ChildCompleted, e.ChildFailed)
"""Events after which their command is done with."""
OUTSIDE = (e.Started, e.CancelRequested, e.SuspendRequested, e.ResumeRequested, e.OperatorPatch)
"""Events that answer no command: they keep their place."""


def secret_names(value: Json) -> set[str]:
    """The names of the secrets that a value holds handles of."""
    if isinstance(value, list):
        return {name for item in value for name in secret_names(item)}
    if not isinstance(value, dict):
        return set()
    if handles.SECRET in value:
        return {value[handles.SECRET][0]}
    return {name for item in value.values() for name in secret_names(item)}
