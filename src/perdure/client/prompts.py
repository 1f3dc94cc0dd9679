"""Prompts: named texts in versions, with expressions in them, that an agent's instruction is made of."""

import msgspec

from perdure.client.call import Call, Page, call


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a prompt. It never changes."""

    name: str
    version: int
    text: str
    created: str
    by: str


def find(*, limit: int = 100, cursor: str = "") -> Call[Page[Prompt]]:
    """The newest version of each, in order of their names."""
    return call("GET", "prompts", query={"limit": limit, "cursor": cursor}, answer=Page[Prompt])


def write(name: str, text: str) -> Call[Prompt]:
    """A prompt, or its next version; the text that the newest has already is that version."""
    return call("POST", "prompts", body={"name": name, "text": text}, answer=Prompt)


def get(name: str) -> Call[Prompt]:
    """Its newest version."""
    return call("GET", "prompts", name, answer=Prompt)


def versions(name: str, *, limit: int = 100, cursor: str = "") -> Call[Page[Prompt]]:
    """The newest first."""
    return call("GET", "prompts", name, "versions", query={"limit": limit, "cursor": cursor}, answer=Page[Prompt])


def version(name: str, number: int) -> Call[Prompt]:
    """One version."""
    return call("GET", "prompts", name, "versions", str(number), answer=Prompt)
