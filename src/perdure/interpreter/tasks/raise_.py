"""`raise`: fail with this error, with `instance` added and nothing else (language.md B22, T27)."""

from perdure.interpreter import arguments, dataflow
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.faults import WorkflowFault
from perdure.interpreter.handles import PARTS, SECRET
from perdure.interpreter.outcomes import Outcome
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.templates import whole
from perdure.language.values import Json


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    error = node.definition["raise"]["error"]
    pointer = node.pointer + "/raise/error"
    if isinstance(error, str):
        error = builder.named("errors", error, pointer)
    type_ = error.get("type")
    is_template = isinstance(type_, str) and "{" in type_ and whole(type_) is None
    uri = arguments.uri(builder, type_, around, pointer + "/type") if is_template else None
    node.body = (builder.template(error, "body", around, pointer), uri)


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    template, uri = node.body
    error = dataflow.evaluate(run, frame, template, frame["input"])
    if uri is not None:
        error = {**error, "type": arguments.uri_value(run, frame, uri)}
    if not isinstance(error.get("type"), str) or isinstance(error.get("status"), bool | dict | list | str | None):
        raise dataflow.fault("expression", "An error needs a `type` that is text and a `status` that is a number.")
    for key in ("title", "detail", "instance"):
        if key in error and not _is_text(error[key]):
            raise dataflow.fault("expression", f"An error's `{key}` must be text, not {dataflow.kind(error[key])}.")
    raise WorkflowFault(error)


def _is_text(value: Json) -> bool:
    """Text, or text around a secret, which stays closed."""
    return isinstance(value, str) or (isinstance(value, dict) and (SECRET in value or PARTS in value))
