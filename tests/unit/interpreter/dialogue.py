"""A driver for dialogues: events in, commands out, against the pure machine.

`Dialogue` hands events to `step`, keeps what came out, and answers calls by a small script. With `snapshots` every
state goes through its bytes and back between two events, and another compilation goes on with it.
"""

import textwrap
from collections.abc import Callable
from typing import Any

from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter.machine import compile as compile_document
from perdure.interpreter.machine import step
from perdure.interpreter.state import restore, snapshot
from perdure.language.read import read

HEAD = """
document: {dsl: '1.0.3', namespace: test, name: dialogue, version: '1.0.0'}
"""
START = 1_700_000_000_000


def document(text: str) -> dict[str, Any]:
    text = textwrap.dedent(text)
    if "\ndocument:" not in "\n" + text:
        text = HEAD + text
    return read(text).value


class Dialogue:
    """One run. `given` and `told` are all commands and all Lifecycle commands so far."""

    def __init__(self, text: str | dict[str, Any], *, snapshots: bool = True, **options: Any) -> None:
        self.document = document(text) if isinstance(text, str) else text
        self.program = compile_document(self.document, options.get("resources"), options.get("functions"))
        self.programs = [
            self.program,
            compile_document(self.document, options.get("resources"), options.get("functions")),
        ]
        self.snapshots = snapshots
        self.state: Any = None
        self.now = START
        self.given: list[Any] = []
        self.open: dict[str, Any] = {}

    # Events

    def hand(self, event: Any) -> list[Any]:
        if self.snapshots and self.state is not None:
            again = restore(snapshot(self.state))
            assert again == self.state
            self.state = again
            self.programs.reverse()
            self.program = self.programs[0]
        self.state, out = step(self.program, self.state, event)
        self.given.extend(out)
        for command in out:
            if isinstance(command, c.ScheduleCall | c.StartTimer | c.Subscribe | c.Emit | c.StartChild):
                assert command.id not in self.open, "an id was given out twice"
                self.open[command.id] = command
            elif isinstance(command, c.CancelWait | c.Unsubscribe):
                self.open.pop(command.id)
        return out

    def start(self, input_: Any = None) -> "Dialogue":
        self.hand(
            e.Started(
                now=self.now,
                run="run-1",
                tenant="acme",
                seed="seed-1",
                input={} if input_ is None else input_,
                runtime={"name": "Perdure", "version": "0", "metadata": {"tenant": "acme"}},
            )
        )
        return self.slices()

    def slices(self) -> "Dialogue":
        """Let timers that are due now fire: long loops go on in slices."""
        while True:
            due = [t for t in self.open.values() if isinstance(t, c.StartTimer) and t.due <= self.now]
            if not due:
                return self
            self.open.pop(due[0].id)
            self.hand(e.TimerFired(now=self.now, id=due[0].id))

    def call(self, position: int = 0) -> Any:
        return [command for command in self.open.values() if isinstance(command, c.ScheduleCall)][position]

    def calls(self) -> list[Any]:
        return [command for command in self.open.values() if isinstance(command, c.ScheduleCall)]

    def complete(self, output: Any = None, position: int = 0, usage: Any = None) -> "Dialogue":
        call = self.call(position)
        self.open.pop(call.id)
        self.hand(e.CallCompleted(now=self.now, id=call.id, output=output, usage=usage))
        return self.slices()

    def fail(self, status: int = 500, position: int = 0, outcome: Any = "definite", **more: Any) -> "Dialogue":
        call = self.call(position)
        self.open.pop(call.id)
        error = {
            "type": "https://open-workflow-specification.org/spec/1.0.0/errors/communication",
            "status": status,
            **more,
        }
        self.hand(e.CallFailed(now=self.now, id=call.id, error=error, outcome=outcome))
        return self.slices()

    def pass_time(self, milliseconds: int) -> "Dialogue":
        """Fire all timers that come due, in order."""
        until = self.now + milliseconds
        while True:
            timers = sorted(
                (t for t in self.open.values() if isinstance(t, c.StartTimer) and t.due <= until), key=lambda t: t.due
            )
            if not timers:
                break
            self.now = max(self.now, timers[0].due)
            self.open.pop(timers[0].id)
            self.hand(e.TimerFired(now=self.now, id=timers[0].id))
        self.now = until
        return self

    def event(self, type_: str, data: Any = None, **more: Any) -> "Dialogue":
        """A CloudEvent arrives at every subscription."""
        self.number = getattr(self, "number", 0) + 1
        event = {"specversion": "1.0", "id": f"e{self.number}", "source": "test", "type": type_, "data": data, **more}
        for subscription in [s for s in self.open.values() if isinstance(s, c.Subscribe)]:
            self.hand(e.EventReceived(now=self.now, id=subscription.id, event=event))
        return self.slices()

    def emitted(self) -> Any:
        """Acknowledge the open emits; gives the last event."""
        event = None
        for command in [o for o in self.open.values() if isinstance(o, c.Emit)]:
            self.open.pop(command.id)
            event = command.event
            self.hand(e.CallCompleted(now=self.now, id=command.id))
        self.slices()
        return event

    def do(self, make: Callable[..., Any], **fields: Any) -> "Dialogue":
        self.hand(make(now=self.now, **fields))
        return self.slices()

    # What came out

    def told(self, happened: str = "") -> list[Any]:
        return [x for x in self.given if isinstance(x, c.Lifecycle) and x.type.startswith(happened)]

    def paths(self, happened: str) -> list[str]:
        return [x.path for x in self.told(happened)]

    def refs(self, happened: str) -> list[str]:
        return [x.ref for x in self.told(happened)]

    @property
    def status(self) -> str:
        return str(self.state["status"])

    @property
    def output(self) -> Any:
        assert self.status == "completed", (self.status, self.state.get("error"))
        return next(x for x in reversed(self.given) if isinstance(x, c.Complete)).output

    @property
    def error(self) -> Any:
        assert self.status == "faulted", self.status
        return next(x for x in reversed(self.given) if isinstance(x, c.Fault)).error


def run(text: str, input_: Any = None, **options: Any) -> Dialogue:
    return Dialogue(text, **options).start(input_)
