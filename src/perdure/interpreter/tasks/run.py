"""`run.workflow`: another workflow as a run of its own (language.md B15, B18, T9)."""

from perdure.interpreter import dataflow, keys
from perdure.interpreter.commands import StartChild
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.events import ChildCompleted, ChildFailed, Event
from perdure.interpreter.faults import WorkflowFault, placed
from perdure.interpreter.outcomes import WAITS, Outcome
from perdure.interpreter.program import Frame, Node, Site, invalid
from perdure.interpreter.state import Run as Run_


class Child:
    """A compiled `run.workflow`."""

    __slots__ = ("awaited", "input", "name", "namespace", "silent", "version")

    def __init__(self, namespace: str, name: str, version: str, input_: Site) -> None:
        self.namespace = namespace
        self.name = name
        self.version = version
        self.input = input_
        self.awaited = True
        self.silent = False


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    definition = node.definition["run"]
    workflow = definition.get("workflow")
    if workflow is None:
        raise invalid(node.pointer + "/run", "containers, scripts and shell commands are not supported yet.")
    input_ = builder.template(workflow.get("input", {}), "body", around, node.pointer + "/run/workflow/input")
    body = Child(workflow["namespace"], workflow["name"], str(workflow.get("version", "latest")), input_)
    body.awaited = definition.get("await") is not False
    body.silent = definition.get("return") == "none"
    node.body = body


def start(run: Run_, node: Node, frame: Frame) -> Outcome:
    if node.body.awaited:
        return again(run, node, frame)
    run.commands.append(_command(run, node, frame))
    return None if node.body.silent else frame["input"]


def _command(run: Run_, node: Node, frame: Frame) -> StartChild:
    body = node.body
    given = dataflow.evaluate(run, frame, body.input, frame["input"])
    if not isinstance(given, dict):
        raise dataflow.fault("expression", f"The input of a workflow must be an object, not {dataflow.kind(given)}.")
    if "key" not in frame:
        frame["key"] = keys.for_call(run, frame)
    command = run.wait(frame, "child") if body.awaited else run.new_id()
    return StartChild(
        id=command,
        path=frame["path"],
        namespace=body.namespace,
        name=body.name,
        version=body.version,
        input=given,
        awaited=body.awaited,
        key=frame["key"],
    )


def again(run: Run_, node: Node, frame: Frame) -> Outcome:
    """Start the child. After an operator opened a faulted run again this happens anew, with the same key."""
    run.commands.append(_command(run, node, frame))
    return WAITS


def answered(run: Run_, node: Node, frame: Frame, purpose: str, event: Event) -> Outcome:
    del frame["key"]
    if isinstance(event, ChildFailed):
        raise WorkflowFault(placed(event.error, frame))
    assert isinstance(event, ChildCompleted)
    return None if node.body.silent else event.output
