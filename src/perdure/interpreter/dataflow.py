"""Data flow (language.md C1 to C5, T1 to T8): what a task gets, what it gives, and the arguments of table 1.1.

Arguments are built lazily: a site knows the `$names` it uses, and only those are made.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from perdure.interpreter.faults import WorkflowFault, problem
from perdure.interpreter.program import Frame, Node, Site
from perdure.interpreter.state import Run
from perdure.language.durations import milliseconds
from perdure.language.expressions import ExpressionFault
from perdure.language.schemas import Schema
from perdure.language.values import Json

_NONE: dict[str, Json] = {}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# Arguments (1.1)


def moment(now: int) -> dict[str, Json]:
    """A date-time as expressions see it."""
    text = iso8601(now)
    return {"iso8601": text, "epoch": {"seconds": now // 1000, "milliseconds": now}}


def iso8601(now: int) -> str:
    """RFC 3339 text in UTC, with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=now)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def raw_of(frame: Frame) -> Json:
    """The raw input of a task; kept apart only where it differs from the transformed one."""
    return frame["raw"] if "raw" in frame else frame["input"]


def context(run: Run, frame: Frame) -> Json:
    """`$context` as this task sees it: the run's, or that of its branch (T11)."""
    scope = run.frames[frame["scope"]]
    if "context" not in scope:  # a branch that has exported nothing yet
        return run.frames[scope["parent"]]["context"]
    return scope["context"]


def _task(run: Run, frame: Frame) -> Json:
    node = run.program.nodes[frame["node"]]
    described = {
        "name": node.name,
        "reference": frame["ref"],
        "definition": node.definition,
        "input": raw_of(frame),
        "startedAt": moment(frame["started"]),
    }
    if "output" in frame:
        described["output"] = frame["output"]
    return described


def _extended(run: Run, frame: Frame) -> Json:
    """Inside an extension `$task` is the task that it extends (E9)."""
    while frame["kind"] != "extended":
        frame = run.frames[frame["parent"]]
    return _task(run, frame)


def _workflow(run: Run, frame: Frame) -> Json:
    state = run.state
    return {
        "id": state["id"],
        "definition": run.program.document,
        "input": state["raw"],
        "startedAt": moment(state["started"]),
    }


def _authorization(run: Run, frame: Frame) -> Json:
    return getattr(run.program.nodes[frame["node"]].body, "authorization", None)


SOURCES: dict[str, Callable[[Run, Frame], Json]] = {
    "context": context,
    "input": lambda run, frame: frame["input"],
    "output": lambda run, frame: frame["output"],
    "transformed": lambda run, frame: frame["transformed"],
    "task": _task,
    "extended": _extended,
    "workflow": _workflow,
    "runtime": lambda run, frame: run.state["runtime"],
    "authorization": _authorization,
}


def _variable(run: Run, frame: Frame, name: str) -> Json:
    """A loop or catch variable: the innermost one of that name (T12). The text guarantees that there is one."""
    while True:
        variables = frame.get("vars")
        if variables is not None and name in variables:
            return variables[name]
        frame = run.frames[frame["parent"]]


def arguments(run: Run, frame: Frame, site: Site) -> dict[str, Json]:
    """The `$names` this site uses, and no others."""
    made = {}
    for name, source in site.plan:
        if source == "own":
            made[name] = _variable(run, frame, name)
        elif source == "variable":
            made[name] = _variable(run, run.frames[frame["parent"]], name)
        else:
            made[name] = SOURCES[source](run, frame)
    return made


# Evaluation


def fault(name: str, detail: str, **more: Any) -> WorkflowFault:
    """A fault of a standard type."""
    return WorkflowFault(problem(name, detail=detail, **more))


def evaluate(run: Run, frame: Frame, site: Site, value: Json) -> Json:
    """What the site gives for `.` = value. WorkflowFault `expression` when it fails."""
    evaluable = site.evaluable
    if evaluable is None:
        return site.constant
    try:
        return evaluable.evaluate(value, arguments(run, frame, site) if site.plan else _NONE)
    except ExpressionFault as failed:
        raise fault("expression", failed.message) from None


def condition(run: Run, frame: Frame, site: Site, value: Json) -> bool:
    """A condition; anything but a boolean is an expression fault (T32)."""
    result = evaluate(run, frame, site, value)
    if result is True or result is False:
        return result
    raise fault("expression", f"A condition must give true or false, not {kind(result)}.")


def kind(value: Json) -> str:
    """What a value is, in words."""
    for type_, word in ((bool, "a boolean"), (str, "text"), (list, "an array"), (dict, "an object")):
        if isinstance(value, type_):
            return word
    return "null" if value is None else "a number"


def duration(run: Run, frame: Frame, site: Site, value: Json) -> int:
    """A duration in milliseconds (B24)."""
    if site.is_constant:
        whole: int = site.constant
        return whole
    text = evaluate(run, frame, site, value)
    try:
        return milliseconds(text)
    except ValueError as error:
        raise fault("expression", str(error)) from None


def validate(schema: Schema, value: Json, what: str) -> None:
    """WorkflowFault `validation`/400 when the value does not fit (C5)."""
    try:
        violation = schema.violation(value)
    except ValueError as error:
        violation = str(error)
    if violation is not None:
        raise fault("validation", f"The {what} does not fit its schema: {violation}")


# The order of C2 to C5


def entered(run: Run, node: Node, frame: Frame) -> None:
    """C2, after `if`: the schema and then `input.from`, both on the raw input."""
    raw = frame["raw"]
    if node.input_schema is not None:
        validate(node.input_schema, raw, "task's input")
    if node.input_from is not None:
        frame["input"] = evaluate(run, frame, node.input_from, raw)


def left(run: Run, node: Node, frame: Frame, output: Json) -> Json:
    """C3 and C4: the transformed output; the context has changed when the task exports."""
    frame["output"] = output
    if node.output_as is not None:
        output = evaluate(run, frame, node.output_as, output)
    if node.output_schema is not None:
        validate(node.output_schema, output, "task's output")
    if node.export_as is not None or node.export_schema is not None:
        frame["transformed"] = output
        export(run, frame, output, node.export_as, node.export_schema)
    return output


def export(run: Run, frame: Frame, value: Json, site: Site | None, schema: Schema | None) -> None:
    """C4: what the export gives replaces the context."""
    exported = context(run, frame) if site is None else evaluate(run, frame, site, value)
    if schema is not None:
        validate(schema, exported, "exported context")
    if site is not None:
        run.context_frame(frame)["context"] = exported
