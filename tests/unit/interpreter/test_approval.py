"""`approve` as dialogues: asked by an event, answered by one, within its time."""

import pytest

from perdure.functions.approve import Approve
from perdure.functions.table import Table
from perdure.interpreter.agent_tools import DECIDED, REQUESTED
from perdure.language.check import check_value
from perdure.ports.function import FunctionFault
from tests.unit.interpreter.dialogue import document
from tests.unit.interpreter.dialogue import run as begin

TABLE = Table([Approve()])
HOUR = 3_600_000
PAY = """
use: {secrets: [key]}
do:
  - ask:
      call: approve
      with: {title: Pay it?, details: '${ .order }', to: ['role:operator'], form: {type: object, required: [amount]}}
  - after: {set: '${ {said: .} }'}
"""


def run(text, input=None):
    return begin(text, input, functions=TABLE)


def asked(dialogue):
    event = dialogue.emitted()
    assert event["type"] == REQUESTED
    return event


def decide(dialogue, request, **data):
    return dialogue.event(DECIDED, data, subject=request["id"])


def test_what_is_asked_and_what_comes_of_it():
    d = run(PAY, {"order": {"id": 7}})
    request = asked(d)
    shown = request["data"]
    assert {key: shown[key] for key in ("title", "details", "to", "form", "run", "task", "deadline")} == {
        "title": "Pay it?", "details": {"id": 7}, "to": ["role:operator"], "form": {"type": "object", "required": ["amount"]},
        "run": "run-1", "task": "/do/0/ask", "deadline": "2023-11-16T22:13:20.000Z",
    }  # fmt: skip
    assert d.status == "waiting"
    decide(
        d, request, approved=True, by="ana", at=1_700_000_001_000, reason="fine", data={"amount": 3}, hash=shown["hash"]
    )
    assert d.output == {
        "said": {
            "approved": True,
            "by": "ana",
            "at": "2023-11-14T22:13:21.000Z",
            "reason": "fine",
            "data": {"amount": 3},
        }
    }
    assert set(d.refs("task.completed")) == {"/do/0/ask", "/do/1/after"}


def test_any_system_may_answer_with_little():
    d = run("do: [{ask: {call: 'approve:1@default', with: {title: Go?}}}]")
    decide(d, asked(d), approved=False)
    assert d.output == {"approved": False, "by": None, "at": "2023-11-14T22:13:20.000Z", "reason": "", "data": None}
    d = run("do: [{ask: {call: approve, with: {title: Go?}}}]")
    d.event(DECIDED, {"approved": True, "by": 3, "at": True}, subject=asked(d)["id"], time="2024-01-01T00:00:00Z")
    assert (d.output["at"], d.output["by"]) == ("2024-01-01T00:00:00Z", None)


@pytest.mark.parametrize(
    "data", [None, "yes", [], {}, {"approved": "true"}, {"approved": True, "hash": "of something else"}]
)
def test_a_decision_that_is_none_is_void(data):
    d = run("do: [{ask: {call: approve, with: {title: Go?}}}]")
    request = asked(d)
    d.event(DECIDED, data, subject=request["id"])
    d.event(DECIDED, {"approved": True}, subject="another request")
    assert d.status == "waiting"
    decide(d, request, approved=True)
    assert d.status == "completed"


def test_without_an_answer_the_time_runs_out():
    d = run(PAY, {"order": 1})
    asked(d)
    d.pass_time(48 * HOUR - 1)
    assert d.status == "waiting"
    d.pass_time(1)
    assert (d.error["status"], d.error["instance"]) == (408, "/do/0/ask")
    d = run(
        "do: [{t: {try: [{a: {call: approve, with: {title: x}, timeout: {after: {days: 5}}}}], catch: {errors: {with: {status: 408}}, do: [{no: {set: {late: true}}}]}}}]"
    )
    assert asked(d)["data"]["deadline"] == "2023-11-19T22:13:20.000Z"
    d.pass_time(119 * HOUR)
    assert d.status == "waiting"
    d.pass_time(HOUR)
    assert d.output == {"late": True}


@pytest.mark.parametrize("data", [None, {"amount": "x"}])
def test_a_form_holds(data):
    form = "{type: object, required: [amount], properties: {amount: {type: integer}}}"
    text = f"do: [{{ask: {{call: approve, with: {{title: x, form: {form}}}}}}}]"
    d = run(text)
    decide(d, asked(d), approved=True, data=data)
    assert (d.error["status"], "does not fit the form" in d.error["detail"]) == (400, True)
    d = run(text)
    decide(d, asked(d), approved=False)
    assert d.output["approved"] is False


@pytest.mark.parametrize(
    ("with_", "status", "words"),
    [
        ("{title: '${ .n }'}", 400, "do not fit"),
        ("'${ .n }'", 400, "do not fit"),
        ("{title: x, form: '${ {type: 5} }'}", 400, "cannot be used"),
        ("{title: x, details: '${ $secrets.key }'}", 403, "never shown"),
    ],
)
def test_arguments_that_do_not_fit(with_, status, words):
    d = run(f"use: {{secrets: [key]}}\ndo: [{{ask: {{call: approve, with: {with_}}}}}]", {"n": 1})
    assert (d.error["status"], words in d.error["detail"]) == (status, True)


def test_two_in_branches_and_one_each_iteration():
    d = run(
        "do: [{f: {fork: {branches: [{a: {call: approve, with: {title: a}}}, {b: {call: approve, with: {title: b}}}]}}}]"
    )
    events = []
    for command in [one for one in d.open.values() if type(one).__name__ == "Emit"]:
        events.append(command.event)
    d.emitted()
    for event in reversed(events):
        decide(d, event, approved=event["data"]["title"] == "a")
    assert [one["approved"] for one in d.output] == [True, False]
    d = run("do: [{l: {for: {in: '${ [1, 2] }'}, do: [{a: {call: approve, with: {title: '${ \"n\\($item)\" }'}}}]}}]")
    seen = []
    for _ in range(2):
        request = asked(d)
        seen.append(request["data"]["title"])
        decide(d, request, approved=True)
    assert seen == ["n1", "n2"]
    assert len(set(d.paths("task.started"))) == len(d.paths("task.started"))


def test_what_checking_says():
    def findings(task):
        return [finding.message for finding in check_value(document(f"do: [{{a: {task}}}]"), functions=TABLE)]

    assert findings("{call: approve, with: {title: x}}") == []
    assert "needs the argument 'title'" in findings("{call: approve}")[0]
    assert "no argument 'titel'" in findings("{call: approve, with: {title: x, titel: y}}")[0]


async def test_it_is_no_call():
    function = Approve()
    assert function.effect_of({}, {}) == "idempotent"
    assert repr(function) == "Approve(1.0.0)"
    with pytest.raises(FunctionFault, match="use.functions"):
        await function.execute({}, None)
