"""Random valid documents and random orders of events: no step raises, and no snapshot or duplicate is ever seen."""

import contextlib
import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.errors import Invalid
from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter.budget_hold import BUDGET, SETTLED
from perdure.interpreter.machine import compile, step
from perdure.interpreter.state import restore, snapshot

FINE = [
    ".",
    "$context",
    "{a: .}",
    "[.]",
    "1",
    "$task.name",
    "{input: $workflow.input}",
    "$runtime",
    "null",
    "[$task.input]",
]
EXPRESSIONS = st.sampled_from([*FINE * 3, ".a", "$input", 'error("x")'])
CONDITIONS = st.sampled_from(["true", "true", "false", ". == null", ". != null", "1"])
NAMES = "abcd"


def tasks(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(children, min_size=0, max_size=3).map(_named)
    some = st.lists(children, min_size=1, max_size=3).map(_named)
    retry = st.fixed_dictionaries(
        {"limit": st.just({"attempt": {"count": 2}})},
        optional={
            "delay": st.just({"seconds": 1}),
            "when": CONDITIONS,
            "jitter": st.just({"from": "PT0S", "to": "PT2S"}),
        },
    )
    catch = st.fixed_dictionaries(
        {},
        optional={
            "errors": st.sampled_from([{"with": {"status": 500}}, {"with": {"status": 9}}]),
            "when": CONDITIONS,
            "retry": retry,
            "do": lists,
            "then": st.sampled_from(["continue", "exit", "end"]),
        },
    )
    return st.one_of(
        st.fixed_dictionaries({"do": lists}, optional={"metadata": st.just({"saga": True})}),
        st.fixed_dictionaries({"for": st.just({"in": "[1, 2]"}), "do": lists}, optional={"while": CONDITIONS}),
        st.fixed_dictionaries({"try": some, "catch": catch}, optional={"metadata": st.just({"saga": True})}),
        st.fixed_dictionaries({"fork": st.fixed_dictionaries({"branches": some}, optional={"compete": st.booleans()})}),
        st.fixed_dictionaries(
            {
                "listen": st.just({"to": {"any": [{"with": {"type": "t"}}], "until": "length == 2"}}),
                "foreach": st.fixed_dictionaries({"do": lists}),
            }
        ),
    )


AGENT: dict[str, Any] = {
    "instruction": "i",
    "input": "${ . }",
    "tools": ["twice", {"name": "noop", "parameters": {"type": "object"}}, {"name": "pay", "parameters": {}}],
    "approval": ["pay"],
    "limits": {"turns": 4, "tokens": 60, "duration": {"seconds": 30}},
}
TURNS: list[Any] = [
    {"text": "[1]"},
    {
        "text": "",
        "toolCalls": [{"id": "a", "name": "noop", "arguments": {}}, {"id": "b", "name": "twice", "arguments": {}}],
    },
    {
        "text": "",
        "toolCalls": [{"id": "c", "name": "pay", "arguments": {"n": 1}}, {"id": "d", "name": "guess", "arguments": 1}],
    },
    {"text": "", "toolCalls": [{"id": "e", "name": "noop", "arguments": []}]},
    {"text": "{}", "finish": "length"},
    {
        "text": "",
        "toolCalls": [{"id": "f", "name": "pay", "arguments": {}}, {"id": "g", "name": "pay", "arguments": {}}],
    },
    7,
]
LEAVES = st.one_of(
    st.fixed_dictionaries({"set": EXPRESSIONS}),
    st.just({"call": "noop", "with": {"x": "${ . }"}}),
    st.just({"call": "twice"}),
    st.sampled_from([True, False]).map(lambda strict: {"call": "agent", "with": {**AGENT, **({"output": {"type": "array"}} if strict else {})}}),
    st.just({"wait": {"seconds": 1}}),
    st.just({"emit": {"event": {"with": {"type": "t", "data": "${ . }"}}}}),
    st.just({"raise": {"error": {"type": "t", "status": 9}}}),
    st.just({"run": {"workflow": {"namespace": "n", "name": "w", "version": "1.0.0"}}}),
    st.sampled_from([{"listen": {"to": {"one": {"with": {"type": "t"}}}}}, {"listen": {"to": {"all": [{"with": {"type": "t"}}, {"with": {"type": "u"}}]}}}]),
    st.fixed_dictionaries({"switch": st.just([{"x": {"when": ". == null", "then": "end"}}, {"y": {"then": "continue"}}])}),
)  # fmt: skip


def _decorated(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    extra = st.fixed_dictionaries(
        {},
        optional={
            "if": CONDITIONS,
            "input": st.fixed_dictionaries({"from": EXPRESSIONS.filter(lambda text: text != "$input")}),
            "output": st.fixed_dictionaries({"as": EXPRESSIONS}),
            "export": st.fixed_dictionaries({"as": EXPRESSIONS}),
            "timeout": st.just({"after": {"seconds": 2}}),
            "metadata": st.just({"compensate": {"call": "undo", "with": {"o": "${ $output }"}}}),
            "then": st.sampled_from(["continue", "exit", "end"]),
        },
    )
    return st.tuples(children, extra).map(lambda pair: {**pair[1], **pair[0]})


def _named(items: list[Any]) -> list[Any]:
    return [{NAMES[index]: item} for index, item in enumerate(items)]


TASKS = st.recursive(_decorated(LEAVES), lambda inner: _decorated(tasks(inner)), max_leaves=8)
EXTENSIONS = [
    {
        "x": {
            "extend": "set",
            "when": '$task.name == "a"',
            "before": [{"b": {"call": "noop"}}],
            "after": [{"c": {"set": "."}}],
        }
    }
]
DOCUMENTS = st.fixed_dictionaries(
    {
        "document": st.just({"dsl": "1.0.3", "namespace": "n", "name": "w", "version": "1.0.0"}),
        "use": st.sampled_from(
            [
                {"functions": {"twice": {"do": [{"a": {"call": "noop"}}, {"b": {"set": "."}}]}}},
                {"functions": {"twice": {"call": "noop"}}, "extensions": EXTENSIONS},
            ]
        ),
        "do": st.lists(TASKS, min_size=1, max_size=4).map(_named),
    },
    optional={"timeout": st.just({"after": {"seconds": 20}})},
)
CHOICES = st.lists(st.one_of(st.integers(0, 1_000), st.integers(60, 1_000), st.integers(3, 13)), max_size=40)
ASKING = (c.ScheduleCall, c.StartTimer, c.Subscribe, c.Emit, c.StartChild)


class World:
    """Answers what the machine asks for, in an order that a list of numbers decides."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.open: dict[str, Any] = {}
        self.past: list[Any] = []
        self.now = 1_000

    def started(self) -> e.Event:
        return e.Started(now=self.now, run="r", tenant="t", seed="s", input={"a": 1})

    def take(self, commands: list[c.Command]) -> None:
        for command in commands:
            if isinstance(command, ASKING):
                assert command.id not in self.open
                self.open[command.id] = command
            elif isinstance(command, c.CancelWait | c.Unsubscribe):
                self.open.pop(command.id, None)

    def next(self) -> e.Event | None:
        if not self.numbers:
            return None
        number = self.numbers.pop()
        self.now += number
        special = {
            3: e.SuspendRequested(now=self.now),
            4: e.ResumeRequested(now=self.now),
            5: e.CancelRequested(now=self.now, compensate=True),
            6: e.CancelRequested(now=self.now),
            7: e.OperatorPatch(now=self.now, action="retry"),
            8: e.OperatorPatch(now=self.now, action="skip", output=1, has_output=True),
            9: e.OperatorPatch(now=self.now, action="retry", path="/do/0/a"),
            10: e.OperatorPatch(now=self.now, action="skip", path="/do/1/b"),
            11: e.OperatorPatch(now=self.now, action="retry", path="/do/0/a/turn#1"),
            12: e.OperatorPatch(now=self.now, action="skip", path="/do/0/a/turn#1/tool#0"),
            13: e.OperatorPatch(now=self.now, action="retry", path="/do/0/a/turn#1/tool#0/approval/1/answer"),
        }
        if number in special:
            return special[number]
        if number < 60 and self.past:
            return self.past[number % len(self.past)]
        if not self.open:
            return e.OperatorPatch(now=self.now, action="retry")
        return self.answer(self.open[list(self.open)[number % len(self.open)]], number)

    def answer(self, command: Any, number: int) -> e.Event:
        id_, now = command.id, self.now
        error = {"type": "t", "status": 500}
        if isinstance(command, c.Subscribe):
            event: Any = {"source": "s", "id": str(number), "type": "tu"[number % 2], "data": number}
            expected = {} if not command.filters else command.filters[0].get("correlate", {})
            if "hash" in expected:
                decided = {"approved": number % 2 == 0, "hash": expected["hash"]["expect"] if number % 5 else "?"}
                event = {**event, "type": "dev.perdure.approval.decided.v1", "data": decided}
                event["subject"] = expected["request"]["expect"]
            if "question" in expected:
                outcome = {"outcome": "refused" if number % 4 == 0 else "lifted"}
                event = {**event, "type": SETTLED, "data": outcome, "subject": expected["question"]["expect"]}
            return e.EventReceived(now=now, id=id_, event=event)
        self.open.pop(id_)
        if isinstance(command, c.StartTimer):
            return e.TimerFired(now=max(now, command.due), id=id_)
        if isinstance(command, c.StartChild):
            return (
                e.ChildFailed(now=now, id=id_, error=error)
                if number % 3 == 0
                else e.ChildCompleted(now=now, id=id_, output=number)
            )
        if isinstance(command, c.ScheduleCall) and number % 7 == 0:
            holds = ({"question": f"m{number}"}, {"until": now + number}, {"question": "m", "until": now + 5})
            hold = holds[number % 3]
            return e.CallFailed(now=now, id=id_, error={"type": BUDGET, "status": 429, "hold": hold})
        if isinstance(command, c.ScheduleCall) and number % 3 == 0:
            return e.CallFailed(now=now, id=id_, error=error, outcome="unknown" if number % 2 else "definite")
        if isinstance(command, c.ScheduleCall) and command.function == "model":
            return e.CallCompleted(now=now, id=id_, output=TURNS[number % len(TURNS)], usage={"inputTokens": 9})
        return e.CallCompleted(now=now, id=id_, output=number)


SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SETTINGS
@given(DOCUMENTS, CHOICES)
def test_no_step_raises_and_snapshots_are_never_seen(document, numbers):
    program, other = compile(document), compile(document)
    world = World(list(numbers))
    event: e.Event | None = world.started()
    straight: Any = None
    stored: bytes | None = None
    while event is not None:
        straight, commands = step(program, straight, event)
        again, same = step(other, None if stored is None else restore(stored), copy.deepcopy(event))
        assert same == commands
        assert again == straight
        stored = snapshot(again)
        assert restore(stored) == straight
        check(straight, commands)
        world.take(commands)
        world.past.append(event)
        event = world.next()


@SETTINGS
@given(DOCUMENTS, CHOICES)
def test_duplicates_change_nothing(document, numbers):
    program = compile(document)
    world = World(list(numbers))
    event: e.Event | None = world.started()
    state: Any = None
    while event is not None:
        state, commands = step(program, state, event)
        world.take(commands)
        if hasattr(event, "id") and not isinstance(event, e.CallProgress):
            before = snapshot(state)
            state, nothing = step(program, state, event)
            assert nothing == []
            assert snapshot(state) == before
        event = world.next()


def check(state: Any, commands: list[c.Command]) -> None:
    """What holds after every step."""
    ended = [x for x in commands if isinstance(x, c.Complete | c.Fault | c.Cancelled)]
    assert len(ended) <= 1
    if ended:
        assert commands[-1] is ended[0]
        assert state["waits"] == {}
    for id_, entry in state["waits"].items():
        assert id_ in state["frames"][entry["path"]]["waits"]
    for path, frame in state["frames"].items():
        assert frame["path"] == path
        assert frame["parent"] is None or frame["parent"] in state["frames"]
        assert all(id_ in state["waits"] for id_ in frame.get("waits", ()))
    assert state["busy"] == sum(x["purpose"] in ("call", "emit", "child", "slice") for x in state["waits"].values())
    if state["status"] in ("running", "waiting"):
        assert state["waits"], "nobody will ever wake this run"
    if state["status"] in ("completed", "cancelled"):
        assert state["frames"] == {}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    found = []
    pending = [value]
    while pending:
        item = pending.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else []
        for key in keys:
            found.append((item, key))
            pending.append(item[key])
    return found


JUNK = st.sampled_from(
    [None, True, 7, -1.5, "", "text", "${ broken", "${ .a }", [], [None], [[]], {}, {"a": None}, {"a": 1, "b": 2}]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS, st.lists(st.tuples(st.integers(0, 10_000), JUNK, st.booleans()), min_size=1, max_size=3))
def test_what_is_broken_compiles_or_is_invalid(document, changes):
    broken = copy.deepcopy(document)
    for number, junk, remove in changes:
        container, key = places(broken)[number % len(places(broken))]
        if remove:
            del container[key]
        else:
            container[key] = copy.deepcopy(junk)
        if not places(broken):
            break
    with contextlib.suppress(Invalid):
        compile(broken)
