"""`call`: a function of the document, of a catalog, or HTTP and OpenAPI (language.md B2, B3, B8, E8).

A function of the document is a task of its own, entered with the evaluated `with`; all others are effects, given out
as one command and answered by one event.
"""

from typing import Any

from perdure.interpreter import arguments, budget_hold, dataflow, keys
from perdure.interpreter.commands import ScheduleCall
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.events import CallCompleted, CallFailed, Event
from perdure.interpreter.faults import WorkflowFault, placed
from perdure.interpreter.outcomes import WAITS, Outcome, begin
from perdure.interpreter.program import Frame, Node, Site, invalid
from perdure.interpreter.state import Run
from perdure.language.values import Json

_LATER = ("grpc", "asyncapi", "a2a", "mcp")

AGENT = "agent"
APPROVE = "approve"
OWN = {AGENT: "agent", APPROVE: "approval"}
"""Functions of the default catalog that the machine runs itself (5.3, 5.4) -> the kind of task that each is."""

_NOTHING = Site(None, (), {})

DEEPEST = 100
"""Functions of the document that call functions, at most."""


class Call:
    """A compiled call: `function` in the function table, or the `list` that a function of the document is."""

    __slots__ = ("authentication", "authorization", "constant", "endpoint", "function", "list", "version", "with_")

    def __init__(self, function: str, with_: Site) -> None:
        self.function = function
        self.version: str | None = None
        self.with_ = with_
        self.list: str | None = None
        self.endpoint: arguments.Endpoint | None = None
        self.authentication: arguments.Authentication | None = None
        self.authorization: dict[str, Json] | None = None
        self.constant: dict[str, Json] = {}


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    name = node.definition["call"]
    pointer = node.pointer
    if name in _LATER:
        raise invalid(pointer + "/call", f"`call: {name}` is not supported yet.")
    with_ = node.definition.get("with")
    if name in ("http", "openapi"):
        if not isinstance(with_, dict):
            raise invalid(pointer + "/with", "the arguments of the call are missing.")
        node.body = (_http if name == "http" else _openapi)(builder, with_, around, pointer + "/with")
        return
    node.body = Call(name, _NOTHING)
    _resolve(builder, node.body, name, pointer + "/call")
    if node.body.list is None and node.body.function in OWN:
        builder.kinds[OWN[node.body.function]].compile(builder, node, around, targets)
    else:
        node.body.with_ = builder.template({} if with_ is None else with_, "body", around, pointer + "/with")


def _http(builder: Builder, with_: dict[str, Any], around: Surroundings, pointer: str) -> Call:
    computed = {key: with_[key] for key in ("method", "headers", "query", "body") if key in with_}
    body = Call("http", builder.template(computed, "body", around, pointer))
    body.constant = {key: with_[key] for key in ("output", "redirect") if key in with_}
    body.endpoint = arguments.endpoint(builder, with_.get("endpoint"), around, pointer + "/endpoint")
    if body.endpoint.authentication is not None:
        body.authorization = body.endpoint.authentication.authorization
    return body


def _openapi(builder: Builder, with_: dict[str, Any], around: Surroundings, pointer: str) -> Call:
    computed = {key: with_[key] for key in ("parameters",) if key in with_}
    body = Call("openapi", builder.template(computed, "body", around, pointer))
    body.constant = {key: with_[key] for key in ("operationId", "output", "redirect") if key in with_}
    document = (with_.get("document") or {}).get("endpoint")
    body.endpoint = arguments.endpoint(builder, document, around, pointer + "/document/endpoint")
    policy = with_.get("authentication")
    body.authentication = arguments.authentication(builder, policy, around, pointer + "/authentication")
    if body.authentication is not None:
        body.authorization = body.authentication.authorization
    return body


def _resolve(builder: Builder, body: Call, name: str, pointer: str) -> None:
    """Where a function comes from: this document, an outside catalog, an address, or the default catalog (B8, E8)."""
    own = (builder.use.get("functions") or {}).get(name)
    if own is not None:
        body.list = builder.function(f"/use/functions/{name.replace('~', '~0').replace('/', '~1')}", name, own)
        return
    address = name if "://" in name else _address(builder, name, pointer)
    if address is not None:
        if address not in builder.program.resources:
            raise invalid(pointer, f"the function at {address} was not fetched.")
        body.list = builder.function("/functions/" + address, name, builder.program.resources[address])
        return
    bare = name.partition("@")[0]
    body.function, _colon, version = bare.partition(":")
    body.version = version or None
    if builder.functions is not None and builder.functions.schema_of(body.function, body.version) is None:
        raise invalid(pointer, f"there is no function {name!r}.")


def _address(builder: Builder, name: str, pointer: str) -> str | None:
    """Where `name:version@catalog` stands; None for the default catalog."""
    bare, _at, catalog = name.partition("@")
    if catalog in ("", "default"):
        return None
    function, _colon, version = bare.partition(":")
    where = builder.named("catalogs", catalog, pointer).get("endpoint")
    base = where.get("uri") if isinstance(where, dict) else where
    return f"{str(base).rstrip('/')}/functions/{function}/{version}/function.yaml"


# At run time


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    body = node.body
    if body.list is not None:
        return _function(run, node, frame)
    return again(run, node, frame)


def _function(run: Run, node: Node, frame: Frame) -> Outcome:
    """A function of the document: its task is a child whose raw input is the evaluated `with`."""
    descend(run, frame)
    given = dataflow.evaluate(run, frame, node.body.with_, frame["input"])
    return begin(frame, node.body.list, frame["path"], given)


def descend(run: Run, frame: Frame) -> None:
    """What this task does from now on shows under its own place in the document."""
    frame["at"] = frame["ref"]
    frame["depth"] = run.frames[frame["parent"]].get("depth", 0) + 1
    if frame["depth"] > DEEPEST:
        raise dataflow.fault("runtime", f"Functions call functions more than {DEEPEST} deep.")


def _arguments(run: Run, body: Call, frame: Frame) -> Json:
    made = dataflow.evaluate(run, frame, body.with_, frame["input"])
    if body.endpoint is None:
        return made
    where = arguments.endpoint_value(run, frame, body.endpoint)
    if body.function == "http":
        made = {**made, **body.constant, "endpoint": where}
        for key in ("headers", "query"):
            if key in made:
                made[key] = arguments.texts(made[key], key)
        return made
    made = {**made, **body.constant, "document": {"endpoint": where}}
    if body.authentication is not None:
        made["authentication"] = arguments.policy_value(run, frame, body.authentication)
    return made


def again(run: Run, node: Node, frame: Frame) -> Outcome:
    """Give the call out. After an operator opened a faulted run again this happens anew, with the same key."""
    return give_out(run, frame, node.body, _arguments(run, node.body, frame))


def give_out(run: Run, frame: Frame, body: Call, args: Json) -> Outcome:
    """One call of a function of the table, for this frame."""
    budget_hold.go_on(frame)
    if "key" not in frame:
        frame["key"] = keys.for_call(run, frame)
    command = run.wait(frame, "call")
    run.commands.append(
        ScheduleCall(
            id=command,
            path=frame["path"],
            ref=frame["ref"],
            function=body.function,
            version=body.version,
            args=args,
            key=frame["key"],
            attempt=_attempt(run, frame),
            deadline=frame.get("deadline"),
        )
    )
    return WAITS


def _attempt(run: Run, frame: Frame) -> int:
    """Which attempt of the nearest `try` this is, or of the task itself when an operator retried it."""
    if "~" not in frame["path"]:
        return 1
    above: Frame | None = frame
    while above is not None:
        if above.get("attempt", 1) > 1:
            number: int = above["attempt"]
            return number
        above = None if above["parent"] is None else run.frames[above["parent"]]
    return 1


def answered(run: Run, node: Node, frame: Frame, purpose: str, event: Event) -> Outcome:
    if purpose == "renewal":
        return budget_hold.fired(run, node, frame)
    if isinstance(event, CallFailed):
        if budget_hold.is_hold(event):
            return budget_hold.begin(run, frame, event.error)
        if event.outcome == "definite":
            del frame["key"]
        raise WorkflowFault(placed(event.error, frame))
    assert isinstance(event, CallCompleted)
    if event.usage is not None:
        frame["usage"] = event.usage
    return event.output


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    return value
