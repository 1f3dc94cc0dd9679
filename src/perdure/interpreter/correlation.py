"""Which events a run takes (language.md E10, T14, T15): filters, correlation, and events kept for later.

On the wire (`Subscribe.filters`) a filter is `{"with": {attribute: literal or {"expression": text}}, "correlate":
{name: {"from": text, "expect": value}}}`. Literals mean equality, expressions are predicates that only the machine
can decide, since they see the run's arguments.
"""

from hashlib import blake2b
from typing import Any

from perdure.interpreter import dataflow
from perdure.interpreter.commands import LIFECYCLE
from perdure.interpreter.compiler import Builder, Surroundings
from perdure.interpreter.program import Frame, Program, Site, invalid
from perdure.interpreter.state import Run
from perdure.language.expressions import ExpressionFault, json_text
from perdure.language.templates import compile_field, whole
from perdure.language.values import Json, same

Event = dict[str, Json]

KEPT = 1_000
"""Events kept for later subscriptions, and marks of events seen, at most."""

RETENTION = 7 * 86_400_000
"""Milliseconds that an event nobody took is kept inside the run."""


ANSWERS = frozenset(
    {
        "dev.perdure.approval.decided.v1",
        "dev.perdure.question.answered.v1",
        "dev.perdure.run.repaired.v1",
        "dev.perdure.budget.settled.v1",
    }
)
"""Types that tell what a person decided (5.4), or what became of a budget (5.3)."""
RUN = "perdurerun"
"""The attribute that says which run emitted an event of our own types: a document cannot choose it. An answer has that of
the run that asked, when that was a document: who asks under another's id decides nothing of his."""
OURS = ("dev.perdure.", LIFECYCLE)
"""How types begin that a document does not tell without its name, and under no other source than its own."""

_NOTHING = Surroundings()


def could_match(filters: list[dict[str, Any]], event: Event) -> bool:
    """Whether one of the filters might take the event, as far as this can be said outside the run. Never raises."""
    if not filters:
        return not is_lifecycle(event)
    return any(_could_match(filter_, event) for filter_ in filters)


def is_answer(event: Event) -> bool:
    type = event.get("type")
    return isinstance(type, str) and type in ANSWERS


def is_forged(run: Run, frame: Frame, event: Event) -> bool:
    """Whether another run emitted an answer to what was asked of somebody by name, or asked for it: who may write documents
    is not who is asked (5.4). What anybody may decide, anybody may let a document decide."""
    told = event.get(RUN, run.state["seed"])
    if not is_answer(event) or told == run.state["seed"] or told in run.state.get("origins", ()):
        return False
    asked = frame["input"]
    data = asked.get("data") if isinstance(asked, dict) else None
    return isinstance(data, dict) and bool(data.get("to"))


def signed(event: Event, seed: str, program: Program) -> Event:
    """An event as a run emits it: one of our own types bears its name, and the source that its document has. Who could
    choose it would take the place of another's question, whose id can be reckoned, or ask in another project."""
    type = event.get("type")
    if not isinstance(type, str) or not type.startswith(OURS):
        return event
    return {**event, RUN: seed, "source": f"/{program.namespace}/{program.name}/{program.version}"}


def is_lifecycle(event: Event) -> bool:
    """Whether it tells of a run's own steps. Such events go only to filters that name such a type: who listens to
    everything would wake itself."""
    type = event.get("type")
    return isinstance(type, str) and type.startswith(LIFECYCLE)


def watched(wanted: dict[str, Json]) -> str | None:
    """The lifecycle type that the `with` of a filter (as on the wire) names, '' for an expression about them, or None."""
    type = wanted.get("type")
    if isinstance(type, str):
        return type if type.startswith(LIFECYCLE) else None
    return "" if isinstance(type, dict) and LIFECYCLE in str(type.get("expression")) else None


def _could_match(filter_: dict[str, Any], event: Event) -> bool:
    if is_lifecycle(event) and watched(filter_.get("with") or {}) is None:
        return False
    for name, wanted in (filter_.get("with") or {}).items():
        if not _is_predicate(wanted) and (name not in event or not same(event[name], wanted)):
            return False
    for rule in (filter_.get("correlate") or {}).values():
        if "expect" in rule and not agrees(_value(rule["from"], event), rule["expect"]):
            return False
    return True


def _is_predicate(wanted: Json) -> bool:
    return isinstance(wanted, dict) and len(wanted) == 1 and isinstance(wanted.get("expression"), str)


def _value(source: str, event: Event) -> Json:
    """What `from` gives on an event; null when it fails, and null agrees with nothing."""
    try:
        return compile_field(source, frozenset()).evaluate(event, {})
    except ExpressionFault:
        return None


def agrees(value: Json, expected: Json) -> bool:
    """Equal, or equal as text: the constants of `expect` are always text."""
    if value is None:
        return False
    if isinstance(expected, str) and isinstance(value, int | float):
        return json_text(value) == expected
    return same(value, expected)


class Filter:
    """A compiled event filter."""

    __slots__ = ("correlate", "literals", "predicates")

    def __init__(self) -> None:
        self.literals: dict[str, Json] = {}
        self.predicates: dict[str, tuple[str, Site]] = {}
        self.correlate: dict[str, tuple[str, Site | None]] = {}


def compile_filter(builder: Builder, definition: dict[str, Any], around: Surroundings, pointer: str) -> Filter:
    made = Filter()
    wanted = definition.get("with")
    if not isinstance(wanted, dict) or not wanted:
        raise invalid(pointer, "a filter needs `with` and at least one attribute.")
    _watch(builder, wanted.get("type"))
    for name, value in wanted.items():
        if isinstance(value, str) and whole(value) is not None:
            made.predicates[name] = (value, builder.field(value, "body", around, f"{pointer}/with/{name}"))
        else:
            made.literals[name] = value
    for name, rule in (definition.get("correlate") or {}).items():
        place = f"{pointer}/correlate/{name}"
        builder.field(rule["from"], "event", _NOTHING, place + "/from")
        expect = None
        if rule.get("expect") is not None:
            expect = builder.template(rule["expect"], "body", around, place + "/expect")
        made.correlate[name] = (rule["from"], expect)
    return made


def _watch(builder: Builder, type: Json) -> None:
    is_expression = isinstance(type, str) and whole(type) is not None
    named = watched({"type": {"expression": type} if is_expression else type})
    program = builder.program
    if named is not None and named not in program.watches:
        program.watches = (*program.watches, named)


def on_wire(run: Run, frame: Frame, filters: list[Filter]) -> list[dict[str, Any]]:
    """The filters of a subscription that begins now: what they expect is computed once, here."""
    made = []
    for filter_ in filters:
        wire: dict[str, Any] = {"with": dict(filter_.literals)}
        for name, (text, _site) in filter_.predicates.items():
            wire["with"][name] = {"expression": text}
        for name, (source, expect) in filter_.correlate.items():
            rule: dict[str, Json] = {"from": source}
            if expect is not None:
                rule["expect"] = dataflow.evaluate(run, frame, expect, frame["input"])
            elif name in run.state["correlations"]:
                rule["expect"] = run.state["correlations"][name]
            wire.setdefault("correlate", {})[name] = rule
        made.append(wire)
    return made


def matches(run: Run, frame: Frame, filter_: Filter, wire: dict[str, Any], event: Event) -> dict[str, Json] | None:
    """What the event correlates by when the filter takes it (`{name: value}`), else None.

    WorkflowFault when a predicate gives no boolean (T32); one that fails on foreign data does not match.
    """
    if is_lifecycle(event) and watched(wire["with"]) is None:
        return None
    for name, wanted in filter_.literals.items():
        if name not in event or not same(event[name], wanted):
            return None
    for name, (_text, site) in filter_.predicates.items():
        if not _holds(run, frame, site, event.get(name)):
            return None
    found: dict[str, Json] = {}
    for name, rule in (wire.get("correlate") or {}).items():
        value = _value(rule["from"], event)
        bound = run.state["correlations"].get(name)
        if value is None or ("expect" in rule and not agrees(value, rule["expect"])):
            return None
        if "expect" not in rule:
            if bound is not None and not agrees(value, bound):
                return None
            found[name] = value
    return found


def _holds(run: Run, frame: Frame, site: Site, value: Json) -> bool:
    arguments = dataflow.arguments(run, frame, site)
    try:
        result = None if site.evaluable is None else site.evaluable.evaluate(value, arguments)
    except ExpressionFault:
        return False
    if result is True or result is False:
        return result
    raise dataflow.fault("expression", f"A filter's expression must give true or false, not {dataflow.kind(result)}.")


# Events seen and kept


def identity(event: Event, *place: str) -> str:
    """A short name for an event by source and id (T14), of its own for each place."""
    text = "\n".join((str(event.get("source")), str(event.get("id")), *place))
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def is_new(run: Run, frame: Frame, purpose: str, event: Event) -> bool:
    """Whether this subscription may take the event: neither a duplicate, nor taken before the subscription began."""
    seen = run.state["inbox"]["seen"]
    if identity(event, frame["path"], purpose) in seen:
        return False
    taken = seen.get(identity(event))
    return taken is None or taken > frame["since"]


def mark(run: Run, frame: Frame, purpose: str, event: Event, *, taken: bool) -> None:
    """Remember that this subscription has had the event, in a bounded ring."""
    seen = run.state["inbox"]["seen"]
    seen[identity(event, frame["path"], purpose)] = 0
    if taken:
        seen.setdefault(identity(event), run.state["seq"])
    while len(seen) > KEPT:
        del seen[next(iter(seen))]


def keep(run: Run, event: Event) -> None:
    """An event that nobody takes now waits for later subscriptions (T13)."""
    inbox = run.state["inbox"]
    name = identity(event)
    inbox["kept"] = [entry for entry in inbox["kept"] if entry["at"] + RETENTION > run.now and entry["name"] != name]
    inbox["kept"].append({"name": name, "at": run.now, "event": event})
    del inbox["kept"][:-KEPT]
    inbox["seen"].pop(name, None)


def kept(run: Run) -> list[Event]:
    """The events that wait, oldest first."""
    return [entry["event"] for entry in run.state["inbox"]["kept"] if entry["at"] + RETENTION > run.now]


def take_out(run: Run, event: Event) -> None:
    """A kept event found its subscription."""
    inbox = run.state["inbox"]
    name = identity(event)
    inbox["kept"] = [entry for entry in inbox["kept"] if entry["name"] != name]
