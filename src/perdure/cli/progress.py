"""What a person sees while a run goes on: a live view on a terminal, else one plain line for each thing that happened.

Everything shown comes from the run's history, so the views hold no knowledge of their own. Both write to standard error.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec
from msgspec import structs

from perdure.cli import tables
from perdure.language.values import Json
from perdure.ports.engine import Entry

_WORDS = {
    "workflow.started.v1": "started",
    "workflow.suspended.v1": "suspended",
    "workflow.resumed.v1": "resumed",
    "workflow.cancelled.v1": "cancelled",
    "workflow.faulted.v1": "faulted",
    "workflow.completed.v1": "completed",
    "workflow.correlation-started.v1": "waits for an event",
    "workflow.correlation-completed.v1": "got its event",
    "task.created.v1": "created",
    "task.started.v1": "started",
    "task.skipped.v1": "skipped",
    "task.suspended.v1": "suspended",
    "task.resumed.v1": "goes on",
    "task.retried.v1": "is tried again",
    "task.cancelled.v1": "cancelled",
    "task.faulted.v1": "faulted",
    "task.completed.v1": "completed",
}
_STEPS = ("turn#", "tool#")
_QUIET_TYPES = frozenset({"task.created.v1", "task.started.v1", "progress"})
"""Left out of the plain lines unless the user follows: each is soon followed by a line that says more."""


_UNTIL_LATER = frozenset({"task.status-changed.v1", "task.retried.v1"})


class View(Protocol):
    """Something that shows entries as they come."""

    def past(self, entries: list[Entry]) -> None:
        """What happened before this command began; once, before everything else."""
        ...

    def entry(self, entry: Entry) -> None:
        """One more entry of the history, or progress of a call (number 0)."""
        ...


class Nothing:
    """Shows nothing."""

    def past(self, entries: list[Entry]) -> None:
        """Say nothing."""

    def entry(self, entry: Entry) -> None:
        """Say nothing."""


class Lines:
    """One line an entry, with the entry's own time."""

    def __init__(self, run: str, *, everything: bool) -> None:
        self._everything = everything
        self._say(f"run {run}")

    def past(self, entries: list[Entry]) -> None:
        """How much is done and what is still waited for; the whole past for who follows."""
        if not self._everything:
            self._say(already(done(entries)))
            entries = pending(entries)
        for entry in entries:
            self._say(sentence(entry), entry.at)

    def entry(self, entry: Entry) -> None:
        """Say it, unless a later line says more."""
        if self._everything or not (entry.type in _QUIET_TYPES or is_body(entry.path)):
            self._say(sentence(entry), entry.at)

    def _say(self, text: str, at: int | None = None) -> None:
        print(f"{clock(at)} {text}", file=sys.stderr, flush=True)


def clock(at: int | None = None) -> str:
    """A time of day in the user's zone, with the date when it is not today. None is now."""
    there, today = time.localtime(None if at is None else at / 1000), time.localtime()
    return time.strftime("%H:%M:%S" if there[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", there)


def done(entries: list[Entry]) -> int:
    """How many tasks have completed."""
    return sum(entry.type == "task.completed.v1" for entry in entries)


def already(count: int) -> str:
    """What to say about tasks of the past."""
    return "1 task is done already" if count == 1 else f"{count} tasks are done already"


def pending(entries: list[Entry]) -> list[Entry]:
    """The last entries of tasks that wait for something."""
    last = {entry.path: entry for entry in entries if entry.path}
    return [entry for entry in last.values() if entry.type in _UNTIL_LATER and entry.data.get("status") != "running"]


def waits(found: Iterable[tuple[str, Json]]) -> str | None:
    """What the tasks at these paths wait for, those that do."""
    told = [f"{label(path)} waits {waiting(wait)}" for path, wait in found if wait]
    return "; ".join(told) or None


def sentence(entry: Entry) -> str:
    """One entry in words."""
    who, word, more = told(entry)
    return f"{who} {word}: {more}" if more else f"{who} {word}"


def told(entry: Entry, now: int | None = None) -> tuple[str, str, str]:
    """Who, what happened, and what is known about it; `now` is the moment from which times are counted.

    What a service answered can be in it, so nothing of it may steer a terminal.
    """
    word = _WORDS.get(entry.type, entry.type)
    if entry.type.endswith(".status-changed.v1"):
        status = str(entry.data.get("status", "changed"))
        word = {"waiting": "waits", "running": "goes on"}.get(status, status)
    more = "; ".join(_details(entry, entry.at if now is None else now))
    return tables.printable(label(entry.path)) or "run", word, tables.printable(more)


def label(path: str) -> str:
    """The task names of a path, without the machinery between them: `/do/1/each#2/do/0/send` is `each#2 › send`.

    The steps of an agent are named as well: `/do/0/ask/turn#3/tool#1` is `ask › turn#3 › tool#1`.
    """
    names: list[str] = []
    parts = path.split("/")
    for kind, number, name in zip(parts, parts[1:], parts[2:], strict=False):
        if number.isdecimal():
            names.append(f"extension {name}" if kind == "extensions" else name)
        elif name.startswith(_STEPS):
            names.append(name)
        elif name.partition("#")[0].partition("~")[0] == "compensate":
            names[-1] += " compensation"
    if is_body(path) and names:
        names[-1] += " function"
    return " › ".join(names)


def tokens(usage: object) -> int:
    """All tokens of a call's usage."""
    if not isinstance(usage, dict):
        return 0
    return sum(value for key, value in usage.items() if key.endswith("Tokens") and isinstance(value, int))


def naming_workflow(entry: Entry, document: Json) -> Entry:
    """An entry of a `run: workflow` with the name of what it starts, from the run's document; else the entry as it is."""
    if not entry.ref or document is None:
        return entry
    place = document
    for part in entry.ref.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list):
            place = place[int(name)] if name.isdecimal() and int(name) < len(place) else None
        else:
            place = place.get(name) if isinstance(place, dict) else None
    child = place.get("run", {}).get("workflow") if isinstance(place, dict) else None
    if not isinstance(child, dict):
        return entry
    named = f"workflow {child['namespace']}/{child['name']} {child.get('version', 'latest')}"
    return structs.replace(entry, data={**entry.data, "workflow": named})


def is_body(path: str) -> bool:
    """Whether it is the body of a function that a call stands for: the call itself says the same."""
    parts = path.split("/")
    return parts[-1] == "function" and not parts[-2].isdecimal()


def _details(entry: Entry, now: int) -> Iterator[str]:
    data = entry.data
    for key in ("tool", "workflow"):
        if isinstance(name := data.get(key), str):
            yield name
    attempt = data.get("attempt")
    if isinstance(attempt, int) and attempt > 1:
        yield f"attempt {attempt}"
    if isinstance(due := data.get("due"), int) and due > now:
        yield f"in {_span(due - now)}"
    if "wait" in data:
        yield waiting(data["wait"])
        due = data["wait"].get("until") if isinstance(data["wait"], dict) else None
        if isinstance(due, int) and due > now:
            yield f"in {_span(due - now)}"
    error = data.get("error")
    if isinstance(error, dict):
        yield str(error.get("detail") or error.get("title") or error.get("type"))
    if count := tokens(data.get("usage")):
        yield f"{count} tokens"
    output = data.get("output")
    is_request = entry.type == "task.completed.v1" and entry.path.endswith("/request")  # others hear the same event
    if is_request and isinstance(output, dict) and output.get("type") == _ASKS:
        yield f"decide it with the subject {output.get('id')}"
    told = data if entry.type == "progress" else data.get("progress")
    if told and "usage" not in told:
        yield _short(told)


_ASKS = "dev.perdure.approval.requested.v1"


def waiting(wait: Json) -> str:
    """What a run waits for, in words."""
    if not isinstance(wait, dict):
        return _short(wait)
    if wait.get("kind") == "budget":
        return f"for the budget {wait.get('budget', '')}: {wait.get('detail', 'It is used up.')}"
    if isinstance(due := wait.get("until"), int):
        return f"until {clock(due)}"
    if wait.get("kind") == "event":
        types = wait.get("types")
        return f"for an event of {' or '.join(map(str, types))}" if isinstance(types, list) else "for an event"
    return _short(wait)


def _span(milliseconds: int) -> str:
    """How long, as people say it."""
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _short(value: Json) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else text[:119] + "…"
