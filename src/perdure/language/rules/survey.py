"""What one walk over a document collects for the rules that look at several places at once."""

from typing import NamedTuple

from perdure.language.values import Json


class Scope(NamedTuple):
    """What expressions at a place may use: the row of language.md 1.1 and the variables of loops and catches around.

    `in_branch` tells whether a fork is around it.
    """

    row: str
    variables: frozenset[str] = frozenset()
    in_branch: bool = False


class Site(NamedTuple):
    """An expression, template or URI: its text, where it stands and what it may use.

    `form` is field (bare jq or `${ }`), wrapped (one `${ }`), template (plain text or one `${ }`), duration, uri (an
    expression too), uri-template or fixed-uri.
    """

    form: str
    text: str
    pointer: str
    scope: Scope


class Named(NamedTuple):
    """A name that must be in a table of `use`."""

    table: str
    name: str
    pointer: str


class TaskEntry(NamedTuple):
    """A task of a list: its kind is none when it could not be told."""

    name: str
    task: dict[str, Json]
    kind: str | None
    pointer: str


class TaskList(NamedTuple):
    """The tasks of one list, in order. Branches of a fork are no list for `then` (T19)."""

    pointer: str
    entries: list[TaskEntry]
    branches: bool


class Call(NamedTuple):
    """A call of a function that is not built into the language."""

    name: str
    task: dict[str, Json]
    pointer: str


class Survey:
    """Everything collected, in the order of the walk."""

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self.names: list[Named] = []
        self.lists: list[TaskList] = []
        self.singles: list[TaskEntry] = []
        self.calls: list[Call] = []
        self.schemas: list[tuple[Json, str]] = []
        self.crons: list[tuple[str, str]] = []
        self.caught: list[tuple[str, str]] = []
        self.grants: list[tuple[Json, str]] = []
        self.exports: list[tuple[str, Scope]] = []

    def __repr__(self) -> str:
        return f"<Survey {len(self.lists)} task lists, {len(self.sites)} expressions and templates>"
