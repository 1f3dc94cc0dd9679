"""A step that a budget refuses: it holds, goes on, or faults, and everything else goes its way (language.md 5.3)."""

import pytest

from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter.budget_hold import BUDGET, REFUSED, SETTLED
from tests.unit.interpreter.dialogue import START, run
from tests.unit.interpreter.test_agent import LISBON, Catalog, begun, says, wants

ASK = "do: [{ask: {call: infer, with: {instruction: Say it.}}}]"
DAY = 86_400_000


def used_up(d, question="mark_1", until=None, position=0, outcome="definite", **more):
    hold = {key: value for key, value in (("question", question), ("until", until)) if value is not None}
    told = {"detail": "The budget b is used up.", "budget": "bud_1", "hold": hold, "type": BUDGET, **more}
    return d.fail(429, position, outcome, **told)


def settled(d, outcome="lifted", question="mark_1", **more):
    return d.event(SETTLED, {"outcome": outcome}, subject=question, **more)


def test_a_step_waits_for_the_answer_and_makes_the_same_call_again():
    d = run(ASK)
    call = d.call()
    used_up(d)
    assert (d.status, d.calls()) == ("waiting", [])
    [filter_] = next(x for x in d.given if isinstance(x, c.Subscribe)).filters
    assert filter_["correlate"]["question"]["expect"] == "mark_1"
    [told] = d.told("task.status-changed")
    assert told.data == {
        "status": "waiting",
        "wait": {"kind": "budget", "budget": "bud_1", "detail": "The budget b is used up.", "question": "mark_1"},
    }
    settled(d)
    again = d.call()
    assert (again.key, again.args, again.path) == (call.key, call.args, call.path)
    assert d.status == "running"
    assert [told.data["status"] for told in d.told("task.status-changed")] == ["waiting", "running"]
    assert d.complete("It.").output == "It."


def test_it_may_be_refused_again_and_again():
    d = run(ASK)
    for number in range(3):
        used_up(d, question=f"mark_{number}")
        settled(d, question=f"mark_{number}")
    assert d.complete("x").output == "x"


def test_the_end_of_the_period_renews_it():
    d = run(ASK)
    used_up(d, until=START + DAY)
    d.pass_time(DAY - 1)
    assert d.status == "waiting"
    d.pass_time(1)
    assert d.complete("x").output == "x"
    assert not d.open


def test_a_hold_without_a_question_asks_nobody():
    d = run(ASK)
    used_up(d, question=None, until=START + 15_000)
    assert [type(command) for command in d.open.values()] == [c.StartTimer]
    d.pass_time(15_000)
    assert d.complete("x").output == "x"


@pytest.mark.parametrize(
    ("hold", "outcome", "type_"),
    [
        (None, "definite", BUDGET),
        ({}, "definite", BUDGET),
        ("soon", "definite", BUDGET),
        ({"question": "", "until": True}, "definite", BUDGET),
        ({"question": 5, "until": -1}, "definite", BUDGET),
        ({"question": "mark_1"}, "unknown", BUDGET),
        ({"question": "mark_1"}, "definite", "https://example.com/errors/other"),
    ],
)
def test_every_other_failure_faults(hold, outcome, type_):
    d = run(ASK)
    d.fail(429, outcome=outcome, type=type_, hold=hold)
    assert d.status == "faulted"


def test_who_refuses_faults_the_step_and_a_document_may_catch_it():
    text = """
do:
  - t:
      try: [{ask: {call: infer, with: {instruction: Say it.}}}]
      catch: {errors: {with: {type: 'urn:perdure:error:budget'}}, as: failed, do: [{instead: {set: {was: '${ $failed }'}}}]}
"""
    d = settled(used_up(run(text), until=START + DAY), REFUSED)
    assert d.output["was"] == {
        "type": BUDGET, "status": 429, "detail": "The budget b is used up.", "budget": "bud_1",
        "instance": "/do/0/t/try/0/ask",
    }  # fmt: skip
    d = settled(used_up(run(ASK)), REFUSED)
    assert (d.error["type"], d.error["instance"]) == (BUDGET, "/do/0/ask")


def test_a_retry_after_a_refusal_is_another_call():
    text = """
do:
  - t:
      try: [{ask: {call: infer, with: {instruction: Say it.}}}]
      catch: {retry: {limit: {attempt: {count: 2}}}}
"""
    d = run(text)
    key = d.call().key
    settled(used_up(d), REFUSED)
    assert d.call().key != key


def test_the_answer_of_a_run_is_none_and_another_question_is_none():
    d = used_up(run(ASK))
    settled(d, REFUSED, perdurerun="somebody")
    subscription = next(iter(d.open))
    other = {"specversion": "1.0", "id": "o", "source": "s", "type": "other", "subject": "mark_1"}
    d.hand(e.EventReceived(now=d.now, id=subscription, event=other))
    assert d.status == "waiting"
    settled(d, question="mark_2")
    assert d.status == "waiting"
    d.event(SETTLED, None, subject="mark_1")
    assert d.complete("x").output == "x"


def test_the_other_branches_go_on():
    text = """
do:
  - both:
      fork:
        branches:
          - a: {call: infer, with: {instruction: Say it.}}
          - b: {do: [{one: {call: noop, with: {}}}, {two: {call: noop, with: {}}}]}
"""
    d = run(text)
    used_up(d)
    assert d.status == "running"
    d.complete(1)
    assert d.status == "running"
    d.complete(2)
    assert d.status == "waiting"
    settled(d)
    d.complete("a")
    assert d.output == ["a", 2]


def test_a_saga_is_not_undone_while_a_step_waits():
    text = """
do:
  - order:
      metadata: {saga: true}
      do:
        - charge: {call: noop, with: {}, metadata: {compensate: {call: undo, with: {}}}}
        - ask: {call: infer, with: {instruction: Say it.}}
"""
    d = run(text)
    d.complete(1)
    used_up(d)
    assert (d.status, d.calls()) == ("waiting", [])
    settled(d)
    d.complete("fine")
    assert d.output == "fine"
    d = run(text)
    d.complete(1)
    settled(used_up(d), REFUSED)
    assert d.call().function == "undo"


def test_a_time_limit_ends_the_wait():
    text = "do: [{ask: {call: infer, with: {instruction: Say it.}, timeout: {after: {seconds: 5}}}}]"
    d = used_up(run(text), until=START + DAY)
    d.pass_time(5000)
    assert d.error["type"].endswith("timeout")
    assert not d.open


def test_cancel_ends_the_wait():
    d = used_up(run(ASK), until=START + DAY).do(e.CancelRequested)
    assert (d.status, d.open) == ("cancelled", {})


def test_an_answer_while_suspended_counts_when_the_run_goes_on():
    d = used_up(run(ASK), until=START + DAY).do(e.SuspendRequested)
    settled(d)
    d.pass_time(DAY)
    assert (d.status, d.calls()) == ("suspended", [])
    d.do(e.ResumeRequested)
    assert len(d.calls()) == 1
    assert d.complete("x").output == "x"


def test_an_operator_may_retry_or_skip_it():
    d = used_up(run(ASK), until=START + DAY)
    d.do(e.OperatorPatch, action="retry", path="/do/0/ask")
    assert [type(command) for command in d.open.values()] == [c.ScheduleCall]
    used_up(d)
    d.do(e.OperatorPatch, action="skip", path="/do/0/ask~~2", output=5, has_output=True)
    assert d.output == 5


def test_a_run_that_faulted_elsewhere_asks_anew_when_it_is_opened_again():
    text = """
do:
  - both:
      fork:
        branches:
          - a: {call: infer, with: {instruction: Say it.}}
          - b: {call: noop, with: {}}
"""
    d = run(text)
    key = d.call().key
    used_up(d, until=START + DAY)
    d.fail()
    assert (d.status, d.open) == ("faulted", {})
    d.do(e.OperatorPatch, action="retry")
    assert {call.key for call in d.calls()} > {key}
    assert len(d.calls()) == len(d.open) == 2


# Agents


def test_a_turn_of_an_agent_waits_and_is_charged_once():
    d = begun()
    key = d.call().key
    used_up(d)
    assert d.status == "waiting"
    settled(d)
    assert d.call().key == key
    d.complete(says("No."), usage={"inputTokens": 1, "outputTokens": 1, "model": "m"})
    assert d.output == "No."
    d = settled(used_up(begun()), REFUSED)
    assert d.error["type"] == BUDGET


def test_a_summary_waits():
    d = begun("context: {characters: 1000, full: summarize}\n        tools: [weather]")
    for number in range(3):
        if "tools" not in d.call().args:
            break
        d.complete(wants(LISBON))
        d.complete(f"{number}" * 600)
    call = d.call()
    assert "/summary#" in call.path
    used_up(d)
    settled(d)
    assert (d.call().path, d.call().key) == (call.path, call.key)
    d.complete(says("It rained."))
    assert d.complete(says("No.")).output == "No."


def test_other_tools_of_a_turn_go_on_while_one_waits():
    d = begun("tools: [weather, infer]", functions=Catalog(infer="idempotent"))
    d.complete(wants(LISBON, ("infer", {"city": "x"})))
    asking = next(index for index, call in enumerate(d.calls()) if call.function == "infer")
    used_up(d, position=asking)
    assert d.status == "running"
    d.complete("Sun.")
    assert d.status == "waiting"
    settled(d)
    d.complete("A poem.")
    assert [m["content"] for m in d.call().args["messages"][-2:]] == ["Sun.", "A poem."]


def test_a_tool_that_nobody_pays_for_is_told_to_its_model():
    d = begun("tools: [weather]")
    d.complete(wants(LISBON))
    settled(used_up(d), REFUSED)
    assert d.call().args["messages"][-1]["content"] == "Error: The budget b is used up."


def test_the_time_of_an_agent_ends_the_wait():
    d = begun("limits: {duration: {seconds: 5}}")
    used_up(d, until=START + DAY)
    d.pass_time(5000)
    assert "limits.duration" in d.error["detail"]
    d = begun("limits: {duration: {seconds: 5}}")
    used_up(d, until=START + 1000)
    d.pass_time(1000)
    assert len(d.calls()) == 1


def test_the_time_of_an_agent_above_ends_the_wait():
    inner = "use: {functions: {inner: {call: agent, with: {instruction: Help., input: '${ . }'}}}}"
    d = begun("tools: [inner]\n        limits: {duration: {seconds: 5}}", head=inner)
    d.complete(wants(("inner", {})))
    used_up(d)
    d.pass_time(5000)
    assert "limits.duration" in d.error["detail"]
