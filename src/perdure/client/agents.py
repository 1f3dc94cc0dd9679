"""Agents, what they answer, and conversations with them."""

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


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation."""

    id: str
    agent: str
    title: str
    size: int
    run: str
    origin: str
    origin_message: int
    created: str
    updated: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation."""

    number: int
    role: str
    content: str
    run: str
    at: str


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a prompt template."""

    name: str
    version: int
    text: str
    created: str
    by: str


def find(*, limit: int = 100, cursor: str = "") -> Call[Page[Agent]]:
    return call("GET", "agents", query={"limit": limit, "cursor": cursor}, answer=Page[Agent])


def get(id: str) -> Call[Agent]:
    return call("GET", "agents", id, answer=Agent)


def create(name: str, definition: dict[str, Any], *, description: str = "") -> Call[Version]:
    """`definition`: `instruction` or `prompt`, and `model tools handover approval limits output memory …`."""
    return call("POST", "agents", body={**definition, "name": name, "description": description}, answer=Version)


def add_version(id: str, definition: dict[str, Any]) -> Call[Version]:
    return call("POST", "agents", id, "versions", body=definition, answer=Version)


def versions(id: str, *, limit: int = 100, cursor: str = "") -> Call[Page[Version]]:
    return call("GET", "agents", id, "versions", query={"limit": limit, "cursor": cursor or None}, answer=Page[Version])


def version(id: str, number: int) -> Call[Version]:
    return call("GET", "agents", id, "versions", str(number), answer=Version)


def archive(id: str) -> Call[Agent]:
    return call("POST", "agents", id, "archive", answer=Agent)


def restore(id: str) -> Call[Agent]:
    return call("POST", "agents", id, "restore", answer=Agent)


def chat(
    id: str, message: str, *, context: str = "", version: int | None = None, values: dict[str, Any] | None = None,
    wait: bool = True,
) -> Call[Outcome]:  # fmt: skip
    """Say something. Without `wait` the answer is the execution that has begun; `follow` tells what it says."""
    body = {"message": message, "context": context, "version": version, "values": values, "wait": wait}
    return call("POST", "agents", id, "chat", body=body, answer=Outcome)


def follow(id: str, run: str) -> Call[None]:
    """For `Client.stream`: `begin`, `text` {turn, text}, `reset` {turn, text}, `tool` {tool, state}, `end` (an Outcome)."""
    return call("GET", "agents", id, "executions", run, "stream")


def executions(id: str, *, context: str = "", limit: int = 100, cursor: str = "") -> Call[Page[Execution]]:
    query = {"context": context or None, "limit": limit, "cursor": cursor}
    return call("GET", "agents", id, "executions", query=query, answer=Page[Execution])


def contexts(*, agent: str = "", limit: int = 100, cursor: str = "") -> Call[Page[Context]]:
    query = {"agent": agent or None, "limit": limit, "cursor": cursor}
    return call("GET", "contexts", query=query, answer=Page[Context])


def messages(context: str, *, limit: int = 100, cursor: str = "") -> Call[Page[Message]]:
    query = {"limit": limit, "cursor": cursor or None}
    return call("GET", "contexts", context, "messages", query=query, answer=Page[Message])


def branch(context: str, message: int | None = None) -> Call[Context]:
    return call("POST", "contexts", context, "branch", body={"message": message}, answer=Context)


def delete_context(context: str) -> Call[None]:
    return call("DELETE", "contexts", context)


def write_prompt(name: str, text: str) -> Call[Prompt]:
    return call("POST", "prompts", body={"name": name, "text": text}, answer=Prompt)


def prompts(*, limit: int = 100, cursor: str = "") -> Call[Page[Prompt]]:
    return call("GET", "prompts", query={"limit": limit, "cursor": cursor}, answer=Page[Prompt])
