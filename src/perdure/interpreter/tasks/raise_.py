"""`raise`: fail with this error, with `instance` added and nothing else (language.md B22, T27)."""

from perdure.interpreter import dataflow
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.faults import WorkflowFault
from perdure.interpreter.outcomes import Outcome
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    error = node.definition["raise"]["error"]
    pointer = node.pointer + "/raise/error"
    if isinstance(error, str):
        error = builder.named("errors", error, pointer)
    node.body = builder.template(error, "body", around, pointer)


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    error = dataflow.evaluate(run, frame, node.body, frame["input"])
    if not isinstance(error.get("type"), str) or isinstance(error.get("status"), bool | dict | list | str | None):
        raise dataflow.fault("expression", "An error needs a `type` that is text and a `status` that is a number.")
    raise WorkflowFault(error)
