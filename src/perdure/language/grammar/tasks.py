"""The shapes of the twelve kinds of tasks and of what stands in them (language.md B1, B9-B23, E1, E10)."""

from perdure.language.grammar.kinds import (
    NAME_PATTERN,
    NAME_SAYS,
    READ,
    TIMEOUT,
    VERSION_PATTERN,
    Anything,
    Arguments,
    Bind,
    Callable,
    Choice,
    Duration,
    Either,
    Entries,
    Expression,
    Field,
    Flag,
    Items,
    Metadata,
    Number,
    Object,
    Reference,
    Shape,
    Steps,
    Target,
    Tasks,
    Template,
    Text,
    TextValue,
    Variable,
    Whole,
)
from perdure.language.grammar.security import TEXT

LOOP = (Bind(("for", "each"), "item"), Bind(("for", "at"), "index"))
CAUGHT = (Bind(("as",), "error"),)
EACH = (Bind(("item",), "item"), Bind(("at",), "index"))

COMMON: dict[str, Field] = {
    "if": Field(Expression(), "Whether the task is performed at all.", "B1, T4", row="task-entry"),
    "input": Field(Object("input"), "The task's input.", "B1, C2", row="task-entry"),
    "output": Field(Object("output"), "The task's output.", "B1, C3", row="task-output"),
    "export": Field(Object("export"), "What the task writes into the context.", "B1, C4", row="task-export"),
    "timeout": Field(TIMEOUT, "How long the task may take: inline, or a name.", "B1, E4"),
    "then": Field(Target(), "Where to go next: continue, exit, end or a task of this list.", "B1, E1"),
    "metadata": Field(Metadata(), "Anything else; Perdure reads compensate, saga and compete.", "B1"),
}
"""What every task may have."""


def _task(doc: str, own: dict[str, Field]) -> Shape:
    return Shape(doc, {**own, **COMMON})


TASK_KINDS = ("call", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait", "do")
"""The key that makes a task what it is; `do` last, because a `for` has one too."""

_PROCESS: dict[str, Field] = {
    "stdin": Field(TEXT, "What it reads.", "B17"),
    "arguments": Field(
        Either(list=Items(TEXT), object=Entries(Template())), "A list of arguments, or named variables.", "B17"
    ),
    "environment": Field(Entries(TextValue()), "Environment variables.", "B17"),
}

TASK_SHAPES: dict[str, Shape] = {
    "call": _task(
        "Calls a service or a function.",
        {
            "call": Field(Callable(), "What is called.", "B2-B8", required=True),
            "with": Field(Arguments(), "What it is called with.", "B2-B8"),
        },
    ),
    "do": _task(
        "Performs tasks in order.",
        {"do": Field(Tasks(), "The tasks.", "B9", required=True)},
    ),
    "emit": _task(
        "Publishes an event.",
        {"emit": Field(Object("emit-what"), "The event.", "B10", required=True)},
    ),
    "emit-what": Shape(
        "The event to publish.",
        {"event": Field(Object("emit-event"), "The event.", "B10", required=True)},
    ),
    "emit-event": Shape(
        "The event to publish.",
        {"with": Field(Object("event"), "Its attributes.", "B10, E10", required=True)},
    ),
    "for": _task(
        "Performs tasks for each item.",
        {
            "for": Field(Object("for-what"), "What to go through.", "B11", required=True),
            "while": Field(Expression(), "Goes on while this holds.", "B11, T12", binds=LOOP),
            "do": Field(Tasks(), "The tasks for each item.", "B11", required=True, binds=LOOP),
        },
    ),
    "for-what": Shape(
        "What to go through.",
        {
            "each": Field(Variable(), "The variable of the item; item by default.", "B11"),
            "in": Field(
                Either(text=Expression(), list=Items(Template(takes=("object",)))),
                "An expression that gives an array, or an array of objects.",
                "B11, T12",
                required=True,
            ),
            "at": Field(Variable(), "The variable of the index; index by default.", "B11"),
        },
    ),
    "fork": _task(
        "Performs tasks side by side.",
        {"fork": Field(Object("fork-what"), "The branches.", "B12", required=True)},
    ),
    "fork-what": Shape(
        "The branches.",
        {
            "branches": Field(Tasks(branches=True), "The tasks to perform side by side.", "B12, T19", required=True),
            "compete": Field(Flag(), "Whether the first one to complete wins; false by default.", "B12, T20"),
        },
    ),
    "listen": _task(
        "Waits for events.",
        {
            "listen": Field(Object("listen-what"), "The events.", "B13", required=True),
            "foreach": Field(Object("each-event"), "What to do with each event.", "B13"),
        },
    ),
    "listen-what": Shape(
        "The events to wait for.",
        {
            "to": Field(Object("strategy-until"), "The events.", "B13, T13", required=True),
            "read": Field(READ, "What of each event is read; data by default.", "B13"),
        },
    ),
    "each-event": Shape(
        "What to do with each event or message, first in first out.",
        {
            "item": Field(Variable(), "The variable of the item; item by default.", "B13"),
            "at": Field(Variable(), "The variable of the index; index by default.", "B13"),
            "do": Field(Tasks(), "The tasks for each item.", "B13", binds=EACH),
            "output": Field(Object("output"), "The output of each item.", "B13", row="task-output", binds=EACH),
            "export": Field(
                Object("export"), "What each item writes into the context.", "B13", row="task-export", binds=EACH
            ),
        },
    ),
    "raise": _task(
        "Raises an error.",
        {"raise": Field(Object("raise-what"), "The error.", "B14", required=True)},
    ),
    "raise-what": Shape(
        "The error to raise.",
        {
            "error": Field(
                Either(text=Reference("errors"), object=Object("error")), "Inline, or a name.", "B14", required=True
            )
        },
    ),
    "run": _task(
        "Runs a workflow, container, script or shell command.",
        {"run": Field(Object("run-what"), "What runs.", "B15", required=True)},
    ),
    "run-what": Shape(
        "What runs.",
        {
            "container": Field(Object("container"), "A container.", "B16"),
            "script": Field(Object("script"), "A script.", "B17"),
            "shell": Field(Object("shell"), "A shell command.", "B17"),
            "workflow": Field(Object("subflow"), "Another workflow.", "B18"),
            "await": Field(Flag(), "Whether to wait for its end; true by default.", "B15"),
            "return": Field(
                Choice(("stdout", "stderr", "code", "all", "none")),
                "What becomes the output; stdout by default.",
                "B15",
            ),
        },
        one_of=(("container", "script", "shell", "workflow"),),
    ),
    "container": Shape(
        "A container.",
        {
            "image": Field(TEXT, "Its image.", "B16", required=True),
            "name": Field(TEXT, "Its name.", "B16"),
            "command": Field(TEXT, "The command to execute.", "B16"),
            "ports": Field(Entries(Anything()), "Port mappings.", "B16"),
            "volumes": Field(Entries(Anything()), "Volume mappings.", "B16"),
            "environment": Field(Entries(TextValue()), "Environment variables.", "B16"),
            "stdin": Field(TEXT, "What it reads.", "B16"),
            "arguments": Field(Items(TEXT), "Arguments of the command.", "B16"),
            "lifetime": Field(Object("lifetime"), "When it is removed.", "B16"),
            "pullPolicy": Field(Choice(("ifNotPresent", "always", "never")), "When the image is fetched.", "B16"),
        },
    ),
    "lifetime": Shape(
        "When the container is removed.",
        {
            "cleanup": Field(Choice(("always", "never", "eventually")), "Whether it is removed.", "B16", required=True),
            "after": Field(Duration(), "With eventually: how long it is kept.", "B16"),
        },
    ),
    "script": Shape(
        "A script.",
        {
            "language": Field(Choice(("js", "python")), "Its language.", "B17", required=True),
            "code": Field(Text(free=True), "The script.", "B17"),
            "source": Field(Object("resource"), "Where the script is.", "B17"),
            **_PROCESS,
        },
        one_of=(("code", "source"),),
    ),
    "shell": Shape(
        "A shell command.",
        {"command": Field(TEXT, "The command.", "B17", required=True), **_PROCESS},
    ),
    "subflow": Shape(
        "Another workflow.",
        {
            "namespace": Field(Text(NAME_PATTERN, NAME_SAYS), "Its namespace.", "B18", required=True),
            "name": Field(Text(NAME_PATTERN, NAME_SAYS), "Its name.", "B18", required=True),
            "version": Field(
                Text(f"latest|{VERSION_PATTERN}", "a semantic version or 'latest'"),
                "Its version.",
                "B18",
                required=True,
            ),
            "input": Field(Template(takes=("object",)), "Its input.", "B18"),
        },
    ),
    "set": _task(
        "Sets data.",
        {
            "set": Field(
                Either(text=Expression(), object=Entries(Template(), minimum=1)),
                "An object of templates, or one expression.",
                "B20, T1",
                required=True,
            )
        },
    ),
    "switch": _task(
        "Chooses where to go next.",
        {"switch": Field(Steps(Object("case"), minimum=1, what="case"), "The cases.", "B21, T17", required=True)},
    ),
    "case": Shape(
        "A case: the first one that matches counts.",
        {
            "when": Field(Expression(), "Whether it matches; without it, it always does.", "B21"),
            "then": Field(Target(), "Where to go then.", "B21, T17", required=True),
        },
    ),
    "try": _task(
        "Performs tasks and catches their errors.",
        {
            "try": Field(Tasks(), "The tasks.", "B22", required=True),
            "catch": Field(Object("catch"), "What is caught, and what then.", "B22", required=True),
        },
    ),
    "catch": Shape(
        "What is caught, and what then.",
        {
            "errors": Field(Object("catch-errors"), "Which errors.", "B22, T21"),
            "as": Field(Variable(), "The variable of the error; error by default.", "B22"),
            "when": Field(Expression(), "Only if this holds.", "B22, T21", binds=CAUGHT),
            "exceptWhen": Field(Expression(), "Not if this holds.", "B22, T21", binds=CAUGHT),
            "retry": Field(
                Either(text=Reference("retries"), object=Object("retry")),
                "When and how often to try again: inline, or a name.",
                "B22, B23",
                binds=CAUGHT,
            ),
            "do": Field(Tasks(), "What to do about it when no retry is left.", "B22, T22", binds=CAUGHT),
            "then": Field(Target(), "Where to go after that.", "B22, T17"),
        },
    ),
    "catch-errors": Shape(
        "Which errors are caught.",
        {"with": Field(Object("error-filter"), "The values that they have.", "B22, T21")},
    ),
    "retry": Shape(
        "When and how often to try again.",
        {
            "when": Field(Expression(), "Only if this holds.", "B23, T21"),
            "exceptWhen": Field(Expression(), "Not if this holds.", "B23, T21"),
            "delay": Field(Duration(), "The time between attempts.", "B23, T25"),
            "backoff": Field(Object("backoff"), "How that time grows.", "B23, T25"),
            "limit": Field(Object("retry-limit"), "When to give up.", "B23, T24"),
            "jitter": Field(Object("jitter"), "What is added to the delay.", "B23, T25"),
        },
    ),
    "backoff": Shape(
        "How the delay grows.",
        {
            "constant": Field(Object("growth"), "Not at all.", "B23, T25"),
            "linear": Field(Object("growth"), "delay x n.", "B23, T25"),
            "exponential": Field(Object("growth"), "delay x 2^(n-1).", "B23, T25"),
        },
        one_of=(("constant", "linear", "exponential"),),
    ),
    "growth": Shape(
        "Details of the growth.",
        {
            "factor": Field(Number(), "The factor of the growth.", "T25"),
            "maxDelay": Field(Duration(), "The longest delay.", "T25"),
        },
    ),
    "retry-limit": Shape(
        "When to give up.",
        {
            "attempt": Field(Object("attempt-limit"), "Limits of the attempts.", "B23, T24"),
            "duration": Field(Duration(), "How long all attempts may take together.", "B23, T24"),
        },
    ),
    "attempt-limit": Shape(
        "Limits of the attempts.",
        {
            "count": Field(Whole(0), "How many retries, the first run not counted.", "B23, T24"),
            "duration": Field(Duration(), "How long one attempt may take.", "B23, T24"),
        },
    ),
    "jitter": Shape(
        "What is added to the delay, so that not all try again at once.",
        {
            "from": Field(Duration(), "The least.", "B23, T25", required=True),
            "to": Field(Duration(), "The most.", "B23, T25", required=True),
        },
    ),
    "wait": _task(
        "Waits.",
        {"wait": Field(Duration(), "How long.", "B19", required=True)},
    ),
}
