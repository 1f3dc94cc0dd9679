"""`emit`: publish a CloudEvent; the output is the complete event (language.md B10, T8)."""

from perdure.interpreter import arguments, correlation, dataflow
from perdure.interpreter.commands import Emit
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.events import CallFailed, Event
from perdure.interpreter.faults import WorkflowFault, placed
from perdure.interpreter.outcomes import WAITS, Outcome
from perdure.interpreter.program import Frame, Node
from perdure.interpreter.state import Run
from perdure.language.templates import whole
from perdure.language.values import Json

_TEXTS = ("id", "source", "type", "time", "subject", "datacontenttype", "dataschema")


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    given = node.definition["emit"]["event"]["with"]
    pointer = node.pointer + "/emit/event/with"
    addresses = {
        key: arguments.uri(builder, given[key], around, f"{pointer}/{key}")
        for key in ("source", "dataschema")
        if key in given and whole(given[key]) is None
    }
    node.body = (builder.template(given, "body", around, pointer), addresses)


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    template, addresses = node.body
    given = dataflow.evaluate(run, frame, template, frame["input"])
    if addresses:
        given = {**given, **{key: arguments.uri_value(run, frame, uri) for key, uri in addresses.items()}}
    frame["event"] = _event(run, given)
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
    for key, value in event.items():
        if key in _TEXTS and (not isinstance(value, str) or not value):
            found = "an empty one" if value == "" else dataflow.kind(value)
            raise dataflow.fault("expression", f"An event's `{key}` must be text, not {found}.")
        if key not in _TEXTS and key != "data" and not isinstance(value, str | int | float):
            raise dataflow.fault(
                "expression", f"An event's `{key}` must be text, a number or a boolean, not {dataflow.kind(value)}."
            )
    if "data" in event and "datacontenttype" not in event:
        event["datacontenttype"] = "application/json"
    if correlation.is_answer(event):
        event[correlation.RUN] = run.state["seed"]
    return event


def again(run: Run, node: Node, frame: Frame) -> Outcome:
    command = run.wait(frame, "emit")
    run.commands.append(Emit(id=command, path=frame["path"], event=frame["event"]))
    return WAITS


def answered(run: Run, node: Node, frame: Frame, purpose: str, event: Event) -> Outcome:
    if isinstance(event, CallFailed):
        raise WorkflowFault(placed(event.error, frame))
    return frame["event"]
