"""Conversations with agents: read, branched and deleted. They grow by `agents.chat`."""

import msgspec

from perdure.client.call import Call, Page, call


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation. `run` is the execution that is answering now, `size` the number of its last message."""

    id: str
    agent: str
    title: str
    project: str
    by: str
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


def find(*, agent: str = "", limit: int = 100, cursor: str = "") -> Call[Page[Context]]:
    """The newest first."""
    return call("GET", "contexts", query={"agent": agent, "limit": limit, "cursor": cursor}, answer=Page[Context])


def get(id: str) -> Call[Context]:
    return call("GET", "contexts", id, answer=Context)


def messages(id: str, *, limit: int = 100, cursor: str = "") -> Call[Page[Message]]:
    """What was said, in order."""
    return call("GET", "contexts", id, "messages", query={"limit": limit, "cursor": cursor}, answer=Page[Message])


def branch(id: str, message: int | None = None, *, title: str = "") -> Call[Context]:
    """A conversation of its own with what was said up to a message; with all of it by default."""
    return call("POST", "contexts", id, "branch", body={"message": message, "title": title}, answer=Context)


def delete(id: str) -> Call[None]:
    """Delete what was said. An answer under way is cancelled."""
    return call("DELETE", "contexts", id)
