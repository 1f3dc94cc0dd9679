"""`emit`: publish a CloudEvent; the output is the complete event (language.md B10, T8)."""

from perdure.interpreter import dataflow
from perdure.interpreter.commands import Emit
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.events import CallFailed, Event
from perdure.interpreter.faults import WorkflowFault
from perdure.interpreter.outcomes import WAITS, Outcome
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.values import Json


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    node.body = builder.template(
        node.definition["emit"]["event"]["with"], "body", around, node.pointer + "/emit/event/with"
    )


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    frame["event"] = _event(run, dataflow.evaluate(run, frame, node.body, frame["input"]))
    return again(run, node, frame)


def _event(run: Run, attributes: dict[str, Json]) -> dict[str, Json]:
    """The author's values win; what is missing is generated, the same in every replay."""
    program = run.program
    event = {
        "specversion": "1.0",
        "id": run.new_id(),
        "source": f"/{program.namespace}/{program.name}/{program.version}",
        "time": dataflow.iso8601(run.now),
    }
    extensions = attributes.get("extensions")
    for key, value in attributes.items():
        if key != "extensions" or not isinstance(value, dict):
            event[key] = value
    if isinstance(extensions, dict):
        event.update(extensions)
    for key in ("id", "source", "type"):
        if not isinstance(event.get(key), str) or not event[key]:
            raise dataflow.fault("expression", f"An event's `{key}` must be text, not {dataflow.kind(event.get(key))}.")
    if "data" in event and "datacontenttype" not in event:
        event["datacontenttype"] = "application/json"
    return event


def again(run: Run, node: Node, frame: Frame) -> Outcome:
    command = run.wait(frame, "emit")
    run.commands.append(Emit(id=command, path=frame["path"], event=frame["event"]))
    return WAITS


def answered(run: Run, node: Node, frame: Frame, purpose: str, event: Event) -> Outcome:
    if isinstance(event, CallFailed):
        raise WorkflowFault({**event.error, "instance": frame["ref"]})
    return frame["event"]
