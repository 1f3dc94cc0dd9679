"""What is done for a command once its commit is stored, or again after a crash; and what is undone when it is given up.

Each function works for the worker whose commit it was (`worker.py`). What changes the journal goes into the next commit;
what happens between runs is in `exchange.py`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from perdure.engines.calls import Calls, outcome_unknown
from perdure.engines.embedded import exchange
from perdure.engines.embedded.records import RunRecord
from perdure.engines.embedded.timers import Timers
from perdure.engines.embedded.turns import Turns
from perdure.engines.embedded.values import Asking
from perdure.interpreter.commands import Emit, ScheduleCall, StartChild, StartTimer, Subscribe
from perdure.interpreter.events import Event


class Executor(exchange.Commit, Protocol):
    """What these functions need of the worker."""

    calls: Calls
    timers: Timers
    turns: Turns

    def answer(self, key: int, event: Event) -> None:
        """A fact for a run."""
        ...

    def settle(self, record: RunRecord) -> None:
        """Let a run go that has nothing to do at the moment."""
        ...


def execute(worker: Executor, record: RunRecord, command: Asking) -> None:
    """Do what the machine asked for."""
    _EXECUTE[type(command)](worker, record, command)


def give_up(worker: Executor, record: RunRecord, command: Asking) -> None:
    """Nobody waits for this command any more."""
    key = record.key
    if isinstance(command, ScheduleCall):
        worker.calls.cancel(key, command.id)
        worker.timers.cancel(0, f"{key}:{command.id}")
    elif isinstance(command, StartTimer):
        worker.timers.cancel(key, command.id)
    elif isinstance(command, Subscribe):
        worker.subscriptions.remove(key, command.id)
    elif isinstance(command, StartChild) and command.awaited:
        worker.turns.later(exchange.cancel_child, worker, record.row, command)


def call(worker: Executor, record: RunRecord, command: ScheduleCall) -> None:
    """Make a call, or say that it may have happened."""
    if command.id not in record.open:
        return
    if command.id in record.sent and not worker.calls.is_under_way(record.key, command.id):
        worker.answer(record.key, outcome_unknown(command, worker.clock.now()))
        return
    if command.deadline is not None:
        worker.timers.arm(0, f"{record.key}:{command.id}", command.deadline - record.offset)
    worker.calls.start(record.caller, command)


def _wait(worker: Executor, record: RunRecord, command: StartTimer) -> None:
    if command.id in record.open:
        worker.timers.arm(record.key, command.id, command.due - record.offset)


def _with_the_next_commit(
    work: Callable[[Executor, RunRecord, Any], None], worker: Executor, record: RunRecord, command: Any
) -> None:
    record.pins += 1  # it stays in memory until then
    worker.turns.later(_unpinned, work, worker, record, command)


def _unpinned(
    work: Callable[[Executor, RunRecord, Any], None], worker: Executor, record: RunRecord, command: Any
) -> None:
    record.pins -= 1
    if command.id in record.open:
        work(worker, record, command)
    worker.settle(record)


_EXECUTE: dict[type, Callable[[Executor, RunRecord, Any], None]] = {
    ScheduleCall: call,
    StartTimer: _wait,
    Subscribe: partial(_with_the_next_commit, exchange.subscribe),
    Emit: partial(_with_the_next_commit, exchange.emit),
    StartChild: partial(_with_the_next_commit, exchange.start_child),
}
