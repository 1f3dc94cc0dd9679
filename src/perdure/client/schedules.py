"""When runs of workflows start by themselves."""

from typing import Any

import msgspec

from perdure.client.call import Call, Page, call


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """`spec`: the text of `cron`, the seconds of `every` and `after`, the strategy of `on`."""

    id: str
    workflow: str
    version: str | None = None
    kind: str
    spec: Any
    zone: str
    input: Any = None
    catch_up: str
    window: int = 0
    overlap: str
    state: str
    held: bool
    of_document: bool
    next: str | None = None
    last_run: str | None = None


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """One time that it came due."""

    due: str
    state: str
    run: str
    missed: int
    detail: str


def find(*, workflow: str = "", project: str = "", limit: int = 100, cursor: str = "") -> Call[Page[Schedule]]:
    query = {"workflow": workflow, "project": project, "limit": limit, "cursor": cursor}
    return call("GET", "schedules", query=query, answer=Page[Schedule])


def get(id: str) -> Call[Schedule]:
    return call("GET", "schedules", id, answer=Schedule)


def create(workflow: str, **given: Any) -> Call[Schedule]:
    """Exactly one of `cron`, `every`, `after` and `on`; and `version input read zone catch_up window overlap`."""
    body = {"workflow": workflow, **{name: value for name, value in given.items() if value is not None}}
    return call("POST", "schedules", body=body, answer=Schedule)


def change(id: str, **given: Any) -> Call[Schedule]:
    """Any of `cron every version zone input catch_up window overlap`; what is not given stays."""
    return call("PATCH", "schedules", id, body=given, answer=Schedule)


def delete(id: str) -> Call[None]:
    return call("DELETE", "schedules", id)


def pause(id: str) -> Call[Schedule]:
    """Let it rest; what comes due meanwhile is not made up for."""
    return call("POST", "schedules", id, "pause", answer=Schedule)


def resume(id: str) -> Call[Schedule]:
    """Let it go on."""
    return call("POST", "schedules", id, "resume", answer=Schedule)


def fire(id: str, *, input: Any = None) -> Call[Firing]:
    """Fire now, besides its times; `input` instead of the schedule's own."""
    return call("POST", "schedules", id, "fire", body={} if input is None else {"input": input}, answer=Firing)


def firings(id: str, *, limit: int = 100, cursor: str = "") -> Call[Page[Firing]]:
    """What came of its times, the newest first."""
    return call("GET", "schedules", id, "firings", query={"limit": limit, "cursor": cursor}, answer=Page[Firing])
