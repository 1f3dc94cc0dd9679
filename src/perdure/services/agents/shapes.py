"""What requests and answers of the agents service look like over HTTP. Money is US dollars here."""

from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import Field

from perdure.errors import Invalid
from perdure.ports.shapes import Line, Shape, maybe, moment
from perdure.services.agents.models import (
    NANO,
    Agent,
    AgentState,
    Budget,
    Conversation,
    Definition,
    Execution,
    ExecutionState,
    Measure,
    Message,
    Per,
    Scope,
    Standing,
    Sum,
    Template,
    Usage,
    Version,
)

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=Line, examples=["researcher"])]
Short = Annotated[str, Field(max_length=200, pattern=Line)]
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
Text = Annotated[str, Field(max_length=200_000)]


# Agents


class ToolShape(Shape):
    """Exactly one of `function`, `workflow` and `agent`."""

    function: Annotated[Short, Field(description="Of the catalog: `name` or `name:version`.")] = ""
    workflow: Annotated[Short, Field(description="Published: `namespace.name`.")] = ""
    agent: Short = ""
    version: Annotated[Short, Field(description="Of the workflow or the agent; pinned when the agent is made.")] = ""
    name: Annotated[str, Field(max_length=64, pattern=Line, description="What the model calls it.")] = ""
    description: Annotated[str, Field(max_length=4000)] = ""
    parameters: dict[str, Any] | None = None


class MemoryShape(Shape):
    messages: Annotated[int, Field(ge=0, le=1000, description="The newest messages of a context are told.")] = 100


class PromptOf(Shape):
    name: Name
    version: Number


class DefinitionShape(Shape):
    """An agent: the arguments of the function `agent`, by their names there."""

    instruction: Annotated[str, Field(max_length=100_000, examples=["Answer in one sentence."])] = ""
    prompt: Annotated[PromptOf | None, Field(description="In the place of `instruction`.")] = None
    model: Short = ""
    provider: Short = ""
    parameters: dict[str, Any] = {}
    tools: Annotated[list[Short | ToolShape], Field(max_length=128)] = []
    handover: Annotated[list[Short], Field(max_length=32)] = []
    approval: Annotated[list[Short], Field(max_length=128)] = []
    limits: dict[str, Any] = {}
    context: dict[str, Any] = {}
    output: dict[str, Any] | None = None
    memory: MemoryShape = MemoryShape()

    def definition(self) -> Definition:
        given = self.model_dump(exclude_unset=True, include=set(DefinitionShape.model_fields))
        try:
            return msgspec.convert(given, Definition)
        except msgspec.ValidationError as error:
            raise Invalid(f"The agent does not fit: {error}.") from None


class NewAgent(DefinitionShape):
    name: Name
    description: Annotated[str, Field(max_length=500, pattern=Line)] = ""


class AgentShape(Shape):
    id: str
    state: AgentState
    newest: int
    description: str
    project: str
    created: str
    updated: str

    @classmethod
    def of(cls, agent: Agent) -> Self:
        return cls(
            id=agent.id, state=agent.state, newest=agent.newest, description=agent.description, project=agent.project,
            created=moment(agent.created), updated=moment(agent.updated),
        )  # fmt: skip


class VersionShape(Shape):
    agent: str
    version: int
    definition: dict[str, Any]
    created: str
    by: str

    @classmethod
    def of(cls, made: Version) -> Self:
        return cls(
            agent=made.agent, version=made.number, definition=msgspec.to_builtins(made.definition),
            created=moment(made.created), by=made.by,
        )  # fmt: skip


class WholeVersion(VersionShape):
    document: Annotated[dict[str, Any], Field(description="What its executions run.")]

    @classmethod
    def of(cls, made: Version) -> Self:
        return cls(**VersionShape.of(made).model_dump(), document=made.document)


class Agents(Shape):
    items: list[AgentShape]
    next: str | None


class Versions(Shape):
    items: list[VersionShape]
    next: str | None


# Chat


class Chat(Shape):
    message: Annotated[Text, Field(min_length=1, examples=["What do we know about the bridge?"])]
    context: Annotated[Short, Field(description="The conversation to go on with; a new one by default.")] = ""
    version: Number | None = None
    values: Annotated[dict[str, Any] | None, Field(description="For the expressions of the agent's prompt.")] = None
    stream: Annotated[bool, Field(description="Answer with server-sent events: text, tool, reset, end.")] = False
    wait: Annotated[bool, Field(description="Without `stream`: answer when the agent has answered.")] = True


class ExecutionShape(Shape):
    run: str
    agent: str
    version: int
    context: str
    state: ExecutionState
    key: str
    project: str
    created: str
    ended: str | None

    @classmethod
    def of(cls, one: Execution) -> Self:
        return cls(
            run=one.run, agent=one.agent, version=one.version, context=one.context, state=one.state, key=one.key,
            project=one.project, created=moment(one.created), ended=maybe(one.ended),
        )  # fmt: skip


class Executions(Shape):
    items: list[ExecutionShape]
    next: str | None


class Outcome(Shape):
    """What came of an execution; `output` and `error` are empty while it goes on."""

    run: str
    agent: str
    version: int
    context: str
    state: ExecutionState
    output: Any = None
    error: dict[str, Any] | None = None
    usage: dict[str, Any] = {}


# Contexts


class ContextShape(Shape):
    id: str
    agent: str
    title: str
    project: str
    by: str
    origin: str
    origin_message: int
    size: int
    run: Annotated[str, Field(description="The execution that is answering now.")]
    created: str
    updated: str

    @classmethod
    def of(cls, found: Conversation) -> Self:
        return cls(
            id=found.id, agent=found.agent, title=found.title, project=found.project, by=found.by, origin=found.origin,
            origin_message=found.origin_message, size=found.size, run=found.run, created=moment(found.created),
            updated=moment(found.updated),
        )  # fmt: skip


class MessageShape(Shape):
    number: int
    role: Literal["user", "assistant"]
    content: str
    run: str
    at: str

    @classmethod
    def of(cls, one: Message) -> Self:
        return cls(number=one.number, role=one.role, content=one.content, run=one.run, at=moment(one.at))


class Contexts(Shape):
    items: list[ContextShape]
    next: str | None


class Messages(Shape):
    items: list[MessageShape]
    next: str | None


class Branch(Shape):
    message: Annotated[Number | None, Field(description="The last message that both have; all by default.")] = None
    title: Short = ""


# Prompts


class PromptText(Shape):
    text: Annotated[str, Field(max_length=100_000, examples=["You help ${ .name }."])]


class NewPrompt(PromptText):
    name: Name


class PromptShape(Shape):
    name: str
    version: int
    text: str
    created: str
    by: str

    @classmethod
    def of(cls, made: Template) -> Self:
        return cls(name=made.name, version=made.version, text=made.text, created=moment(made.created), by=made.by)


class Prompts(Shape):
    items: list[PromptShape]
    next: str | None


# Usage


class UsageShape(Shape):
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
    cost: Annotated[float | None, Field(description="US dollars; null when no price is known.")]
    price: Any

    @classmethod
    def of(cls, one: Usage) -> Self:
        given = {name: getattr(one, name) for name in cls.model_fields if name not in {"at", "cost"}}
        return cls(**given, at=moment(one.at), cost=None if one.cost is None else one.cost / NANO)


class UsageRows(Shape):
    items: list[UsageShape]
    next: str | None


class SumShape(Shape):
    by: dict[str, str]
    requests: int
    input: int
    output: int
    cached: int
    cost: float
    unpriced: int

    @classmethod
    def of(cls, one: Sum) -> Self:
        given = {name: getattr(one, name) for name in cls.model_fields if name != "cost"}
        return cls(**given, cost=one.cost / NANO)


class Sums(Shape):
    items: list[SumShape]
    next: None = None


# Budgets


class NewBudget(Shape):
    name: Short = ""
    scope: Annotated[Scope, Field(examples=["agent"])]
    subject: Annotated[Short, Field(description="Which run, agent, key or project; each for itself by default.")] = ""
    per: Per = "total"
    measure: Measure = "cost"
    amount: Annotated[float, Field(gt=0, le=1e9, strict=False, description="US dollars, or tokens.", examples=[5.0])]
    warn: Annotated[int, Field(ge=0, le=100, description="Per cent at which a warning goes out; 0: none.")] = 80
    hard: Annotated[bool, Field(description="Refuse requests when it is used up.")] = True


class BudgetChange(Shape):
    name: Short | None = None
    amount: Annotated[float | None, Field(gt=0, le=1e9, strict=False)] = None
    warn: Annotated[int | None, Field(ge=0, le=100)] = None
    hard: bool | None = None


class BudgetShape(Shape):
    id: str
    name: str
    scope: Scope
    subject: str
    per: Per
    measure: Measure
    amount: float
    warn: int
    hard: bool
    created: str
    updated: str
    by: str

    @classmethod
    def of(cls, found: Budget) -> Self:
        given = {
            name: getattr(found, name) for name in cls.model_fields if name not in {"amount", "created", "updated"}
        }
        return cls(
            **given, amount=shown(found, found.amount), created=moment(found.created), updated=moment(found.updated)
        )


class StandingShape(BudgetShape):
    """`subject` is whom it was asked for."""

    period: str
    spent: float
    limit: Annotated[float, Field(description="With what it was lifted by in this period.")]

    @classmethod
    def now(cls, standing: Standing) -> Self:
        budget = standing.budget
        given = BudgetShape.of(budget).model_dump()
        given["subject"] = standing.subject
        return cls(
            **given, period=standing.window, spent=shown(budget, standing.spent), limit=shown(budget, standing.limit)
        )


class Budgets(Shape):
    items: list[BudgetShape]
    next: str | None


def shown(budget: Budget, amount: int) -> float:
    return amount / NANO if budget.measure == "cost" else float(amount)
