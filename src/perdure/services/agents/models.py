"""What the agents service keeps: agents and their versions, executions, contexts, prompts, usage, budgets.

Amounts of money are whole billionths of a US dollar (`NANO`); times are milliseconds since the epoch, days are UTC.
"""

import datetime as dt
import functools
import re
import uuid
from typing import Any, Literal

import msgspec

from perdure.errors import Invalid
from perdure.language.values import Json
from perdure.ports.ids import same_id

NANO = 1_000_000_000
"""Of one US dollar: a token of a small model costs less than a millionth."""

AgentState = Literal["active", "archived"]
ExecutionState = Literal["running", "completed", "faulted", "cancelled"]
Scope = Literal["run", "agent", "key", "project", "tenant"]
Per = Literal["day", "month", "total"]
Measure = Literal["cost", "tokens"]
MarkKind = Literal["warned", "asked"]
MarkState = Literal["open", "lifted", "refused", "done"]

run_id = functools.partial(same_id, uuid.UUID("5b0d5a7e-6f0a-5d0c-9f5e-3c1e7b6a2d11"))
"""The id of an execution that must not be started twice: the same for the same cause."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """A name for versions, the newest of which answers unless another is asked for."""

    tenant: str
    id: str
    """Its name, unique in the tenant."""
    state: AgentState = "active"
    newest: int
    description: str = ""
    project: str = ""
    created: int
    updated: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is. Never changed once it is made."""

    tenant: str
    agent: str
    number: int
    definition: "Definition"
    document: Json
    """The document that its executions run."""
    created: int
    by: str


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One tool: exactly one of a function of the catalog, a published workflow, and another agent."""

    function: str = ""
    """`name` or `name:version`."""
    workflow: str = ""
    """`namespace.name`."""
    agent: str = ""
    version: str = ""
    """Of the workflow or the agent; the function's stands in its name."""
    name: str = ""
    """What the model calls it; its own name by default."""
    description: str = ""
    parameters: dict[str, Any] | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How much of a conversation the model is told."""

    messages: int = 100
    """The newest messages of the context; older ones are not told."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of a prompt template in the place of an instruction."""

    name: str
    version: int


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What somebody says an agent is: the arguments of `agent` (language.md 5.2), by their names there."""

    instruction: str = ""
    prompt: Prompt | None = None
    model: str = ""
    provider: str = ""
    parameters: dict[str, Any] = {}
    tools: list[str | Tool] = []
    handover: list[str] = []
    """Agents that the conversation may be handed over to."""
    approval: list[str] = []
    """Tools whose calls a person has to approve, by what the model calls them."""
    limits: dict[str, Any] = {}
    context: dict[str, Any] = {}
    output: dict[str, Any] | None = None
    """JSON Schema of the final answer."""
    memory: Memory = Memory()


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of an agent: a run of the engine."""

    tenant: str
    run: str
    agent: str
    version: int
    context: str = ""
    message: int = 0
    """The number of the message in the context that it answers."""
    state: ExecutionState = "running"
    input: Json = None
    """Of the run; kept until the run has ended."""
    key: str = ""
    """The API key, or the user, that asked."""
    project: str = ""
    models: tuple[str, ...] = ()
    """Patterns of the models that the key may use; empty: every model."""
    created: int
    ended: int | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A context: what was said, in order."""

    tenant: str
    id: str
    agent: str
    title: str = ""
    project: str = ""
    by: str = ""
    origin: str = ""
    """The context that it was branched from."""
    origin_message: int = 0
    size: int = 0
    """Messages so far: the number of the last one."""
    run: str = ""
    """The execution that is answering now."""
    created: int
    updated: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a context. Numbers begin with 1."""

    tenant: str
    context: str
    number: int
    role: Literal["user", "assistant"]
    content: str
    run: str = ""
    at: int


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a prompt: a text with `${ jq }` in it."""

    tenant: str
    name: str
    version: int
    text: str
    created: int
    by: str


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one request to a model took and cost."""

    tenant: str
    call: str
    at: int
    day: str
    run: str = ""
    path: str = ""
    agent: str = ""
    key: str = ""
    project: str = ""
    model: str = ""
    provider: str = ""
    input: int = 0
    output: int = 0
    cached: int = 0
    cost: int | None = None
    """Billionths of a dollar; None when no price is known."""
    price: Json = None
    """The price that it was reckoned with."""


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that have something in common, together."""

    by: dict[str, str]
    requests: int
    input: int
    output: int
    cached: int
    cost: int
    unpriced: int
    """Requests among them whose price is not known."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be spent on one account, or on each of a kind."""

    tenant: str
    id: str
    name: str = ""
    scope: Scope
    subject: str = ""
    """Which run, agent, key or project; empty: each one for itself."""
    per: Per = "total"
    measure: Measure = "cost"
    amount: int
    """Billionths of a dollar, or tokens."""
    warn: int = 80
    """Per cent at which a warning goes out; 0 for none."""
    hard: bool = True
    """Whether requests are refused when it is used up."""
    created: int
    updated: int
    by: str = ""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened to a budget in one period: it was warned of, or a person was asked to lift it."""

    tenant: str
    id: str
    budget: str
    subject: str
    window: str
    kind: MarkKind
    round: int = 0
    state: MarkState = "open"
    extra: int = 0
    """By how much it was lifted."""
    at: int
    by: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a budget is used up now, for one subject."""

    budget: Budget
    subject: str
    window: str
    spent: int
    limit: int
    """With what it was lifted by."""


@functools.lru_cache(8)
def day(at: int) -> str:
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).date().isoformat()


def window(per: Per, at: int) -> str:
    """The period that a moment lies in: `2026-11-21`, `2026-11`, or `total`."""
    if per == "total":
        return "total"
    return day(at) if per == "day" else day(at)[:7]


def ends(per: Per, at: int) -> int | None:
    """When the period that a moment lies in is over; never for `total`."""
    if per == "total":
        return None
    first = dt.datetime.fromtimestamp(at / 1000, dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if per == "day":
        after = first + dt.timedelta(days=1)
    else:
        after = (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
    return round(after.timestamp() * 1000)


def checked_name(name: str, what: str) -> str:
    """A name that may stand in a document and in an address, or Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of {what}.",
            hint="Use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends.",
        )
    return name


def checked_line(text: str, what: str, most: int) -> str:
    """A line of text that every database can hold, or Invalid."""
    if not text.isprintable() or len(text) > most:
        raise Invalid(f"The {what} is a line of at most {most:,} printable characters.")
    return text


def checked_text(text: str, what: str, most: int) -> str:
    """A text that every database can hold, or Invalid."""
    if "\x00" in text or len(text) > most or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Invalid(f"The {what} is a text of at most {most:,} characters, without NUL.")
    return text
