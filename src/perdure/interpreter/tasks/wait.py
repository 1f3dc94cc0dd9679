"""`wait`: let time pass; the output is the input (language.md B19, T9)."""

from perdure.interpreter import dataflow
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.events import Event
from perdure.interpreter.outcomes import WAITS, Outcome
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    node.body = builder.duration(node.definition["wait"], "body", around, node.pointer + "/wait")


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    due = run.now + dataflow.duration(run, frame, node.body, frame["input"])
    run.timer(frame, "timer", due)
    run.tell("task.status-changed.v1", frame, status="waiting", wait={"kind": "timer", "until": due})
    return WAITS


def answered(run: Run, node: Node, frame: Frame, purpose: str, event: Event) -> Outcome:
    return frame["input"]
