"""What requests to models took and cost."""

from typing import Any

import msgspec

from perdure.client.call import Call, Csv, Page, call


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `cost` is US dollars, None when no price is known."""

    call: str
    at: str
    run: str
    path: str
    agent: str
    key: str
    project: str
    model: str
    provider: str
    input: int
    output: int
    cached: int
    cost: float | None
    price: Any = None
    """The price that it was reckoned with."""


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that have something in common, together."""

    by: dict[str, str]
    requests: int
    input: int
    output: int
    cached: int
    cost: float
    unpriced: int


def find(*, limit: int = 100, cursor: str = "", **wanted: str | None) -> Call[Page[Usage]]:
    """`run agent key project model provider`, and the days `since` and `until`."""
    return call("GET", "usage", query={**wanted, "limit": limit, "cursor": cursor}, answer=Page[Usage])


def export(*, limit: int = 10_000, cursor: str = "", **wanted: str | None) -> Call[Csv]:
    """The rows of `find` as CSV with a line of names, up to 10,000 of them; `next` is the cursor of what is left."""
    return call("GET", "usage", "export", query={**wanted, "limit": limit, "cursor": cursor}, answer=Csv)


def export_sums(group: list[str], **wanted: str | None) -> Call[Csv]:
    """The sums of `sums` as CSV."""
    return call("GET", "usage", "sums", "export", query={**wanted, "group": group}, answer=Csv)


def sums(group: list[str], **wanted: str | None) -> Call[Page[Sum]]:
    """Added up by any of `day model key agent project`."""
    return call("GET", "usage", "sums", query={**wanted, "group": group}, answer=Page[Sum])
