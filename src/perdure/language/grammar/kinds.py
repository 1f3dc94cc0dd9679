"""The vocabulary in which the grammar is written: what kind of value a field takes.

Plain records, no behaviour: `rules/shapes.py` walks them over a document, `json_schema.py` renders them.
"""

from typing import Literal, TypeAlias

import msgspec

Row = Literal[
    "workflow-input",
    "workflow-output",
    "schedule",
    "task-entry",
    "task-body",
    "task-output",
    "task-export",
    "event",
]
"""A row of language.md 1.1: which arguments an expression may use there. `event`: it sees the event only."""

JsonType = Literal["object", "list", "text", "number", "boolean", "null"]


class Record(msgspec.Struct, frozen=True):
    """Every kind is an immutable record."""


class Anything(Record, frozen=True):
    """Any JSON value, taken as it is."""


class Text(Record, frozen=True):
    """A fixed text. `pattern` is a regular expression for the whole text, `says` tells a person what it asks for.

    A `free` text is for people: it may hold anything, also what looks like an expression.
    """

    pattern: str | None = None
    says: str = ""
    free: bool = False


class Name(Record, frozen=True):
    """A name that the grammar leaves free but that must not be empty."""


class Flag(Record, frozen=True):
    """true or false."""


class Whole(Record, frozen=True):
    """An integer in a range."""

    minimum: int | None = None
    maximum: int | None = None


class Number(Record, frozen=True):
    """A number greater than zero."""


class Choice(Record, frozen=True):
    """One of some texts."""

    values: tuple[str, ...]


class Expression(Record, frozen=True):
    """Bare jq or `${ }` (T30)."""


class Wrapped(Record, frozen=True):
    """A text that is one `${ }` as a whole."""


class Template(Record, frozen=True):
    """A value in which texts that are one `${ }` as a whole are evaluated. `takes` limits its JSON type."""

    takes: tuple[JsonType, ...] = ()
    pattern: str | None = None
    says: str = ""


class TextValue(Record, frozen=True):
    """A template of a text; numbers and booleans become their JSON text (language.md, text values)."""


class Uri(Record, frozen=True):
    """A URI reference. It may be a `template` (B25) or an `expression`: one `${ }` as a whole."""

    expression: bool = True
    template: bool = True


class Duration(Record, frozen=True):
    """A duration (B24): an object, ISO 8601 text, or one `${ }` that gives ISO 8601."""


class JsonSchema(Record, frozen=True):
    """A JSON Schema document."""


class Cron(Record, frozen=True):
    """A cron expression of five fields."""


class Variable(Record, frozen=True):
    """The name of a variable that expressions below it can use."""


class Reference(Record, frozen=True):
    """A name from a table of `use`."""

    table: str


class Target(Record, frozen=True):
    """A flow directive (E1)."""


class Callable(Record, frozen=True):
    """What `call` names: one of the built-in calls or a function."""


class Arguments(Record, frozen=True):
    """The `with` of a call; what it holds depends on what is called."""


class Task(Record, frozen=True):
    """One task that stands in no list, so that a named `then` has no target."""


class Tasks(Record, frozen=True):
    """A list of tasks, not empty; `branches` run side by side (T19)."""

    branches: bool = False


class Metadata(Record, frozen=True):
    """Free, except for the keys that Perdure reads (language.md 5.1)."""

    of_task: bool = True


class Object(Record, frozen=True):
    """An object of the named shape."""

    shape: str


class Items(Record, frozen=True):
    """A list."""

    item: "Kind"
    minimum: int = 0


class Entries(Record, frozen=True):
    """An object with free keys."""

    value: "Kind"
    minimum: int = 0


class Steps(Record, frozen=True):
    """A list of one-key objects: the key is a name."""

    value: "Kind"
    minimum: int = 0
    what: str = "entry"


class Either(Record, frozen=True):
    """A choice by JSON type, so that a message is always about one alternative."""

    text: "Kind | None" = None
    object: "Kind | None" = None
    list: "Kind | None" = None
    boolean: "Kind | None" = None


Kind: TypeAlias = (
    Anything
    | Text
    | Name
    | Flag
    | Whole
    | Number
    | Choice
    | Expression
    | Wrapped
    | Template
    | TextValue
    | Uri
    | Duration
    | JsonSchema
    | Cron
    | Variable
    | Reference
    | Target
    | Callable
    | Arguments
    | Task
    | Tasks
    | Metadata
    | Object
    | Items
    | Entries
    | Steps
    | Either
)


class Bind(Record, frozen=True):
    """A variable for the expressions below a field: named by the text at `path` in the same object, else `default`."""

    path: tuple[str, ...]
    default: str


class Field(Record, frozen=True):
    """One key of a shape. `doc` is a sentence for people; `ref` the row of language.md or the rule that it follows.

    `alone` keys admit no other key beside them. `row` and `binds` say which arguments expressions below may use; without
    `row` it is the one of the object around.
    """

    kind: Kind
    doc: str
    ref: str
    required: bool = False
    alone: bool = False
    row: Row | None = None
    binds: tuple[Bind, ...] = ()


class Shape(Record, frozen=True):
    """An object with known keys; others are refused unless `extra` says what they hold.

    `one_of`: exactly one of these keys. `some_of`: at least one. `together`: the first key only with the second.
    `minimum`: how many keys at least.
    """

    doc: str
    fields: dict[str, Field]
    one_of: tuple[tuple[str, ...], ...] = ()
    some_of: tuple[str, ...] = ()
    together: tuple[tuple[str, str], ...] = ()
    minimum: int = 0
    extra: "Kind | None" = None
    extra_keys: str | None = None


NAME_PATTERN = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
VERSION_PATTERN = (
    r"(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)"
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
DSL_PATTERN = r"1\.0\.(?:0|[1-9][0-9]*)(?:[-+][0-9a-zA-Z.+-]+)?"
NAME_SAYS = "letters, digits and inner hyphens, at most 63"

# Kinds that stand in many places.
TIMEOUT = Either(text=Reference("timeouts"), object=Object("timeout"))
DATA = Either(text=Expression(), object=Template())
ENDPOINT = Either(text=Uri(), object=Object("endpoint"))
POLICY = Object("authentication-or-name")
READ = Choice(("data", "envelope", "raw"))
