"""The state of a run, as plain JSON, and the only code that changes its books (language.md 6.1).

State  v, program, id, tenant, seed, seq, now, started, status, raw, input, runtime, context (in the root frame),
       frames {path: Frame}, waits {command id: {path, purpose, due?}}, ready [path], sagas {path: [entry]},
       inbox {kept, seen}, correlations {name: value}, keys {position: idempotency key}, busy (calls under way);
       and only when they apply: held [event], fault {...}, parked {...}, output, error, seeds [[events, seed]], origins [seed]
Frame  path, node, ref, kind, parent, scope, started, input, raw (where it differs), at? (inside a function), deadline?,
       waits [command id], child; a frame with a list: list, prefix, pc, value, visits?, vars?, ending?;
       and what its kind needs (`tasks/`)
"""

from collections import deque
from hashlib import blake2b
from typing import Any, TypeAlias

import msgspec

from perdure.interpreter.commands import (
    CancelWait,
    Command,
    Lifecycle,
    StartTimer,
    Unsubscribe,
    UpsertVisibility,
)
from perdure.interpreter.events import Started
from perdure.interpreter.program import Frame, Program
from perdure.language.values import Json

VERSION = 1
TASKS_A_STEP = 2_000
"""More tasks than this in one step without waiting, and the rest goes into the next one: a slice of a long loop."""

State: TypeAlias = dict[str, Any]

_encoder = msgspec.json.Encoder()


def snapshot(state: State) -> bytes:
    """The state as bytes."""
    return _encoder.encode(state)


def restore(data: bytes) -> State:
    """The state that `snapshot` wrote down."""
    state: State = msgspec.json.decode(data)
    return state


def opening(program: Program, event: Started) -> State:
    """The state of a run before its first task. No input means `{}` (T5)."""
    given = {} if event.input is None else event.input
    state: State = {
        "v": VERSION,
        "program": program.hash,
        "id": event.run,
        "tenant": event.tenant,
        "seed": event.seed,
        "seq": 0,
        "now": event.now,
        "started": event.now,
        "status": "pending",
        "raw": given,
        "input": given,
        "runtime": event.runtime,
        "frames": {},
        "waits": {},
        "ready": [],
        "sagas": {},
        "inbox": {"kept": [], "seen": {}},
        "correlations": {},
        "keys": {},
        "busy": 0,
    }
    if event.seeds:
        state["seeds"] = [list(one) for one in event.seeds]
    return state


class Run:
    """One run during one step: its state, and the commands that came out so far."""

    __slots__ = ("budget", "commands", "frames", "now", "program", "ready", "state", "waits")

    def __init__(self, program: Program, state: State, now: int) -> None:
        self.program = program
        self.state = state
        self.frames: dict[str, Frame] = state["frames"]
        self.waits: dict[str, dict[str, Any]] = state["waits"]
        self.commands: list[Command] = []
        self.now = now
        self.budget = TASKS_A_STEP
        self.ready: deque[str] = deque(state["ready"])

    def new_id(self) -> str:
        """The next id of the run: the same in every replay (6.4)."""
        state = self.state
        state["seq"] += 1
        return blake2b(f"{state['seed']}/{state['seq']}".encode(), digest_size=16).hexdigest()

    def key(self, path: str) -> str:
        """The idempotency key of a position (6.5)."""
        text = f"{self.state['tenant']}\n{self.state['id']}\n{path}"
        return blake2b(text.encode(), digest_size=16).hexdigest()

    # Frames

    def place(self, frame: Frame) -> None:
        """Keep a task that does not end at once."""
        path = frame["path"]
        if path in self.frames:
            return
        self.frames[path] = frame
        if self.program.nodes[frame["node"]].input_from is None:
            frame.pop("raw", None)  # `input` is the same
        parent = self.frames[frame["parent"]]
        if "branches" not in parent:
            parent["child"] = path
        if "limit" in frame:
            self.timer(frame, "timeout", frame["limit"])

    def drop(self, frame: Frame) -> None:
        """Forget a task that is over, and give up what it still waits for."""
        path = frame["path"]
        if self.frames.pop(path, None) is None:
            return
        parent = self.frames.get(frame["parent"])
        if parent is not None and parent.get("child") == path:
            del parent["child"]
        for command in frame.get("waits", ()):
            self.give_up(command)

    def context_frame(self, frame: Frame) -> Frame:
        return self.frames[frame["scope"]]

    # Waits

    def wait(self, frame: Frame, purpose: str, due: int | None = None) -> str:
        """A new command id that will be answered for this frame."""
        self.place(frame)
        command = self.new_id()
        entry: dict[str, Any] = {"path": frame["path"], "purpose": purpose}
        if due is not None:
            entry["due"] = due
        self.waits[command] = entry
        frame.setdefault("waits", []).append(command)
        if purpose in BUSY:
            self.state["busy"] += 1
        return command

    def timer(self, frame: Frame, purpose: str, due: int) -> str:
        """Start a timer for this frame."""
        command = self.wait(frame, purpose, due)
        self.commands.append(StartTimer(id=command, path=frame["path"], due=due))
        return command

    def answer(self, command: str) -> None:
        """Close a wait: its answer is here."""
        entry = self.waits.pop(command)
        if entry["purpose"] in BUSY:
            self.state["busy"] -= 1
        self.frames[entry["path"]]["waits"].remove(command)

    def give_up(self, command: str) -> None:
        """Close a wait from our side."""
        entry = self.waits.pop(command)
        if entry["purpose"] in BUSY:
            self.state["busy"] -= 1
        if "held" in entry:  # suspended, and answered already
            return
        self.commands.append(Unsubscribe(id=command) if entry["purpose"] in SUBSCRIPTIONS else CancelWait(id=command))

    def give_up_for(self, frame: Frame, purposes: tuple[str, ...]) -> None:
        """Close those waits of a frame."""
        for command in list(frame.get("waits", ())):
            if self.waits[command]["purpose"] in purposes:
                frame["waits"].remove(command)
                self.give_up(command)

    def go_on(self, frame: Frame | None) -> None:
        """This frame is ready to move."""
        if frame is not None and frame["path"] not in self.ready:
            self.ready.append(frame["path"])

    # What others see

    def tell(self, type_: str, frame: Frame | None = None, **data: Json) -> None:
        """One line for the timeline."""
        if frame is None:
            self.commands.append(Lifecycle(type=type_, now=self.now, data=data))
        else:
            self.commands.append(Lifecycle(type=type_, now=self.now, path=frame["path"], ref=frame["ref"], data=data))

    def show(self, status: str) -> None:
        """Change the phase of the run, and let it be found by it."""
        if self.state["status"] != status:
            self.state["status"] = status
            self.commands.append(UpsertVisibility(values={"status": status}))


BUSY = frozenset({"call", "emit", "child", "slice"})
"""Purposes of a wait during which somebody works for the run: it is `running`, else `waiting` (A7)."""

SUBSCRIPTIONS = frozenset({"listen", "until", "budget"})
