"""Handing a conversation over to another agent: dialogues (language.md 5.2, 5.3)."""

import pytest

from perdure.errors import Invalid
from perdure.interpreter import events as e
from tests.unit.interpreter.test_agent import DECIDED, LISBON, agent, begun, messages, says, wants

HEAD = """
use:
  functions:
    billing:
      metadata: {description: Knows about money.}
      call: agent
      with: {instruction: You are billing., input: '${ .about }', tools: [weather], handover: [desk]}
    desk: {call: 'agent:1@default', with: {instruction: You are the desk.}}
    plain: {set: {a: 1}}
"""
GIVEN = "tools: [weather]\n        handover: [billing]"
OVER = ("billing", {"about": "A refund."})


def handed(with_=GIVEN):
    return begun(with_, head=HEAD).complete(wants(LISBON)).complete("sunny").complete(wants(OVER, text="One moment."))


def test_the_other_goes_on_with_the_conversation_and_its_answer_is_the_answer():
    d = begun(GIVEN, "  - next: {set: {said: '${ . }'}}", head=HEAD)
    assert [tool["name"] for tool in d.call().args["tools"]] == ["weather", "billing"]
    assert d.call().args["tools"][1]["description"] == "Knows about money."
    d.complete(wants(LISBON)).complete("sunny").complete(wants(OVER, text="One moment."))
    asked = d.call()
    assert asked.path == "/do/0/ask/turn#2/tool#0/function/turn#1"
    assert asked.args["messages"][0]["content"].startswith("You are billing.\n")
    assert asked.args["messages"][1:] == [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": '[called weather with {"city":"Lisbon"}]'},
        {"role": "user", "content": "[weather gave] sunny"},
        {"role": "assistant", "content": 'One moment.\n[called billing with {"about":"A refund."}]'},
        {"role": "user", "content": "A refund."},
    ]
    assert [tool["name"] for tool in asked.args["tools"]] == ["weather", "desk"]
    d.complete(says("You get it back."))
    assert d.output == {"said": "You get it back."}
    assert "/do/0/ask/turn#3" not in d.paths("task.started")


def test_it_may_be_handed_on():
    d = handed().complete(wants(("desk", {})))
    assert messages(d)[0]["content"].startswith("You are the desk.\n")
    assert messages(d)[-1]["content"] == "You are the desk."  # without data the instruction is the question
    assert d.complete(says("Bye.")).output == "Bye."


def test_only_a_call_that_is_alone_hands_over():
    d = begun(GIVEN, head=HEAD).complete(wants(OVER, LISBON)).complete("sunny")
    assert "alone in its turn" in messages(d)[-2]["content"]
    assert d.call().path == "/do/0/ask/turn#2"


def test_the_answer_has_to_be_one_of_the_first_agent():
    d = handed(GIVEN + "\n        output: {type: object}").complete(says("text"))
    assert "the agent that took over gave an answer that does not fit" in d.error["detail"].lower()
    assert d.error["type"].endswith("/validation")


def test_an_answer_that_fits():
    assert handed(GIVEN + "\n        output: {type: string}").complete(says("text")).output == "text"


def test_what_fails_there_is_the_fault_of_the_task():
    d = handed().fail(503)
    assert (d.status, d.error["status"]) == ("faulted", 503)
    d.do(e.OperatorPatch, action="retry").complete(says("Fine."))
    assert d.output == "Fine."


def test_limits_of_the_first_agent_hold_on():
    d = handed(GIVEN + "\n        limits: {tokens: 10}")
    d.complete(wants(LISBON), usage={"inputTokens": 10, "outputTokens": 5}).complete("x")
    assert "limits.tokens is 10" in d.error["detail"]


def test_a_person_may_have_to_approve_it():
    d = begun(GIVEN + "\n        approval: [billing]", head=HEAD).complete(wants(OVER))
    assert not d.calls()
    request = d.emitted()
    d.event(DECIDED, {"approved": True, "hash": request["data"]["hash"]}, subject=request["id"])
    assert messages(d)[0]["content"].startswith("You are billing.")
    assert d.complete(says("ok")).output == "ok"


def test_cancelled_while_the_other_works():
    d = handed().complete(wants(LISBON)).do(e.CancelRequested)
    assert (d.status, d.calls()) == ("cancelled", [])


def test_a_conversation_that_was_taken_over_may_be_shortened_from_its_beginning():
    head = HEAD.replace("handover: [desk]", "context: {characters: 1000}")
    d = begun(GIVEN, head=head).complete(wants(LISBON)).complete("x" * 3000).complete(wants(OVER))
    assert messages(d)[1]["content"] == "[left out: the conversation grew too long]"


@pytest.mark.parametrize(
    ("with_", "said"),
    [
        ("handover: [plain]", "agents of use.functions only, not to 'plain'"),
        ("handover: [weather]", "agents of use.functions only, not to 'weather'"),
        ("handover: [billing]\n        tools: [billing]", "two tools named 'billing'"),
    ],
)
def test_what_cannot_be_handed_over_to(with_, said):
    with pytest.raises(Invalid, match=said):
        agent(with_, head=HEAD)


def test_a_function_named_agent_is_no_agent():
    head = "use: {functions: {agent: {set: 1}, other: {call: agent}, own: {call: 'agent:1@default'}}}"
    from tests.unit.interpreter.dialogue import Dialogue
    from tests.unit.interpreter.test_agent import Catalog

    text = f"{head}\ndo: [{{a: {{call: 'agent:1@default', with: {{instruction: x, handover: [other]}}}}}}]"
    with pytest.raises(Invalid):
        Dialogue(text, functions=Catalog())
