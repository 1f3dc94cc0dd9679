"""`do`: a list of tasks, one after the other (language.md B9)."""

from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.outcomes import Outcome, begin
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    node.body = builder.tasks(node.definition["do"], node.pointer + "/do", around)


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    return begin(frame, node.body, frame["path"] + "/do", frame["input"])


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    return value
