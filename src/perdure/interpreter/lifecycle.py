"""How a run begins and ends, and the lifecycle CloudEvents of the specification (language.md L1 to L3, A7).

The machine tells the timeline in `Lifecycle` commands, lean; `cloud_event` adds what the specification's events carry
besides (`name`, `workflow`, `task`, `startedAt`, ...), which follows from the run's identity.
"""

from typing import Any

from perdure.interpreter import dataflow
from perdure.interpreter.commands import LIFECYCLE, Cancelled, Complete, Fault, Lifecycle
from perdure.interpreter.faults import Problem, WorkflowFault
from perdure.interpreter.outcomes import WAITS, Outcome
from perdure.interpreter.program import Frame, Node, Program
from perdure.interpreter.state import Run
from perdure.language.values import Json

MOMENTS: dict[str, str] = {
    "created": "createdAt",
    "started": "startedAt",
    "suspended": "suspendedAt",
    "resumed": "resumedAt",
    "correlation-started": "startedAt",
    "correlation-completed": "completedAt",
    "retried": "retriedAt",
    "cancelled": "cancelledAt",
    "faulted": "faultedAt",
    "completed": "completedAt",
    "status-changed": "updatedAt",
}
"""What happened -> the key of its time. What is not here (`skipped`, `progress`) is for our timeline only."""

WATCHED = frozenset({"workflow.started.v1", "workflow.completed.v1", "workflow.faulted.v1", "workflow.cancelled.v1"})
"""All that is told of a run which itself listens for lifecycle events: runs would wake each other for ever."""

ENDED = frozenset({"completed", "faulted", "cancelled"})


def root_frame(run: Run) -> Frame:
    """The frame of the run itself; its list is the workflow's `do`."""
    return {
        "path": "",
        "node": "",
        "ref": "",
        "kind": "workflow",
        "parent": None,
        "scope": "",
        "started": run.now,
        "context": {},
        "list": "/do",
        "prefix": "/do",
        "pc": 0,
        "value": run.state["input"],
    }


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    """The last task is through: C5, and the run is over. Faults here have `/output` as their instance."""
    try:
        if node.output_as is not None:
            value = dataflow.evaluate(run, frame, node.output_as, value)
        if node.output_schema is not None:
            dataflow.validate(node.output_schema, value, "workflow's output")
    except WorkflowFault as failed:
        raise WorkflowFault({**failed.problem, "instance": "/output"}) from None
    completed(run, value)
    return WAITS


def begin(run: Run) -> Frame:
    """C1: the run begins. Faults here have `/input` or `/timeout` as their instance."""
    frame = root_frame(run)
    run.frames[""] = frame
    node = run.program.nodes[""]
    program = run.program
    definition = {"namespace": program.namespace, "name": program.name, "version": program.version}
    run.tell("workflow.started.v1", definition=definition, input=run.state["raw"])
    instance = "/input"
    try:
        raw = run.state["raw"]
        if node.input_schema is not None:
            dataflow.validate(node.input_schema, raw, "workflow's input")
        if node.input_from is not None:
            frame["value"] = dataflow.evaluate(run, frame, node.input_from, raw)
        run.state["input"] = frame["value"]
        if node.after is not None:
            instance = "/timeout"
            limit = dataflow.duration(run, frame, node.after, frame["value"])
            frame["deadline"] = run.now + limit
            run.timer(frame, "timeout", run.now + limit)
    except WorkflowFault as failed:
        raise WorkflowFault({**failed.problem, "instance": instance}) from None
    return frame


def completed(run: Run, output: Json) -> None:
    """The run is over with this output."""
    _close(run)
    run.state["output"] = output
    run.tell("workflow.completed.v1", output=output)
    run.show("completed")
    run.commands.append(Complete(output=output))


def cancelled(run: Run) -> None:
    """The run is over without output."""
    _close(run)
    run.tell("workflow.cancelled.v1")
    run.show("cancelled")
    run.commands.append(Cancelled())


def faulted(run: Run, problem: Problem, parked: dict[str, Any]) -> None:
    """The run is over with a problem. Its frames stay, and what it waited for in `parked`, for `operator.py`."""
    state = run.state
    state["fault"] = {**parked, "error": problem}
    state["parked"] = {command: run.waits[command] for command in run.waits}
    for command in list(run.waits):
        run.give_up(command)
    for frame in run.frames.values():
        frame.pop("waits", None)
    state["error"] = problem
    run.tell("workflow.faulted.v1", error=problem)
    run.show("faulted")
    run.commands.append(Fault(error=problem))


def _close(run: Run) -> None:
    """Nothing of an ended run is needed any more."""
    for command in list(run.waits):
        run.give_up(command)
    run.frames.clear()
    run.ready.clear()
    state = run.state
    state["sagas"] = {}
    state["keys"] = {}
    state["inbox"] = {"kept": [], "seen": {}}
    for key in ("held", "fault", "parked", "error"):
        state.pop(key, None)


def qualified_name(program: Program, run: str) -> str:
    """The name of a run in lifecycle events."""
    return f"{program.name}-{run}.{program.namespace}"


def is_told(program: Program, entry: Lifecycle) -> bool:
    """Whether a line of the timeline is a lifecycle event for other runs."""
    if program.watches:
        return entry.type in WATCHED
    return entry.type.split(".")[1] in MOMENTS


def cloud_event(program: Program, run: str, number: int, entry: Lifecycle) -> dict[str, Json]:
    """The specification's lifecycle CloudEvent for a line of the timeline, `number` in the run's history."""
    return {
        "specversion": "1.0",
        "id": f"{run}-{number}",
        "source": f"/{program.namespace}/{program.name}/{program.version}",
        "type": LIFECYCLE + entry.type,
        "subject": run,
        "time": dataflow.iso8601(entry.now),
        "datacontenttype": "application/json",
        "data": _data(program, run, number, entry),
    }


def _data(program: Program, run: str, number: int, entry: Lifecycle) -> dict[str, Json]:
    what, happened = entry.type.split(".")[:2]
    name = qualified_name(program, run)
    data: dict[str, Json] = {"name": name} if what == "workflow" else {"workflow": name, "task": entry.ref}
    data[MOMENTS[happened]] = dataflow.iso8601(entry.now)
    for key in ("definition", "error", "correlationKeys", "status"):
        if key in entry.data:
            data[key] = entry.data[key]
    if happened == "completed":
        data["outputUri"] = f"urn:perdure:run:{run}" + (f":entry:{number}" if what == "task" else "")
    return data
