"""What an agent says while it says it: the text of its turns bit by bit, the tools it calls, and the end.

Progress of a call is not journaled, so what was said so far is kept here while a run goes on; after a restart it comes
out of the run's history. The id of an event names the turn, how much of its text is out, and a digest of that: whoever
comes back with it gets what is behind, or `reset` and the whole text when the model began anew and said something else.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import Any

import msgspec

from perdure.errors import PerdureError
from perdure.ports.edge import Sent
from perdure.ports.engine import ENDED, Entry
from perdure.services.agents.service import Ground

_TURN = re.compile(r"/do/0/answer((/turn#\d+/tool#\d+/function)*)/turn#\d+\Z")
_TOOL = re.compile(r"/do/0/answer(?:/turn#\d+/tool#\d+/function)*/turn#\d+/tool#\d+\Z")
_APPROVAL = re.compile(
    r"(/do/0/answer(?:/turn#\d+/tool#\d+/function)*/turn#\d+/tool#\d+)/approval/(?:0/request|1/answer)\Z"
)
_AGAIN = re.compile(r"~~\d+")
"""In a path: the task was entered again by an operator."""
_ID = re.compile(r"(\d{1,9})\.(\d{1,9})\.([0-9a-f]{8}|-)\.(\d{1,9})\Z")
_log = logging.getLogger("perdure.agents")
_STEPS = frozenset({"tool", "held", "resumed"})
"""Pieces that are told once, whatever was said meanwhile."""
_encode = msgspec.json.Encoder().encode


class _Piece(msgspec.Struct, frozen=True):
    """One thing to tell, in order. `entry` is the number of the last history entry before or at it."""

    kind: str
    """`text`, `whole` (the turn is over, and this was its text), `tool`, `held` (a budget is used up, or a person has to
    approve a call), `resumed`."""
    turn: int
    entry: int
    text: str = ""
    data: dict[str, Any] = {}


class Live:
    """The executions that somebody listens to, each watched once."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._open: dict[tuple[str, str], _Telling] = {}

    def __repr__(self) -> str:
        return f"Live({len(self._open)} runs)"

    def listen(self, tenant: str, run: str, handover: frozenset[str]) -> None:
        """Keep what is said from now on, so that nothing of it is missed. Safe to repeat."""
        place = (tenant, run)
        if place not in self._open:
            telling = self._open[place] = _Telling(handover)
            telling.task = asyncio.create_task(self._watch(tenant, run, telling))

    async def _watch(self, tenant: str, run: str, telling: "_Telling") -> None:
        try:
            async for entry in self._ground.engine.watch(tenant, run):
                telling.take(entry)
        except PerdureError as error:
            _log.info("Nobody hears the execution %s any more: %s", run, error)
        finally:
            telling.close()
            self._open.pop((tenant, run), None)  # who still listens has it; who comes later asks the history

    async def follow(self, tenant: str, run: str, handover: frozenset[str], last: str, end: Any) -> AsyncIterator[Sent]:
        """Everything behind the event `last`, until the run has ended; `end` makes the last event's data."""
        self.listen(tenant, run, handover)
        telling = self._open[tenant, run]
        reader = _Reader(last)
        seen = 0
        while True:
            while seen < len(telling.pieces):
                for sent in reader.read(telling.pieces[seen]):
                    yield sent
                seen += 1
            if telling.is_closed:
                break
            await telling.more()
        if telling.has_ended:
            yield Sent(data=_encode(await end()), event="end", id="end")

    async def close(self) -> None:
        tasks = [telling.task for telling in self._open.values() if telling.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Telling:
    """What was said in one run so far."""

    def __init__(self, handover: frozenset[str]) -> None:
        self.pieces: list[_Piece] = []
        self.is_closed = False
        self.has_ended = False
        self.task: asyncio.Task[None] | None = None
        self._handover = handover
        self._turns: dict[str, int] = {}
        self._said: dict[str, list[str]] = {}
        self._taking_over: set[str] = set()
        self._held: set[str] = set()
        self._entry = 0
        self._changed = asyncio.Event()

    async def more(self) -> None:
        """Wait until there is more, or nothing more can come."""
        await self._changed.wait()

    def close(self) -> None:
        self.is_closed = True
        self._changed.set()

    def _tell(self, kind: str, turn: int, text: str = "", data: dict[str, Any] | None = None) -> None:
        self.pieces.append(_Piece(kind, turn, self._entry, text, data or {}))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def take(self, entry: Entry) -> None:
        """One line of the run."""
        self._entry = entry.number or self._entry
        if entry.type.startswith("workflow.") and entry.type.removesuffix(".v1").partition(".")[2] in ENDED:
            self.has_ended = True
            return
        path = _AGAIN.sub("", entry.path)
        if entry.type == "task.status-changed.v1":
            self._take_status(entry)
        elif _TURN.fullmatch(path):
            self._take_turn(entry, path.rpartition("/turn#")[0])
        elif _TOOL.fullmatch(path) and "tool" in entry.data:
            self._take_tool(entry, path)
        elif entry.type == "task.completed.v1" and (asked := _APPROVAL.fullmatch(path)):
            self._take_approval(entry, asked[1])

    def _take_status(self, entry: Entry) -> None:
        """A step waits for a budget, or goes on."""
        wait = entry.data.get("wait")
        if isinstance(wait, dict) and wait.get("kind") == "budget":
            self._held.add(entry.path)
            told = {key: value for key, value in wait.items() if key != "kind"}
            self._tell("held", self._turn, data={"path": entry.path, **told})
        elif entry.path in self._held:
            self._held.remove(entry.path)
            self._tell("resumed", self._turn, data={"path": entry.path})

    def _take_approval(self, entry: Entry, path: str) -> None:
        """A person is asked whether a tool may be called, or has decided."""
        if entry.path.endswith("answer"):
            self._tell("resumed", self._turn, data={"path": path})
            return
        output = entry.data.get("output")
        asked = output.get("data") if isinstance(output, dict) else None
        told = (
            {key: asked[key] for key in ("tool", "arguments", "hash") if key in asked}
            if isinstance(asked, dict)
            else {}
        )
        self._tell("held", self._turn, data={"path": path, "approval": told})

    @property
    def _turn(self) -> int:
        """The newest."""
        return max(self._turns.values(), default=0)

    def _take_turn(self, entry: Entry, above: str) -> None:
        if above != "/do/0/answer" and above not in self._taking_over:
            return  # a sub-agent's words are the result of a tool
        turn = self._turns.setdefault(entry.path, len(self._turns) + 1)
        said = self._said.setdefault(entry.path, [])
        if entry.type == "progress":
            self._take_text(turn, said, entry.data)
        elif entry.type == "task.completed.v1":
            output = entry.data.get("output")
            whole = str(output.get("text", "")) if isinstance(output, dict) else ""
            before = "".join(said)
            if whole != before and whole.startswith(before):
                self._tell("text", turn, whole[len(before) :])
            self._tell("whole", turn, whole)
            said.clear()

    def _take_text(self, turn: int, said: list[str], data: dict[str, Any]) -> None:
        text, at = data.get("text"), data.get("at")
        if not isinstance(text, str):
            return
        if at == 0 and said:  # the request is made again, from its beginning
            said.clear()
            self._tell("whole", turn, "")
        if at == sum(map(len, said)):  # else something was missed; the whole comes when the turn is over
            said.append(text)
            self._tell("text", turn, text)

    def _take_tool(self, entry: Entry, path: str) -> None:
        name, state = str(entry.data["tool"]), entry.type.removesuffix(".v1").partition(".")[2]
        if name in self._handover:
            self._taking_over.add(f"{path}/function")
        if state in {"started", "completed", "faulted"}:
            self._tell("tool", self._turn, data={"tool": name, "state": state})


class _Reader:
    """One listener's place: which text it has, and what it is still to be told."""

    def __init__(self, last: str) -> None:
        found = _ID.fullmatch(last)
        self._turn, self._offset, self._digest, self._entry = 0, 0, "-", 0
        if found is not None:
            self._turn, self._offset, self._entry = int(found[1]), int(found[2]), int(found[4])
            self._digest = found[3]
        self._is_behind = self._offset > 0
        """Whether it has text that has not been compared yet."""
        self._text = ""
        self._now = 0

    def read(self, piece: _Piece) -> list[Sent]:
        """What to tell of a piece."""
        if piece.kind in _STEPS:
            if piece.entry <= self._entry:
                return []
            self._entry = piece.entry
            return [self._sent(piece.kind, piece.data)]
        if piece.turn < self._turn:
            return []
        if piece.turn != self._now:
            self._now, self._text = piece.turn, ""
            self._is_behind = self._is_behind and piece.turn == self._turn
        self._entry = max(self._entry, piece.entry) if not self._is_behind else self._entry
        return self._whole(piece) if piece.kind == "whole" else self._more(piece.text)

    def _more(self, text: str) -> list[Sent]:
        before = len(self._text)
        self._text += text
        if not self._is_behind:
            return self._deltas(before)
        if len(self._text) < self._offset:
            return []
        self._is_behind = False
        if _digest(self._text[: self._offset]) == self._digest:
            return self._deltas(self._offset)
        return [self._sent("reset", {"turn": self._now, "text": self._text})]

    def _deltas(self, start: int) -> list[Sent]:
        if start >= len(self._text):
            return []
        return [self._sent("text", {"turn": self._now, "text": self._text[start:]})]

    def _whole(self, piece: _Piece) -> list[Sent]:
        """The turn is over: whoever was told something else is told so."""
        is_right = piece.text == self._text and not self._is_behind
        self._text, self._is_behind = piece.text, False
        return [] if is_right else [self._sent("reset", {"turn": self._now, "text": piece.text})]

    def _sent(self, event: str, data: dict[str, Any]) -> Sent:
        turn = self._now or self._turn
        id = f"{turn}.{len(self._text)}.{_digest(self._text)}.{self._entry}"
        return Sent(data=_encode(data), event=event, id=id)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
