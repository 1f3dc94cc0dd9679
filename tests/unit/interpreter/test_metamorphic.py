"""What must not matter: how a document is written down, the order of what is independent, a task that does nothing."""

import copy
import json
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter.machine import compile, step
from perdure.language.read import read
from perdure.language.values import canonical
from tests.unit.interpreter.test_properties import DOCUMENTS, EXPRESSIONS, TURNS
from tests.unit.language.generated import Generator

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MOST = 300
HEADING = {"dsl": "1.0.3", "namespace": "n", "name": "w", "version": "1.0.0"}


def answer(command: Any, now: int, number: int) -> e.Event:
    """Depends on what is asked only, not on where in the document it stands."""
    id_ = command.id
    if isinstance(command, c.StartTimer):
        return e.TimerFired(now=max(now, command.due), id=id_)
    if isinstance(command, c.Subscribe):
        event: Any = {"source": "s", "id": str(number), "type": "t", "data": 1}
        expected = {} if not command.filters else command.filters[0].get("correlate", {})
        if "hash" in expected:
            decided = {"approved": True, "hash": expected["hash"]["expect"]}
            event |= {"type": "dev.perdure.approval.decided.v1", "data": decided}
            event["subject"] = expected["request"]["expect"]
        return e.EventReceived(now=now, id=id_, event=event)
    if isinstance(command, c.StartChild):
        return e.ChildCompleted(now=now, id=id_, output=7)
    if isinstance(command, c.Emit):
        return e.CallCompleted(now=now, id=id_)
    weight = len(canonical(command.args))
    if command.function == "model":
        return e.CallCompleted(now=now, id=id_, output=TURNS[weight % len(TURNS)], usage={"inputTokens": 9})
    if weight % 4 == 3:
        return e.CallFailed(now=now, id=id_, error={"type": "t", "status": 500})
    return e.CallCompleted(now=now, id=id_, output=weight)


def ends(document: Any) -> tuple[Any, list[Any]]:
    """How a run ends, and what it called on the way: everything but where in the document that stands."""
    program, now = compile(document), 1_000
    open_: dict[str, Any] = {}
    called: list[Any] = []
    state, commands = step(program, None, e.Started(now=now, run="r", tenant="t", seed="s", input={"a": 1}))
    for number in range(MOST):
        for command in commands:
            if isinstance(command, c.ScheduleCall | c.StartTimer | c.Subscribe | c.Emit | c.StartChild):
                open_[command.id] = command
            elif isinstance(command, c.CancelWait | c.Unsubscribe):
                open_.pop(command.id, None)
            elif isinstance(command, c.Complete):
                return command.output, called
            elif isinstance(command, c.Fault):
                # its sentence may name a place, too
                return {**command.error, "instance": None, "detail": None}, called
        # Work goes on before time does: a task more must not decide which of two moments comes first.
        due = lambda command: command.due if isinstance(command, c.StartTimer) else 0  # noqa: E731
        command = min(open_.values(), key=due)
        if not isinstance(command, c.Subscribe):
            del open_[command.id]
        if isinstance(command, c.ScheduleCall):
            called.append((command.function, command.args))
        event = answer(command, now, number)
        now = event.now
        state, commands = step(program, state, event)
    return "goes on", called


def plain(document: Any) -> Any:
    """Without what depends on positions by design: jitter is a hash of them, and names tell them."""
    if isinstance(document, dict):
        return {key: plain(item) for key, item in document.items() if key not in ("jitter", "agent")}
    return [plain(item) for item in document] if isinstance(document, list) else document


@SETTINGS
@given(DOCUMENTS)
def test_yaml_and_json_are_the_same_program(document):
    texts = [json.dumps(document), json.dumps(document, indent=2), yaml.safe_dump(document, sort_keys=False)]
    programs = [compile(read(text).value) for text in texts]
    assert {program.hash for program in programs} == {compile(document).hash}


def test_every_shape_of_the_language_survives_its_formats():
    for seed in range(150):
        value = Generator(seed).document()
        for text in (json.dumps(value), yaml.safe_dump(value, sort_keys=False, allow_unicode=True)):
            assert read(text).value == value, seed


@SETTINGS
@given(DOCUMENTS, st.integers(0, 4))
def test_a_task_that_does_nothing_changes_nothing(document, place):
    document = plain(document)
    longer = copy.deepcopy(document)
    longer["do"].insert(min(place, len(longer["do"])), {"nothing": {"set": "."}})
    assert ends(longer) == ends(document)


WORK = st.one_of(
    st.fixed_dictionaries({"set": EXPRESSIONS.filter(lambda text: "error" not in text and "context" not in text)}),
    st.integers(0, 3).map(lambda size: {"call": "noop", "with": {"x": "y" * size}}),
    st.integers(1, 3).map(lambda seconds: {"wait": {"seconds": seconds}}),
    st.just({"do": [{"a": {"wait": {"seconds": 1}}}, {"b": {"set": {"n": 1}}}]}),
    st.just({"for": {"in": "[1, 2]"}, "do": [{"a": {"call": "noop", "with": {"item": "${ $item }"}}}]}),
)
CALM = st.lists(
    WORK.map(lambda task: {"try": [{"it": task}], "catch": {"do": [{"fallen": {"set": {"fell": True}}}]}}),
    min_size=2,
    max_size=5,
)


@SETTINGS
@given(CALM, st.randoms(use_true_random=False))
def test_branches_may_stand_in_any_order(tasks, chance):
    named = [{f"b{number}": task} for number, task in enumerate(tasks)]
    for branch in named:
        for name, task in branch.items():
            task["export"] = {"as": f"$context + {{{name}: .}}"}
    order = chance.sample(range(len(named)), len(named))
    given, mixed = (_forked(branches) for branches in (named, [named[index] for index in order]))
    assert mixed["context"] == given["context"]
    assert mixed["output"] == [given["output"][index] for index in order]


def _forked(branches: list[Any]) -> Any:
    document = {"document": HEADING, "do": [{"f": {"fork": {"branches": branches}}}]}
    return ends({**document, "output": {"as": "{output: ., context: $context}"}})[0]


@SETTINGS
@given(CALM, st.randoms(use_true_random=False))
def test_independent_tasks_may_stand_in_any_order(tasks, chance):
    named = [
        {f"t{number}": {**task, "input": {"from": "$workflow.input"}, "export": {"as": f"$context + {{t{number}: .}}"}}}
        for number, task in enumerate(tasks)
    ]
    contexts = [
        ends({"document": HEADING, "do": order, "output": {"as": "$context"}})[0]
        for order in (named, chance.sample(named, len(named)))
    ]
    assert contexts[0] == contexts[1]
