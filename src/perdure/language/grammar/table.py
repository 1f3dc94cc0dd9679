"""The grammar of the language: one literal table of shapes, the model of every row A1-E11 of language.md section 1.

`SHAPES` is the whole of it; the rows on tasks and calls stand in `tasks.py` and `calls.py`. It drives
the validator (`check*.py`) and the JSON Schema for editors (`json_schema.py`), so they cannot disagree.
"""

from perdure.language.grammar.calls import CALL_SHAPES
from perdure.language.grammar.events import EVENT_SHAPES
from perdure.language.grammar.kinds import (
    DATA,
    DSL_PATTERN,
    ENDPOINT,
    NAME_PATTERN,
    NAME_SAYS,
    POLICY,
    READ,
    TIMEOUT,
    VERSION_PATTERN,
    Bind,
    Choice,
    Cron,
    Duration,
    Either,
    Entries,
    Expression,
    Field,
    Items,
    JsonSchema,
    Metadata,
    Name,
    Object,
    Shape,
    Steps,
    Task,
    Tasks,
    Text,
    Uri,
    Whole,
)
from perdure.language.grammar.security import SECURITY_SHAPES
from perdure.language.grammar.tasks import TASK_SHAPES

ARGUMENTS: dict[str, frozenset[str]] = {
    "workflow-input": frozenset({"secrets", "workflow", "runtime"}),
    "workflow-output": frozenset({"context", "secrets", "workflow", "runtime"}),
    "schedule": frozenset({"secrets", "workflow", "runtime"}),
    "task-entry": frozenset({"context", "secrets", "task", "workflow", "runtime"}),
    "task-body": frozenset({"context", "input", "secrets", "authorization", "task", "workflow", "runtime"}),
    "task-output": frozenset({"context", "input", "output", "secrets", "authorization", "task", "workflow", "runtime"}),
    "task-export": frozenset({"context", "input", "output", "secrets", "authorization", "task", "workflow", "runtime"}),
    "event": frozenset(),
}
"""Language.md 1.1: the arguments of each place, without the variables of loops and catches."""

NOT_SUPPORTED_YET = (
    "call: grpc",
    "call: asyncapi",
    "call: a2a",
    "call: mcp",
    "run: container",
    "run: script",
    "run: shell",
)
"""Checked in full and refused at the end. Supporting one means taking its name out of here."""

DIRECTIVES = ("continue", "exit", "end")
BUILT_IN_CALLS = ("http", "openapi", "grpc", "asyncapi", "a2a", "mcp")

_FIXED = Uri(expression=False, template=False)
_FIXED_ENDPOINT = Either(text=_FIXED, object=Object("fixed-endpoint"))

SHAPES: dict[str, Shape] = {
    "workflow": Shape(
        "A workflow: what it is called, what it needs, and the tasks that it performs.",
        {
            "document": Field(Object("document"), "Names the workflow.", "A1", required=True),
            "input": Field(Object("input"), "The workflow's input.", "A2", row="workflow-input"),
            "use": Field(Object("use"), "Parts that the tasks refer to by name.", "A3", row="task-body"),
            "do": Field(Tasks(), "The tasks to perform, in order.", "A4", required=True),
            "timeout": Field(TIMEOUT, "How long a run may take: inline, or a name.", "A4", row="workflow-input"),
            "output": Field(Object("output"), "The workflow's output.", "A2", row="workflow-output"),
            "schedule": Field(Object("schedule"), "When runs start by themselves.", "A5", row="schedule"),
            "evaluate": Field(Object("evaluate"), "How expressions are evaluated.", "A6"),
        },
    ),
    "document": Shape(
        "What the workflow is called.",
        {
            "dsl": Field(
                Text(DSL_PATTERN, "a version 1.0.x of the DSL"), "Version of the language.", "A1", required=True
            ),
            "namespace": Field(Text(NAME_PATTERN, NAME_SAYS), "The namespace of the workflow.", "A1", required=True),
            "name": Field(Text(NAME_PATTERN, NAME_SAYS), "The name of the workflow.", "A1", required=True),
            "version": Field(
                Text(VERSION_PATTERN, "a semantic version"), "Version of this document.", "A1", required=True
            ),
            "title": Field(Text(free=True), "A title for people.", "A1"),
            "summary": Field(Text(free=True), "A summary for people, in Markdown.", "A1"),
            "tags": Field(Metadata(of_task=False), "Labels, as keys and values.", "A1"),
            "metadata": Field(Metadata(of_task=False), "Anything else worth keeping.", "A1"),
        },
    ),
    "input": Shape(
        "How input is checked and shaped, in this order.",
        {
            "schema": Field(Object("schema"), "The schema of the raw input.", "A2, C1, C2"),
            "from": Field(DATA, "What becomes of the raw input.", "A2, C1, C2"),
        },
    ),
    "output": Shape(
        "How output is shaped and checked, in this order.",
        {
            "as": Field(DATA, "What becomes of the raw output.", "A2, C3"),
            "schema": Field(Object("schema"), "The schema of the transformed output.", "A2, C3"),
        },
    ),
    "export": Shape(
        "What the task writes into the context.",
        {
            "as": Field(DATA, "The new context.", "C4"),
            "schema": Field(Object("schema"), "The schema of the new context.", "C4"),
        },
    ),
    "use": Shape(
        "Parts that the tasks refer to by name.",
        {
            "authentications": Field(Entries(Object("authentication")), "Authentication policies by name.", "A3, E5"),
            "catalogs": Field(Entries(Object("catalog")), "Catalogs of functions by name.", "A3, E8"),
            "errors": Field(Entries(Object("error")), "Errors by name.", "A3, B14"),
            "extensions": Field(Steps(Object("extension"), what="extension"), "Tasks around other tasks.", "A3, E9"),
            "functions": Field(Entries(Task()), "Functions by name, each one task.", "A3, B8"),
            "retries": Field(
                Entries(Object("retry")), "Retry policies by name.", "A3, B23", binds=(Bind((), "error"),)
            ),
            "secrets": Field(Items(Name()), "The secrets that this workflow may use.", "A3, E7"),
            "timeouts": Field(Entries(Object("timeout")), "Timeouts by name.", "A3, E4"),
        },
    ),
    "timeout": Shape(
        "How long something may take.",
        {"after": Field(Duration(), "The time after which it fails.", "A4, E4", required=True)},
    ),
    "schedule": Shape(
        "When runs start by themselves.",
        {
            "every": Field(Duration(), "A run at this interval.", "A5"),
            "cron": Field(Cron(), "A run at these times: minute, hour, day, month, weekday.", "A5"),
            "after": Field(Duration(), "A run this long after the last one has ended.", "A5"),
            "on": Field(Object("strategy"), "A run for these events.", "A5"),
            "read": Field(READ, "What of each event becomes input.", "A5"),
        },
        one_of=(("every", "cron", "after", "on"),),
        together=(("read", "on"),),
    ),
    "evaluate": Shape(
        "How expressions are evaluated.",
        {
            "language": Field(Choice(("jq",)), "The language of expressions.", "A6"),
            "mode": Field(
                Choice(("strict", "loose")), "Whether a text that fails as an expression is kept as text.", "A6"
            ),
        },
    ),
    "duration": Shape(
        "A span of time: the sum of its parts.",
        {
            "days": Field(Whole(0), "Days.", "B24"),
            "hours": Field(Whole(0), "Hours.", "B24"),
            "minutes": Field(Whole(0), "Minutes.", "B24"),
            "seconds": Field(Whole(0), "Seconds.", "B24"),
            "milliseconds": Field(Whole(0), "Milliseconds.", "B24"),
        },
        minimum=1,
    ),
    "schema": Shape(
        "The schema of a value, written here or elsewhere.",
        {
            "format": Field(
                Text(r"json(?::.+)?", "'json', or 'json:' and a version"), "The kind of schema; json by default.", "B25"
            ),
            "document": Field(JsonSchema(), "The schema itself.", "B25"),
            "resource": Field(Object("fixed-resource"), "Where the schema is.", "B25"),
        },
        one_of=(("document", "resource"),),
    ),
    "resource": Shape(
        "Something at an address.",
        {
            "name": Field(Text(free=True), "A name for people.", "B25"),
            "endpoint": Field(ENDPOINT, "Where it is.", "B2, B25", required=True),
        },
    ),
    "endpoint": Shape(
        "An address and how to authenticate there.",
        {
            "uri": Field(Uri(), "The address: a URI, a URI template or one expression.", "B2, B25", required=True),
            "authentication": Field(POLICY, "How to authenticate.", "B2, E5"),
        },
    ),
    "fixed-resource": Shape(
        "Something at an address that is known before the run: it is fetched when the workflow is published.",
        {
            "name": Field(Text(free=True), "A name for people.", "B25"),
            "endpoint": Field(_FIXED_ENDPOINT, "Where it is.", "B2, B25", required=True),
        },
    ),
    "fixed-endpoint": Shape(
        "An address that is known before the run, and how to authenticate there.",
        {
            "uri": Field(_FIXED, "The address.", "B2, B25", required=True),
            "authentication": Field(POLICY, "How to authenticate.", "B2, E5"),
        },
    ),
    "catalog": Shape(
        "A place that holds functions at functions/{name}/{version}/function.yaml.",
        {"endpoint": Field(_FIXED_ENDPOINT, "Its address.", "E8", required=True)},
    ),
    "extension": Shape(
        "Tasks to perform before and after every task of a kind.",
        {
            "extend": Field(
                Choice(
                    (
                        "call",
                        "composite",
                        "emit",
                        "for",
                        "listen",
                        "raise",
                        "run",
                        "set",
                        "switch",
                        "try",
                        "wait",
                        "all",
                    )
                ),
                "The kind of task that is extended; composite is do and fork.",
                "E9",
                required=True,
            ),
            "when": Field(Expression(), "Whether it applies.", "E9", row="task-entry"),
            "before": Field(Tasks(), "Tasks before it; `then: exit` replaces it.", "E9"),
            "after": Field(Tasks(), "Tasks after it.", "E9"),
        },
        some_of=("before", "after"),
    ),
    **SECURITY_SHAPES,
    **TASK_SHAPES,
    **EVENT_SHAPES,
    **CALL_SHAPES,
}
