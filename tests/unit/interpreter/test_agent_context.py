"""How long an agent's conversation may become, what it may cost, and who pays: dialogues (language.md 5.3)."""

import pytest

from perdure.interpreter import agent_messages
from perdure.interpreter import events as e
from tests.unit.interpreter.test_agent import LISBON, USE, begun, messages, says, wants

LONG = "x" * 600
DROP = "tools: [weather]\n        context: {characters: 2000}"
SUMMARIZE = "tools: [weather]\n        context: {characters: 2400, full: summarize}"


def turn(d, result=LONG, text=""):
    return d.complete(wants(LISBON, text=text)).complete(result)


def contents(d):
    return [message["content"] for message in messages(d)]


def test_without_a_limit_of_its_own_nothing_is_dropped_early():
    d = begun()
    for _ in range(4):
        turn(d)
    assert contents(d).count(LONG) == 4


def test_the_oldest_results_go_first_then_the_oldest_exchanges():
    d = begun(DROP)
    for _ in range(3):
        turn(d)
    assert contents(d).count(LONG) == 2
    assert contents(d)[3] == agent_messages.LEFT_OUT
    assert messages(d)[2]["toolCalls"]
    for _ in range(6):
        turn(d, text="y" * 500)
    shown = messages(d)
    assert shown[1]["content"] == "Rain?"
    assert shown[2] == {"role": "user", "content": agent_messages.LEFT_OUT}
    assert shown[3]["role"] == "assistant"
    assert len(shown) <= 7
    assert d.complete(says("done")).output == "done"


def test_a_question_that_is_too_long_itself_is_asked_all_the_same():
    d = begun("tools: [weather]\n        memory: [{role: user, content: '" + "m" * 3000 + "'}]\n        "
              "context: {characters: 1000}")  # fmt: skip
    assert len(messages(d)) == 3
    turn(d)
    assert [m["role"] for m in messages(d)] == ["system", "user", "user", "assistant", "tool"]


def test_a_summary_is_a_request_of_its_own_and_takes_the_place_of_what_was_said():
    d = begun(SUMMARIZE)
    turn(d, "first")
    for _ in range(3):
        turn(d)
    asked = d.call()
    assert (asked.path, asked.function) == ("/do/0/ask/summary#1", "model")
    assert "tools" not in asked.args
    system, shown = asked.args["messages"]
    assert "Summarize" in system["content"]
    assert '[called weather with {"city":"Lisbon"}]' in shown["content"]
    assert "[weather gave] first" in shown["content"]
    d.complete(says("It was sunny."), usage={"inputTokens": 3, "outputTokens": 4})
    assert d.call().path == "/do/0/ask/turn#5"
    assert [m["role"] for m in messages(d)] == ["system", "user", "user", "assistant", "tool"]
    assert messages(d)[2]["content"].endswith("It was sunny.")
    for _ in range(2):
        turn(d)
    assert d.call().path == "/do/0/ask/summary#2"
    assert "It was sunny." in d.call().args["messages"][1]["content"]
    d.complete({"text": "no", "finish": "refused"})
    assert messages(d)[2]["content"] == agent_messages.LEFT_OUT
    assert d.complete(says("done")).output == "done"


def test_a_summary_counts_as_tokens_and_not_as_a_turn():
    limits = "limits: {turns: 5, tokens: 100}"
    d = begun(f"{SUMMARIZE}\n        {limits}")
    for _ in range(3):
        turn(d)
    d.complete(says("short"), usage={"inputTokens": 60, "outputTokens": 50})
    assert "limits.tokens is 100" in d.error["detail"]
    assert "3 turns" in d.error["detail"]


def test_a_limit_is_looked_at_before_a_summary_too():
    d = begun(f"{SUMMARIZE}\n        limits: {{tokens: 5}}").complete(wants(LISBON), usage={"inputTokens": 5})
    assert d.complete("y" * 2500).error["title"] == "agent limit reached"


def test_a_correction_may_need_a_summary():
    d = begun(SUMMARIZE + "\n        output: {type: integer}")
    turn(d)
    d.complete(says("z" * 2000))
    assert d.call().path == "/do/0/ask/summary#1"
    d.complete(says("short"))
    assert d.complete(says("7")).output == 7


def test_a_summary_that_fails_is_asked_again_with_its_key():
    d = begun(SUMMARIZE)
    for _ in range(3):
        turn(d)
    first = d.call()
    d.fail(503, outcome="unknown").do(e.OperatorPatch, action="retry")
    assert (d.call().key, d.call().args) == (first.key, first.args)


def test_cancelled_within_a_summary():
    d = begun(SUMMARIZE)
    for _ in range(3):
        turn(d)
    assert d.call().path.endswith("summary#1")
    d.do(e.CancelRequested)
    assert (d.status, d.calls()) == ("cancelled", [])


def test_pictures_go_with_the_question_and_do_not_count():
    picture = {"media": "image/png", "data": "A" * 4000}
    d = begun(f"tools: [weather]\n        images: [{{media: image/png, data: {picture['data']}}}]\n        "
              "context: {characters: 1000}")  # fmt: skip
    assert messages(d)[1] == {"role": "user", "content": "Rain?", "images": [picture]}
    turn(d, "sunny")
    assert messages(d)[3]["content"] == "sunny"


def test_streaming_is_a_wish_of_every_turn_and_not_of_a_summary():
    d = begun(SUMMARIZE + "\n        stream: true")
    assert d.call().args["stream"] is True
    for _ in range(3):
        turn(d)
    assert "stream" not in d.call().args


# What it may cost


def cost(dollars):
    return {"inputTokens": 10, "outputTokens": 1, "model": "m", "cost": dollars}


def test_a_limit_on_cost_is_looked_at_before_each_request():
    d = begun("tools: [weather]\n        limits: {cost: 0.05}")
    d.complete(wants(LISBON), usage=cost(0.02)).complete("a")
    d.complete(wants(LISBON), usage=cost(0.03)).complete("b")
    assert not d.calls()
    assert d.error["detail"].startswith(
        "The agent has no final answer and limits.cost is 0.05 US dollars: "
        "it has used 2 turns and 22 tokens for 0.05 US dollars."
    )


@pytest.mark.parametrize("usage", [{"model": "m"}, {"model": "m", "cost": "1"}, {"model": "m", "cost": -1}])
def test_a_limit_on_cost_needs_a_price(usage):
    d = begun("tools: [weather]\n        limits: {cost: 5}").complete(wants(LISBON), usage=usage).complete("a")
    assert d.error["type"].endswith("/configuration")
    assert "price of the model 'm' is not known" in d.error["detail"]


def test_what_a_sub_agent_spends_is_its_callers_too():
    d = begun("tools: [sub]\n        limits: {cost: 0.05}", head=USE).complete(
        wants(("sub", {"id": "x"})), usage=cost(0.01)
    )
    d.complete(wants(LISBON), usage=cost(0.04))
    d.complete("sunny")
    assert "limits.cost is 0.05" in d.error["detail"]
    assert "2 turns" not in d.error["detail"]  # its own turns are its own


def test_a_sub_agents_turns_are_not_its_callers():
    d = begun("tools: [sub]\n        limits: {turns: 2}", head=USE).complete(wants(("sub", {"id": "x"})))
    for _ in range(3):
        turn(d)
    d.complete(says("sub done"))
    assert d.complete(says("done")).output == "done"
