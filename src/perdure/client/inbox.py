"""Questions of runs to people: approvals and forms."""

from typing import Any

import msgspec

from perdure.client.call import Call, Page, call


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One question. A decision names the `hash` of what was shown."""

    id: str
    kind: str
    state: str
    title: str
    details: Any = None
    form: Any = None
    to: list[str] = []
    hash: str
    run: str
    task: str
    asked: str
    deadline: str | None = None
    decision: dict[str, Any] | None = None


def find(
    *,
    state: list[str] | None = None,
    mine: bool = False,
    run: str = "",
    project: str = "",
    limit: int = 100,
    cursor: str = "",
) -> Call[Page[Item]]:
    """Newest first; `mine`: only what you may decide."""
    query = {"state": state, "mine": mine or None, "run": run, "project": project, "limit": limit, "cursor": cursor}
    return call("GET", "inbox", query=query, answer=Page[Item])


def get(id: str) -> Call[Item]:
    return call("GET", "inbox", id, answer=Item)


def decide(id: str, hash: str, *, approved: bool, reason: str = "", data: Any = None) -> Call[Item]:
    """Once and for all, about what was shown under the hash."""
    body = {"hash": hash, "approved": approved, "reason": reason, "data": data}
    return call("POST", "inbox", id, "decide", body=body, answer=Item)


def delegate(id: str, to: list[str], *, reason: str = "") -> Call[Item]:
    """Give the question to others: `user:<id>`, `role:<name>`."""
    return call("POST", "inbox", id, "delegate", body={"to": to, "reason": reason}, answer=Item)
