"""`listen`: wait for events (language.md B13, E10, T13 to T15).

The frame holds `wanted` and `until_wanted` (filters as on the wire), `got` (the output so far), `hits` (filters of `all` that
had their event), `queue` (events that wait for `foreach`), `busy` (an iteration is under way) and `full` (no more
events are taken).
"""

from typing import Any

from perdure.interpreter import correlation, dataflow
from perdure.interpreter.commands import Subscribe
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.events import EventReceived
from perdure.interpreter.outcomes import WAITS, Outcome, begin
from perdure.interpreter.program import Frame, Node, Site, invalid
from perdure.interpreter.state import Run
from perdure.language.schemas import Schema
from perdure.language.values import Json, canonical


class Listen:
    """A compiled `listen`."""

    __slots__ = ("filters", "foreach", "mode", "read", "until", "until_filters", "until_mode")

    def __init__(self, mode: str, filters: list[correlation.Filter], read: str) -> None:
        self.mode = mode
        self.filters = filters
        self.read = read
        self.until: Site | None = None
        self.until_mode = ""
        self.until_filters: list[correlation.Filter] = []
        self.foreach: Foreach | None = None


class Foreach:
    """What is done with each event, one after the other."""

    __slots__ = ("at", "export_as", "export_schema", "item", "list", "output_as", "output_schema")

    def __init__(self, item: str, at: str, list_: str | None) -> None:
        self.item = item
        self.at = at
        self.list = list_
        self.output_as: Site | None = None
        self.output_schema: Schema | None = None
        self.export_as: Site | None = None
        self.export_schema: Schema | None = None


def compile(builder: Builder, node: Node, around: Surroundings, targets: dict[str, int] | None) -> None:
    listen = node.definition["listen"]
    pointer = node.pointer + "/listen/to"
    mode, filters = _strategy(builder, listen["to"], around, pointer)
    body = Listen(mode, filters, listen.get("read", "data"))
    until = listen["to"].get("until") if mode == "any" else None
    if isinstance(until, str):
        body.until = builder.field(until, "body", around, pointer + "/until")
    elif until is not None:
        body.until_mode, body.until_filters = _strategy(builder, until, around, pointer + "/until")
    if node.definition.get("foreach") is not None:
        body.foreach = _foreach(builder, node, node.definition["foreach"], around)
    node.body = body


def _strategy(
    builder: Builder, definition: dict[str, Any], around: Surroundings, pointer: str
) -> tuple[str, list[correlation.Filter]]:
    for mode in ("one", "all", "any"):
        if mode in definition:
            items = [definition["one"]] if mode == "one" else definition[mode]
            made = [
                correlation.compile_filter(builder, item, around, f"{pointer}/{mode}/{index}")
                for index, item in enumerate(items)
            ]
            return mode, made
    raise invalid(pointer, "one of `one`, `all` and `any` is expected.")


def _foreach(builder: Builder, node: Node, definition: dict[str, Any], around: Surroundings) -> Foreach:
    pointer = node.pointer + "/listen/foreach"
    names = (definition.get("item", "item"), definition.get("at", "index"))
    tasks = definition.get("do")
    list_ = None if tasks is None else builder.tasks(tasks, pointer + "/do", around.adding(*names))
    made = Foreach(*names, list_)
    output, export = definition.get("output") or {}, definition.get("export") or {}
    made.output_as = builder.transformation(output.get("as"), "output", around, pointer + "/output/as", own=names)
    made.output_schema = builder.schema(output.get("schema"), pointer + "/output/schema")
    made.export_as = builder.transformation(export.get("as"), "export", around, pointer + "/export/as", own=names)
    made.export_schema = builder.schema(export.get("schema"), pointer + "/export/schema")
    return made


# At run time


def start(run: Run, node: Node, frame: Frame) -> Outcome:
    body = node.body
    frame["wanted"] = correlation.on_wire(run, frame, body.filters)
    frame["until_wanted"] = correlation.on_wire(run, frame, body.until_filters)
    frame.update(got=[], hits=[], until_hits=[], queue=[], busy=False, full=False)
    frame["since"] = run.state["seq"]
    if body.mode == "all" and not body.filters:
        return []
    if _correlates(body):
        run.tell("workflow.correlation-started.v1", frame)
    run.place(frame)
    outcome: Outcome = WAITS
    for event in correlation.kept(run):  # T14: what came before its subscription
        answer = _offer(run, node, frame, event)
        if answer is not False:
            correlation.take_out(run, event)
            outcome = answer if outcome is WAITS else outcome
        if frame["full"]:
            return outcome
    again(run, node, frame)
    return outcome


def _correlates(body: Listen) -> bool:
    return any(filter_.correlate for filter_ in body.filters)


def again(run: Run, node: Node, frame: Frame) -> Outcome:
    """Subscribe. After an operator opened a faulted run again this happens anew."""
    command = run.wait(frame, "listen")
    run.commands.append(Subscribe(id=command, path=frame["path"], filters=frame["wanted"]))
    if node.body.until_mode:
        command = run.wait(frame, "until")
        run.commands.append(Subscribe(id=command, path=frame["path"] + "/until", filters=frame["until_wanted"]))
    run.tell("task.status-changed.v1", frame, status="waiting", wait={"kind": "event", **_types(frame["wanted"])})
    return WAITS


def _types(filters: list[dict[str, Any]]) -> dict[str, Json]:
    """The event types that would do, for people to read; nothing when any type may."""
    types = [one["with"].get("type") for one in filters]
    if not types or not all(isinstance(type, str) for type in types):
        return {}
    return {"types": list(dict.fromkeys(types))}


def received(run: Run, node: Node, frame: Frame, purpose: str, event: EventReceived) -> Outcome:
    """An event came for one of our subscriptions. False: it is none of ours, and nothing has changed."""
    if not correlation.is_new(run, frame, purpose, event.event) or correlation.is_forged(run, frame, event.event):
        return False
    if purpose == "until":
        return _stop(run, node, frame, event.event)
    return _offer(run, node, frame, event.event)


def _stop(run: Run, node: Node, frame: Frame, event: correlation.Event) -> Outcome:
    """An event of the `until` strategy; it is not part of the output (T13)."""
    body = node.body
    for index, filter_ in enumerate(body.until_filters):
        if index in frame["until_hits"]:
            continue
        if correlation.matches(run, frame, filter_, frame["until_wanted"][index], event) is not None:
            frame["until_hits"].append(index)
            correlation.mark(run, frame, "until", event, taken=True)
            if body.until_mode != "all" or len(frame["until_hits"]) == len(body.until_filters):
                return _fill(run, frame)
            return WAITS
    if body.until_mode == "any" and not body.until_filters:
        return _fill(run, frame)
    return False


def _is_stop(run: Run, body: Listen, frame: Frame, event: correlation.Event) -> bool:
    """Whether the `until` strategy takes the event, whichever of the two subscriptions hears of it first."""
    if body.until_mode == "any" and not body.until_filters:
        return True
    filters = zip(body.until_filters, frame["until_wanted"], strict=True)
    return any(correlation.matches(run, frame, filter_, wire, event) is not None for filter_, wire in filters)


def _fill(run: Run, frame: Frame) -> Outcome:
    """No more events are taken."""
    frame["full"] = True
    run.give_up_for(frame, ("listen", "until"))
    return WAITS if frame["busy"] else _finish(run, frame)


def _finish(run: Run, frame: Frame) -> Outcome:
    if _correlates(run.program.nodes[frame["node"]].body):
        found = dict(run.state["correlations"])
        run.tell("workflow.correlation-completed.v1", frame, correlationKeys=found)
    return frame["got"]


def _offer(run: Run, node: Node, frame: Frame, event: correlation.Event) -> Outcome:
    """Take the event if a filter does, and the `until` strategy does not: that one is never in the output (T13)."""
    body = node.body
    if body.until_mode and _is_stop(run, body, frame, event):
        return False
    if not body.filters and body.mode == "any":
        return _take(run, node, frame, event, {})
    surplus = False
    for index, filter_ in enumerate(body.filters):
        found = correlation.matches(run, frame, filter_, frame["wanted"][index], event)
        if found is None:
            continue
        if body.mode != "all":
            return _take(run, node, frame, event, found)
        if index not in frame["hits"]:
            frame["hits"].append(index)
            return _take(run, node, frame, event, found)
        surplus = True
    if surplus:
        correlation.mark(run, frame, "listen", event, taken=False)
        correlation.keep(run, event)
        return WAITS
    return False


def _take(run: Run, node: Node, frame: Frame, event: correlation.Event, found: dict[str, Json]) -> Outcome:
    """The event is ours."""
    body = node.body
    for name, value in found.items():
        run.state["correlations"].setdefault(name, value)
    correlation.mark(run, frame, "listen", event, taken=True)
    enough = body.mode == "one" or (body.mode == "all" and len(frame["hits"]) == len(body.filters))
    enough = enough or (body.mode == "any" and body.until is None and not body.until_mode)
    if enough:
        frame["full"] = True
        run.give_up_for(frame, ("listen", "until"))
    if body.foreach is not None:
        frame["queue"].append(event)
        return WAITS if frame["busy"] else _iterate(run, node, frame)
    frame["got"].append(read(event, body.read))
    if enough or _is_until(run, node, frame):
        return _fill(run, frame)
    return WAITS


def _is_until(run: Run, node: Node, frame: Frame) -> bool:
    """The `until` expression is tested after each event, on the array so far (T13)."""
    return node.body.until is not None and dataflow.condition(run, frame, node.body.until, frame["got"])


def read(event: correlation.Event, how: str) -> Json:
    """An event as the task sees it: its data, the envelope, or the data as text."""
    if how == "envelope":
        return event
    data = event["data"] if "data" in event else event.get("data_base64")
    if how == "data" or isinstance(data, str):
        return data
    return canonical(data).decode()


def _iterate(run: Run, node: Node, frame: Frame) -> Outcome:
    """The next event of the queue, first in, first out (T13)."""
    body, each = node.body, node.body.foreach
    while frame["queue"]:
        event = frame["queue"].pop(0)
        number = frame["iteration"] = frame.get("iteration", -1) + 1
        item = read(event, body.read)
        frame["vars"] = {each.item: item, each.at: number}
        if each.list is not None:
            frame["busy"] = True
            return begin(frame, each.list, f"{frame['path']}#{number}/foreach/do", frame["input"])
        if _iterated(run, node, frame, item):
            return _fill(run, frame)
    frame["busy"] = False
    return _finish(run, frame) if frame["full"] else WAITS


def _iterated(run: Run, node: Node, frame: Frame, value: Json) -> bool:
    """One event is through `foreach`. Whether it was the last one."""
    each = node.body.foreach
    frame["output"] = value
    if each.output_as is not None:
        value = dataflow.evaluate(run, frame, each.output_as, value)
    if each.output_schema is not None:
        dataflow.validate(each.output_schema, value, "item's output")
    frame["transformed"] = value
    if each.export_as is not None or each.export_schema is not None:
        dataflow.export(run, frame, value, each.export_as, each.export_schema)
    del frame["output"], frame["transformed"]
    frame["got"].append(value)
    if not _is_until(run, node, frame):
        return False
    for event in frame["queue"]:
        correlation.keep(run, event)
    frame["queue"] = []
    frame["busy"] = False
    return True


def list_done(run: Run, node: Node, frame: Frame, value: Json) -> Outcome:
    """One event is through the list of `foreach`."""
    if "ending" in frame:
        return value
    if _iterated(run, node, frame, value):
        return _fill(run, frame)
    return _iterate(run, node, frame)
