"""Calls under way: each that waits is a task of its own, with a limit on their number, a deadline, and an end when nobody
waits for it. One that is answered without ever waiting needs no task (`eager.py`).

An unsafe call is marked before it is sent (`mark`). When the mark is there and no answer is, it may have happened:
it is not sent again (`reliability.md` 1).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol

import msgspec

from perdure.engines.eager import Eager
from perdure.engines.plain import NotJson, plain
from perdure.errors import PerdureError, spelled
from perdure.interpreter import handles
from perdure.interpreter.commands import ScheduleCall
from perdure.interpreter.events import CallCompleted, CallFailed
from perdure.interpreter.faults import Problem, problem
from perdure.interpreter.redaction import Redaction
from perdure.language.values import Json
from perdure.ports.clock import Clock
from perdure.ports.function import Context, Function, FunctionFault, Result
from perdure.ports.secrets import Secret, Secrets

Outcome = CallCompleted | CallFailed
_PATIENCE = 5.0
"""Seconds for which closing waits for functions to heed their cancellation."""
_LONGEST = 16_000
"""Characters of what an exception says that are kept."""
_log = logging.getLogger("perdure.engine")


class Table(Protocol):
    """The functions there are (`functions/table.py`)."""

    def get(self, name: str, version: str | None) -> Function: ...


class Caller(msgspec.Struct, frozen=True):
    """For whom a call is made."""

    key: int
    tenant: str
    run: str
    resources: dict[str, Json]


class Calls:
    """Executes calls. `answer(run key, event)` takes an outcome, `mark(run key, id)` stores that a call is being sent."""

    def __init__(
        self,
        table: Table,
        clock: Clock,
        *,
        secrets: Secrets | None,
        limit: int,
        result_bytes: int,
        answer: Callable[[int, Outcome], None],
        mark: Callable[[int, str], asyncio.Future[None]],
        progress: Callable[[int, ScheduleCall, dict[str, Any]], None],
    ) -> None:
        self._table = table
        self._clock = clock
        self._secrets = secrets
        self._limit = limit
        self._result_bytes = result_bytes
        self._answer = answer
        self._mark = mark
        self._progress = progress
        self._tasks: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._queue: deque[tuple[Caller, ScheduleCall]] = deque()
        self._queued: set[tuple[int, str]] = set()
        self._eager = Eager()

    def __repr__(self) -> str:
        return f"Calls(under way={len(self._tasks)}, queued={len(self._queued)})"

    def start(self, caller: Caller, command: ScheduleCall) -> None:
        """Execute a call, now or when there is room. One that is under way already is left alone."""
        key = (caller.key, command.id)
        if key in self._tasks or key in self._queued:
            return
        if len(self._tasks) >= self._limit:
            self._queue.append((caller, command))
            self._queued.add(key)
            return
        task = self._eager.begin(self.call(caller, command), partial(self._answer, caller.key))
        if task is not None:
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._ended(key))

    def reads(self, caller: Caller, command: ScheduleCall) -> bool:
        """Whether a call changes nothing anywhere, so that it may be made and forgotten at will."""
        try:
            return (
                self._table.get(command.function, command.version).effect_of(command.args, caller.resources) == "read"
            )
        except Exception:  # noqa: BLE001 - it is told when the call is made
            return False

    def cancel(self, run: int, id: str) -> None:
        """Nobody waits for this answer any more."""
        self._queued.discard((run, id))
        task = self._tasks.get((run, id))
        if task is not None:
            task.cancel()

    def expire(self, run: int, id: str) -> None:
        """The deadline of a call has come: it is ended and answered as timed out."""
        key = (run, id)
        if key in self._queued:
            self._queued.discard(key)
            self._answer(run, self._failed(id, _timeout(), "definite"))
        elif key in self._tasks:
            # Answered at once: a function may take its time to end, or refuse to, and its run must not wait for that.
            self._tasks[key].cancel()
            self._answer(run, self._failed(id, _timeout(), "unknown"))

    def is_under_way(self, run: int, id: str) -> bool:
        """Whether the call is executing or queued."""
        return (run, id) in self._tasks or (run, id) in self._queued

    async def close(self) -> None:
        """End all calls without an answer; the next opening makes them again."""
        self._queue.clear()
        self._queued.clear()
        await self._eager.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            _, refusing = await asyncio.wait(tasks, timeout=_PATIENCE)
            for task in refusing:
                _log.warning("A function does not end when it is cancelled, and is left behind: %r", task.get_coro())

    def _ended(self, key: tuple[int, str]) -> None:
        self._tasks.pop(key, None)
        while self._queue and len(self._tasks) < self._limit:
            caller, command = self._queue.popleft()
            if (caller.key, command.id) in self._queued:
                self._queued.discard((caller.key, command.id))
                self.start(caller, command)

    async def call(self, caller: Caller, command: ScheduleCall) -> Outcome:
        """Make one call now, whatever else is under way, and give its outcome. Raises nothing, unless it is cancelled."""
        secrets = Redaction()
        outcome = await self._outcome(caller, command, secrets)
        if not secrets:
            return outcome
        # What a function gives back of the secrets that it was given must not be written down (security.md, rule 9).
        if isinstance(outcome, CallFailed):
            return msgspec.structs.replace(outcome, error=secrets.value(outcome.error))
        return msgspec.structs.replace(
            outcome, output=secrets.value(outcome.output), usage=secrets.value(outcome.usage)
        )

    async def _outcome(self, caller: Caller, command: ScheduleCall, secrets: Redaction) -> Outcome:
        try:
            function = self._table.get(command.function, command.version)
            opened = await self._opened(caller.tenant, command.args) if _has_handles(command.args) else {}
            context = self._context(caller, command, opened, secrets)
            if function.effect_of(command.args, context.resources) == "unsafe":
                await self._mark(caller.key, command.id)
            answer = await function.execute(command.args, context)
            return self._completed(command, answer)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody here cancelled it: something inside the function was. The run would wait for ever.
            fault = problem(
                "runtime", title=f"{command.function} failed", detail="CancelledError: it cancelled itself."
            )
            return self._failed(command.id, fault, "unknown")
        except FunctionFault as failed:
            return self._failed(command.id, self._sound(failed.problem), failed.outcome)
        except PerdureError as error:
            return self._failed(
                command.id,
                problem("runtime", title=f"{command.function} cannot be called", detail=str(error)),
                "definite",
            )
        except Exception as error:  # noqa: BLE001 - the border of user code: whatever it raises is the workflow's fault
            fault = problem("runtime", title=f"{command.function} failed", detail=_told(error, secrets))
            return self._failed(command.id, fault, "unknown")

    def _completed(self, command: ScheduleCall, answer: Json | Result) -> Outcome:
        output, usage = (answer.output, answer.usage) if isinstance(answer, Result) else (answer, None)
        try:
            output = plain(output, self._result_bytes)
            usage = plain(usage, self._result_bytes) if usage is not None else None
        except NotJson as error:
            detail = f"The result of {command.function} cannot be kept: {error}."
            return self._failed(command.id, problem("runtime", title="result refused", detail=detail), "unknown")
        return CallCompleted(now=self._clock.now(), id=command.id, output=output, usage=usage)

    def _failed(self, id: str, error: Problem, outcome: Literal["definite", "unknown"]) -> CallFailed:
        return CallFailed(now=self._clock.now(), id=id, error=error, outcome=outcome)

    def _sound(self, error: Problem) -> Problem:
        try:
            sound = plain(error, self._result_bytes)
        except NotJson as reason:
            return problem(
                "runtime",
                title="fault refused",
                detail=f"The problem that a function reported cannot be kept: {reason}.",
            )
        return sound if isinstance(sound, dict) else problem("runtime", detail=str(sound))

    def _context(self, caller: Caller, command: ScheduleCall, opened: dict[str, Secret], secrets: Redaction) -> Context:
        def secret(path: list[str]) -> Json:
            value = _at(opened, path)
            secrets.add(value)
            return value

        return Context(
            tenant=caller.tenant,
            run=caller.run,
            path=command.path,
            ref=command.ref,
            key=command.key,
            attempt=command.attempt,
            deadline=command.deadline,
            resources=caller.resources,
            secret=secret,
            secret_hosts=lambda name: opened[name].hosts if name in opened else (),
            progress=lambda data: self._progress(caller.key, command, secrets.value(data)),
        )

    async def _opened(self, tenant: str, args: Json) -> dict[str, Secret]:
        opened: dict[str, Secret] = {}
        names: list[str] = []
        handles.resolve(args, lambda path: names.append(path[0]))
        for name in dict.fromkeys(names):
            found = await self._secrets.get(tenant, name) if self._secrets is not None else None
            if found is not None:
                opened[name] = found
        return opened


def _has_handles(args: Json) -> bool:
    return bool(args) and handles.MARK in msgspec.json.encode(args)


def outcome_unknown(command: ScheduleCall, now: int) -> CallFailed:
    """The answer for an unsafe call that was sent by a process that died before it heard the answer."""
    detail = (
        f"{command.function} was being called when the process ended, and it is declared unsafe: whether it happened is "
        "not known and it is not called again by itself. Look it up, then retry or skip the task."
    )
    return CallFailed(
        now=now, id=command.id, error=problem("runtime", title="outcome unknown", detail=detail), outcome="unknown"
    )


def _timeout() -> Problem:
    return problem("timeout", title="call timed out", detail="The call had no answer when its deadline came.")


def _at(opened: dict[str, Secret], path: list[str]) -> Json:
    place: Json = {name: secret.value for name, secret in opened.items()}
    for part in path:
        if not isinstance(place, dict) or part not in place:
            name = ".".join(path)
            detail = f"There is no secret {name}: the document declares it, and nobody has given it a value here."
            raise FunctionFault(problem("authorization", title="secret not available", detail=detail))
        place = place[part]
    return place


def _told(error: Exception, secrets: Redaction) -> str:
    """What an exception says, as a text that can be kept: the name of a file may hold half a character, for instance."""
    told = spelled(error)
    if secrets:
        told = str(secrets.value(told))  # before it is cut: half a secret would not be found
    if len(told) > _LONGEST:
        told = f"{told[:_LONGEST]}… ({len(told):,} characters)"
    return told.encode(errors="backslashreplace").decode()
