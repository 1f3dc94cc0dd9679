"""Agents, and what they answer. Conversations are in `contexts.py`."""

from typing import Any

import msgspec

from perdure.client.call import Call, Page, call


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """A name for versions, the newest of which answers."""

    id: str
    state: str
    newest: int
    description: str
    project: str
    created: str
    updated: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is. Never changed once it is made."""

    agent: str
    version: int
    definition: dict[str, Any]
    created: str
    by: str
    document: Any = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an execution."""

    run: str
    agent: str
    version: int
    context: str
    state: str
    output: Any = None
    error: dict[str, Any] | None = None
    usage: dict[str, Any] = {}


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of an agent: a run with the same id."""

    run: str
    agent: str
    version: int
    context: str
    state: str
    key: str
    project: str
    created: str
    ended: str | None


def find(*, limit: int = 100, cursor: str = "") -> Call[Page[Agent]]:
    return call("GET", "agents", query={"limit": limit, "cursor": cursor}, answer=Page[Agent])


def get(id: str) -> Call[Agent]:
    return call("GET", "agents", id, answer=Agent)


def create(name: str, definition: dict[str, Any], *, description: str = "") -> Call[Version]:
    """`definition`: `instruction` or `prompt`, and `model tools handover approval limits output memory …`."""
    return call("POST", "agents", body={**definition, "name": name, "description": description}, answer=Version)


def add_version(id: str, definition: dict[str, Any]) -> Call[Version]:
    """The next version; earlier ones stay as they are."""
    return call("POST", "agents", id, "versions", body=definition, answer=Version)


def versions(id: str, *, limit: int = 100, cursor: str = "") -> Call[Page[Version]]:
    """The newest first."""
    return call("GET", "agents", id, "versions", query={"limit": limit, "cursor": cursor or None}, answer=Page[Version])


def version(id: str, number: int) -> Call[Version]:
    """One version, with the document that its executions run."""
    return call("GET", "agents", id, "versions", str(number), answer=Version)


def archive(id: str) -> Call[Agent]:
    """Let it answer no more."""
    return call("POST", "agents", id, "archive", answer=Agent)


def restore(id: str) -> Call[Agent]:
    """Let it answer again."""
    return call("POST", "agents", id, "restore", answer=Agent)


def chat(
    id: str, message: str, *, context: str = "", version: int | None = None, values: dict[str, Any] | None = None,
    wait: bool = True, key: str = "",
) -> Call[Outcome]:  # fmt: skip
    """Say something. Without `wait` the answer is the execution that has begun; `follow` tells what it says. With the same
    idempotency `key` it is said once, however often this is sent."""
    body = {"message": message, "context": context, "version": version, "values": values, "wait": wait}
    headers = {"idempotency-key": key} if key else {}
    return call("POST", "agents", id, "chat", body=body, headers=headers, answer=Outcome)


def follow(id: str, run: str) -> Call[None]:
    """For `Client.stream`: `begin`, `text` {turn, text}, `reset` {turn, text}, `tool` {tool, state}, `end` (an Outcome)."""
    return call("GET", "agents", id, "executions", run, "stream")


def execution(id: str, run: str) -> Call[Execution]:
    """One answer of an agent: how far it is."""
    return call("GET", "agents", id, "executions", run, answer=Execution)


def executions(id: str, *, context: str = "", limit: int = 100, cursor: str = "") -> Call[Page[Execution]]:
    """What it answered, the newest first."""
    query = {"context": context or None, "limit": limit, "cursor": cursor}
    return call("GET", "agents", id, "executions", query=query, answer=Page[Execution])
