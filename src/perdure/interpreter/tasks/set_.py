"""`set`: the output is this value; it replaces, it never merges (language.md B20, T1)."""

from perdure.interpreter import dataflow
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.outcomes import Outcome
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    node.body = builder.transformation(node.definition["set"], "body", around, node.pointer + "/set")


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    return dataflow.evaluate(run, frame, node.body, frame["input"])
