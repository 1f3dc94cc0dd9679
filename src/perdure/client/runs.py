"""Runs: started, found, followed and steered."""

from typing import Any

import msgspec

from perdure.client.call import Call, Page, call
from perdure.ports.engine import ENDED

_ABSENT = object()


class Started(msgspec.Struct, frozen=True):
    """A run that exists, durably."""

    id: str
    workflow: str
    version: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times as RFC 3339. Lists leave input, output and error out, unless they look for values."""

    id: str
    workflow: str
    namespace: str
    name: str
    version: str
    status: str
    started: str
    updated: str
    ended: str | None = None
    origin: str | None = None
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a run's history. `number` counts from 1."""

    number: int
    at: str
    type: str
    path: str
    ref: str
    data: dict[str, Any]


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A task under way, and what it waits for."""

    path: str
    ref: str
    since: str
    status: str
    wait: dict[str, Any] | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run of a job; `detail` says why it was not done."""

    run: str
    ok: bool
    detail: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One verb for many runs: how far it has come. `answers` are the newest only."""

    id: str
    verb: str
    state: str
    done: int
    failed: int
    left: int
    answers: list[Answer] = []

    @property
    def is_done(self) -> bool:
        return self.state == "done"


def start(
    workflow: str, input: Any = None, *, version: str | None = None, id: str = "", key: str = ""
) -> Call[Started]:
    """Start a run. With the same `id`, or the same idempotency `key`, there is one run however often this is sent."""
    headers = {"idempotency-key": key} if key else {}
    body = {"input": input, "version": version, "id": id}
    return call("POST", "workflows", workflow, "runs", body=body, headers=headers, answer=Started)


def find(
    *,
    status: list[str] | None = None,
    workflow: str = "",
    version: str = "",
    project: str = "",
    since: str = "",
    until: str = "",
    input: list[str] | None = None,
    output: list[str] | None = None,
    limit: int = 100,
    cursor: str = "",
) -> Call[Page[Run]]:
    """Newest first. `since` and `until` as RFC 3339; `input` and `output` are values by path (`order.id=17`)."""
    query = {
        "status": status, "workflow": workflow, "version": version, "project": project, "since": since, "until": until, "input": input,
        "output": output, "limit": limit, "cursor": cursor,
    }  # fmt: skip
    return call("GET", "runs", query=query, answer=Page[Run])


def get(id: str) -> Call[Run]:
    return call("GET", "runs", id, answer=Run)


def history(id: str, *, limit: int = 1000, cursor: str = "") -> Call[Page[Entry]]:
    """What happened, entry by entry, from the first."""
    return call("GET", "runs", id, "history", query={"limit": limit, "cursor": cursor}, answer=Page[Entry])


def tasks(id: str) -> Call[Page[Open]]:
    """What is under way."""
    return call("GET", "runs", id, "tasks", answer=Page[Open])


def follow(id: str) -> Call[None]:
    """For `stream`: an Entry in each event's data, and an event of type `end` at the end."""
    return call("GET", "runs", id, "stream")


def cancel(id: str, *, compensate: bool = False) -> Call[Run]:
    """End a run; `compensate`: undo first what was done, in reverse."""
    return call("POST", "runs", id, "cancel", body={"compensate": compensate}, answer=Run)


def suspend(id: str) -> Call[Run]:
    """Hold a run: what is under way ends, nothing new begins."""
    return call("POST", "runs", id, "suspend", answer=Run)


def resume(id: str) -> Call[Run]:
    """Let a suspended run go on."""
    return call("POST", "runs", id, "resume", answer=Run)


def retry(id: str, *, path: str | None = None) -> Call[Run]:
    """Enter the faulted task, or the one at `path`, again."""
    return call("POST", "runs", id, "retry", body={"path": path}, answer=Run)


def skip(id: str, *, path: str | None = None, output: Any = _ABSENT) -> Call[Run]:
    """End the faulted task, or the one at `path`, with this output; without one, with its input."""
    given = {} if output is _ABSENT else {"output": output}
    return call("POST", "runs", id, "skip", body={"path": path, **given}, answer=Run)


def fork(id: str, *, path: str | None = None, input: Any = _ABSENT, version: str | None = None) -> Call[Started]:
    """A new run with the history of this one up to `path`; else from the beginning, with another input or version."""
    given = {} if input is _ABSENT else {"input": input}
    return call("POST", "runs", id, "fork", body={"path": path, "version": version, **given}, answer=Started)


def steer(verb: str, ids: list[str] | None = None, *, select: dict[str, Any] | None = None, **how: Any) -> Call[Job]:
    """One verb (`cancel suspend resume retry skip`) for runs by their ids, or for all that `select` describes (`statuses
    workflow version since until`). `how`: `compensate`, `path` and `output`. A few are done in the answer; for more,
    ask `job` until it is done."""
    which = {"runs": ids} if ids is not None else {"select": select or {}}
    return call("POST", "runs", "bulk", body={"verb": verb, **which, **how}, answer=Job)


def job(id: str) -> Call[Job]:
    """How far a verb for many runs has come."""
    return call("GET", "runs", "bulk", id, answer=Job)
