"""The agent loop: every branch as a dialogue (language.md 5.2, 5.3, 5.4)."""

import json

import pytest

from perdure.errors import Invalid
from perdure.interpreter import agent_messages, handles
from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter.agent import DEEPEST
from perdure.interpreter.agent_errands import AT_ONCE
from perdure.interpreter.machine import compile as compile_document
from tests.unit.interpreter.dialogue import Dialogue, document

TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Catalog:
    """Functions as the installation knows them."""

    def __init__(self, **effects):
        self.effects = {"weather": "read", "note": "unsafe", **effects}

    def names(self):
        return ["agent", *self.effects]

    def schema_of(self, name, version):
        return {} if name in self.names() else None

    def describe(self, name, version):
        if name not in self.effects:
            return None
        told = {"name": name, "version": version or "1.2.0", "description": f"About {name}.", "parameters": TOOL}
        return {**told, "effect": self.effects[name]}


def agent(with_="", rest="", head="", functions=None, **options):
    text = f"""
{head}
do:
  - ask:
      call: agent
      with:
        instruction: Find out.
        input: '${{ .question }}'
        {with_}
{rest}
"""
    return Dialogue(text, functions=functions or Catalog(), **options)


def begun(with_="tools: [weather, note]", rest="", **options):
    return agent(with_, rest, **options).start({"question": "Rain?"})


def wants(*calls, text="", **more):
    made = [{"id": f"c{index}", "name": name, "arguments": arguments} for index, (name, arguments) in enumerate(calls)]
    return {"text": text, "toolCalls": made, "finish": "tools", **more}


def says(text, **more):
    return {"text": text, "toolCalls": [], "finish": "stop", **more}


USAGE = {"inputTokens": 10, "outputTokens": 5, "model": "m"}
LISBON = ("weather", {"city": "Lisbon"})


def messages(d, position=0):
    return d.call(position).args["messages"]


# The loop


def test_a_question_two_tools_at_once_and_an_answer():
    d = begun()
    first = d.call()
    assert (first.function, first.version, first.path, first.ref) == ("model", "1", "/do/0/ask/turn#1", "/do/0/ask")
    assert [message["role"] for message in first.args["messages"]] == ["system", "user"]
    assert first.args["messages"][0]["content"].startswith("Find out.\n")
    assert first.args["messages"][1]["content"] == "Rain?"
    assert first.args["tools"] == [
        {"name": name, "description": f"About {name}.", "parameters": TOOL} for name in ("weather", "note")
    ]
    d.complete(wants(LISBON, ("note", {"city": "Porto"}), text="Looking."), usage=USAGE)
    assert [(call.function, call.version, call.args, call.path) for call in d.calls()] == [
        ("weather", "1.2.0", {"city": "Lisbon"}, "/do/0/ask/turn#1/tool#0"),
        ("note", "1.2.0", {"city": "Porto"}, "/do/0/ask/turn#1/tool#1"),
    ]
    keys = [command.key for command in d.given if isinstance(command, c.ScheduleCall)]
    assert len(set(keys)) == 3
    d.complete({"rain": True}, position=1).complete("sunny")
    assert messages(d)[2:] == [
        {
            "role": "assistant",
            "content": "Looking.",
            "toolCalls": wants(LISBON, ("note", {"city": "Porto"}))["toolCalls"],
        },
        {"role": "tool", "toolCall": "c0", "content": "sunny"},
        {"role": "tool", "toolCall": "c1", "content": '{"rain":true}'},
    ]
    assert d.call().path == "/do/0/ask/turn#2"
    d.complete(says("No rain."), usage=USAGE)
    assert d.output == "No rain."


def test_the_timeline_tells_turns_tools_and_tokens():
    d = begun()
    d.complete(wants(LISBON), usage=USAGE).complete("sunny").complete(says("Yes."), usage=USAGE)
    assert [(x.path, x.data.get("tool"), x.data.get("usage")) for x in d.told("task.completed")] == [
        ("/do/0/ask/turn#1", None, USAGE),
        ("/do/0/ask/turn#1/tool#0", "weather", None),
        ("/do/0/ask/turn#2", None, USAGE),
        ("/do/0/ask", None, None),
    ]
    assert set(d.refs("task.")) == {"/do/0/ask"}
    assert d.paths("task.started") == [
        "/do/0/ask",
        "/do/0/ask/turn#1",
        "/do/0/ask/turn#1/tool#0",
        "/do/0/ask/turn#2",
    ]


@pytest.mark.parametrize("name", ["agent", "agent:1.0.0", "agent@default", "'agent:1@default'"])
def test_every_spelling_is_the_loop(name):
    d = Dialogue(f"do: [{{a: {{call: {name}, with: {{instruction: Say hi.}}}}}}]", functions=Catalog()).start()
    assert d.call().function == "model"
    assert messages(d)[1] == {"role": "user", "content": "Say hi."}
    assert "tools" not in d.call().args
    assert d.complete(says("hi")).output == "hi"


def test_a_function_of_the_document_named_agent_is_that_function():
    d = Dialogue("use: {functions: {agent: {set: {own: true}}}}\ndo: [{a: {call: agent}}]").start()
    assert d.output == {"own": True}


def test_data_flow_and_model_parameters():
    earlier = "memory: [{role: user, content: a}, {role: assistant, content: b}]"
    given = ["model: '${ \"m\" }'", "provider: p", "parameters: {temperature: 1}", earlier]
    d = begun("\n        ".join(given), "      output: {as: '{said: .}'}\n  - next: {set: '{got: .said}'}")
    args = d.call().args
    assert (args["model"], args["provider"], args["parameters"]) == ("m", "p", {"temperature": 1})
    assert [m["content"] for m in args["messages"][1:]] == ["a", "b", "Rain?"]
    assert d.complete({"text": "x"}).output == {"got": "x"}


def test_input_that_is_no_text_is_shown_as_json():
    d = agent().start({"question": {"a": [1]}})
    assert messages(d)[1]["content"] == '{"a":[1]}'


# What the model gets wrong


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("guess", {}), "Error: There is no tool 'guess'. The tools are: weather, note."),
        (("weather", "{oops"), "Error: The arguments are not a JSON object. The call was not made."),
        (("weather", {"town": 1}), "Error: The arguments do not fit, and the call was not made:"),
    ],
)
def test_a_call_that_cannot_be_made_is_told_to_the_model(call, said):
    d = begun().complete(wants(call))
    assert d.call().function == "model"
    assert messages(d)[-1]["content"].startswith(said)


def test_without_tools_every_call_is_unknown():
    d = agent().start({"question": "?"}).complete(wants(LISBON))
    assert messages(d)[-1]["content"].endswith("The tools are: none.")


def test_calls_beyond_the_most_at_once_are_not_made():
    d = begun().complete(wants(*[LISBON] * (AT_ONCE + 1)))
    assert len(d.calls()) == AT_ONCE
    for _ in range(AT_ONCE):
        d.complete("sunny")
    assert messages(d)[-1]["content"].startswith(f"Error: More than {AT_ONCE} tool calls at once.")


@pytest.mark.parametrize(
    "answer", [None, "text", {"text": 1}, {"text": "", "toolCalls": [{}]}, {"text": "", "finish": "?"}]
)
def test_what_is_no_answer_is_a_communication_fault(answer):
    error = begun().complete(answer).error
    assert error["type"].endswith("/communication")
    assert error["instance"] == "/do/0/ask"


def test_a_refusal_is_a_validation_fault():
    error = begun().complete(says("", finish="refused")).error
    assert (error["type"].rpartition("/")[2], error["detail"]) == ("validation", "The model refused to answer.")


# Structured answers

SCHEMA = "output: {type: object, required: [n], properties: {n: {type: integer}}}"


def test_a_structured_answer():
    d = begun(SCHEMA)
    assert d.call().args["output"]["required"] == ["n"]
    assert d.complete(says('{"n": 3}')).output == {"n": 3}


def test_an_answer_that_does_not_fit_is_corrected():
    d = begun(SCHEMA).complete(says('{"n": "x"}'))
    assert [message["role"] for message in messages(d)[2:]] == ["assistant", "user"]
    assert "at /n. Answer again" in messages(d)[-1]["content"]
    d.complete(says("three"))
    assert "It is not JSON." in messages(d)[-1]["content"]
    assert d.complete(says('{"n": 3}')).output == {"n": 3}


def test_after_two_corrections_it_is_a_validation_fault():
    d = begun(SCHEMA).complete(says("a")).complete(says("b")).complete(says("{}"))
    assert d.error["type"].endswith("/validation")
    assert "after 2 corrections" in d.error["detail"]
    assert d.error["detail"].endswith("at the root.")


def test_an_answer_that_was_cut_says_so():
    d = begun(SCHEMA).complete(says('{"n": ', finish="length"))
    assert "It was cut at the limit of tokens. It is not JSON." in messages(d)[-1]["content"]


@pytest.mark.parametrize("depth", [DEEPEST + 1, 100_000])
def test_an_answer_that_is_nested_too_deeply_does_not_fit(depth):
    d = begun("output: true").complete(says("[" * depth + "]" * depth))
    assert "nested more than" in messages(d)[-1]["content"]


def test_only_a_definition_can_make_a_handle():
    d = begun("output: true").complete(says('{"$perdure.secret": ["token"]}'))
    assert d.output == {"$$perdure.secret": ["token"]}
    assert handles.restore(d.output) == {"$perdure.secret": ["token"]}


# Limits


def test_turns():
    d = begun("tools: [weather]\n        limits: {turns: 2}")
    d.complete(wants(LISBON), usage=USAGE).complete("x").complete(wants(LISBON), usage=USAGE).complete("x")
    assert (d.error["type"].rpartition("/")[2], d.error["title"]) == ("runtime", "agent limit reached")
    assert d.error["detail"] == (
        "The agent has no final answer and limits.turns is 2: it has used 2 turns and 30 tokens."
    )
    assert d.error["instance"] == "/do/0/ask"


def test_tokens_also_after_a_call_that_could_not_be_made():
    d = begun("tools: [weather]\n        limits: {tokens: '${ 14 }'}").complete(wants(("no", {})), usage=USAGE)
    assert "limits.tokens is 14: it has used 1 turns and 15 tokens" in d.error["detail"]


def test_tokens_after_a_tool_that_failed():
    d = begun("tools: [weather]\n        limits: {tokens: 15}").complete(wants(LISBON), usage=USAGE)
    assert "limits.tokens" in d.fail(404).error["detail"]


def test_tokens_when_the_usage_is_odd():
    d = begun("tools: [weather]\n        limits: {tokens: 15}").complete(wants(("no", {})), usage={"inputTokens": "x"})
    assert d.complete(says("fine")).output == "fine"


def test_duration_bounds_the_requests_and_is_checked_before_each():
    d = begun("tools: [weather]\n        limits: {duration: PT10S}", "      timeout: {after: PT1M}")
    assert d.call().deadline == d.now + 10_000
    d.complete(wants(LISBON))
    assert d.call().deadline == d.now + 10_000
    d.pass_time(10_000).complete("late")
    assert "limits.duration ended at 2023-11-14T22:13:30.000Z" in d.error["detail"]


def test_a_request_that_the_duration_ends_is_a_limit_too():
    d = begun("limits: {duration: {seconds: 10}}").pass_time(10_000).fail(408, outcome="unknown")
    assert d.error["title"] == "agent limit reached"
    d = begun("limits: {duration: {seconds: 10}}").pass_time(9_000).fail(503)
    assert d.error["status"] == 503


def test_a_caught_limit_lets_the_run_go_on():
    text = """
    do:
      - guarded:
          try:
            - ask: {call: agent, with: {instruction: i, tools: [weather], limits: {turns: 1}}}
          catch: {do: [{tell: {set: '{title: $error.title}'}}]}
    """
    d = Dialogue(text, functions=Catalog()).start().complete(wants(LISBON)).complete("x")
    assert d.output == {"title": "agent limit reached"}


@pytest.mark.parametrize(
    ("with_", "name"),
    [
        ("limits: {turns: '${ 0 }'}", "validation"),
        ("limits: {duration: '${ \"soon\" }'}", "validation"),
        ("limits: {cost: '${ 0 }'}", "validation"),
        ("model: '${ $secrets.token }'", "authorization"),
        ("memory: '${ 1 + {} }'", "expression"),
    ],
)
def test_arguments_that_do_not_fit_are_a_fault(with_, name):
    d = agent(with_, head="use: {secrets: [token]}").start({"question": "?"})
    assert d.error["type"].endswith(f"/{name}")


# Faults, retries, operators


def test_a_tool_that_fails_is_told_to_the_model():
    d = begun().complete(wants(LISBON, LISBON)).fail(404, detail="No such city.")
    assert d.paths("task.faulted") == ["/do/0/ask/turn#1/tool#0"]
    d.complete("sunny")
    assert [m["content"] for m in messages(d)[-2:]] == ["Error: No such city.", "sunny"]
    d.complete(says("ok"))
    assert d.output == "ok"


def test_the_last_tool_to_fail_lets_the_agent_go_on():
    d = begun().complete(wants(LISBON)).fail(500, outcome="unknown")
    assert messages(d)[-1]["content"].startswith("Error: https://")
    assert messages(d)[-1]["content"].endswith("It is not known whether it happened all the same.")


def test_an_unsafe_tool_that_was_refused_is_told_to_the_model():
    d = begun().complete(wants(("note", {"city": "Porto"}))).fail(409, title="Taken")
    assert messages(d)[-1]["content"] == "Error: Taken"


def unknown():
    d = begun().complete(wants(LISBON, ("note", {"city": "Porto"})))
    d.key = d.call(1).key
    return d.fail(500, position=1, outcome="unknown", title="outcome unknown")


def test_an_unsafe_tool_with_an_unknown_outcome_is_the_fault_of_the_run():
    d = unknown()
    assert (d.error["title"], d.error["instance"]) == ("outcome unknown", "/do/0/ask")
    assert not d.calls()


def test_an_operator_retries_the_tool_with_its_key():
    d = unknown().do(e.OperatorPatch, action="retry")
    assert [(call.function, call.path) for call in d.calls()] == [
        ("weather", "/do/0/ask/turn#1/tool#0"),
        ("note", "/do/0/ask/turn#1/tool#1~~2"),
    ]
    assert d.call(1).key == d.key
    d.complete("noted", position=1).complete("sunny")
    assert [m["content"] for m in messages(d)[-2:]] == ["sunny", "noted"]


def test_an_operator_says_what_the_tool_gave():
    d = unknown().do(e.OperatorPatch, action="skip", output={"id": 7}, has_output=True).complete("sunny")
    assert [m["content"] for m in messages(d)[-2:]] == ["sunny", '{"id":7}']
    assert d.complete(says("ok")).output == "ok"


def test_a_request_that_fails_is_the_fault_of_the_agent_and_can_be_retried():
    d = begun().complete(wants(LISBON)).complete("sunny").fail(503)
    assert d.error["status"] == 503
    d.do(e.OperatorPatch, action="retry")
    assert d.call().path == "/do/0/ask/turn#2~~2"
    assert [m["role"] for m in messages(d)] == ["system", "user", "assistant", "tool"]
    assert d.complete(says("ok")).output == "ok"


def test_an_operator_answers_in_the_model_s_place():
    d = begun().do(e.OperatorPatch, action="skip", path="/do/0/ask/turn#1", output={"text": "mine"}, has_output=True)
    assert d.output == "mine"


def test_an_operator_retries_a_step_under_way_and_skips_the_agent():
    d = begun().complete(wants(LISBON)).do(e.OperatorPatch, action="retry", path="/do/0/ask/turn#1/tool#0")
    assert d.call().path == "/do/0/ask/turn#1/tool#0~~2"
    d.do(e.OperatorPatch, action="retry", path="/do/0/ask/turn#1/errand#0")
    assert d.call().path == "/do/0/ask/turn#1/tool#0~~2"
    d.do(e.OperatorPatch, action="skip", path="/do/0/ask", output=1, has_output=True)
    assert d.output == 1
    assert not d.calls()


RETRY = """
do:
  - guarded:
      try:
        - ask: {call: agent, with: {instruction: i, tools: [weather, note]}}
      catch: {retry: {limit: {attempt: {count: 3}}}}
"""


def test_a_retry_uses_a_key_again_only_for_the_same_request_and_the_same_call():
    d = Dialogue(RETRY, functions=Catalog()).start()
    asked = d.call().key
    d.fail(500, outcome="unknown")
    assert (d.call().key, d.call().path) == (asked, "/do/0/guarded~2/try/0/ask/turn#1")
    d.complete(wants(("note", {"city": "Porto"})))
    noted = d.call().key
    d.fail(500, outcome="unknown")
    again = d.call().key
    d.complete(wants(("note", {"city": "Faro"})))
    assert d.call().key not in (noted, again)
    d.fail(500, outcome="unknown")
    d.complete(wants(("note", {"city": "Porto"})))
    assert d.call().key == noted


def test_a_retry_inside_a_tool_keeps_its_key_and_forgets_it_afterwards():
    d = Dialogue(
        """
        use:
          functions:
            careful: {do: [{t: {try: [{n: {call: note}}], catch: {retry: {limit: {attempt: {count: 3}}}}}}]}
        do:
          - guarded:
              try: [{ask: {call: agent, with: {instruction: i, tools: [careful]}}}]
              catch: {retry: {limit: {attempt: {count: 3}}}}
        """,
        functions=Catalog(),
    ).start()
    d.complete(wants(("careful", {"a": 1})))
    key = d.call().key
    d.fail(500, outcome="unknown")
    assert (d.call().key, list(d.state["keys"])) == (key, [])
    d.fail(500, outcome="unknown").fail(500)
    assert d.call().path.endswith("turn#1/tool#0/function/do/0/t~4/try/0/n")
    assert d.call().key != key
    d.complete("noted")
    assert d.state["keys"] == {}
    d.complete(wants(("careful", {"a": 2}))).fail(500, outcome="unknown").do(
        e.OperatorPatch, action="skip", path="/do/0/guarded/try/0/ask", output=1, has_output=True
    )
    assert (d.output, d.state["keys"]) == (1, {})


def test_a_task_limit_ends_everything_under_way():
    d = begun(rest="      timeout: {after: PT5S}").complete(wants(LISBON, ("note", {"city": "P"}))).pass_time(5_000)
    assert d.error["type"].endswith("/timeout")
    assert not d.calls()
    assert set(d.paths("task.cancelled")) == {"/do/0/ask/turn#1/tool#0", "/do/0/ask/turn#1/tool#1"}


@pytest.mark.parametrize("tools", [False, True])
def test_cancelled_at_any_point(tools):
    d = begun()
    if tools:
        d.complete(wants(LISBON, LISBON))
    d.do(e.CancelRequested)
    assert (d.status, d.calls()) == ("cancelled", [])


def test_suspended_and_resumed():
    d = begun().complete(wants(LISBON, LISBON)).do(e.SuspendRequested).complete("a")
    d.complete("b")
    assert not d.calls()
    d.do(e.ResumeRequested)
    assert [m["content"] for m in messages(d)[-2:]] == ["a", "b"]


# Functions of the document as tools

USE = """
use:
  functions:
    lookup:
      metadata: {description: Looks it up.}
      input: {schema: {document: {type: object, required: [id]}}}
      do: [{get: {call: weather, with: {city: '${ .id }'}}}, {shape: {set: '{found: .}'}}]
    stop: {do: [{over: {set: {stopped: true}, then: end}}]}
    sub: {call: agent, with: {instruction: Sub., input: '${ .id }', tools: [weather]}}
"""


def test_a_function_of_the_document_is_a_tool():
    d = begun("tools: [lookup]", head=USE)
    shown = d.call().args["tools"][0]
    assert shown == {
        "name": "lookup",
        "description": "Looks it up.",
        "parameters": {"type": "object", "required": ["id"]},
    }
    d.complete(wants(("lookup", {"id": "x"})))
    assert (d.call().path, d.call().args) == ("/do/0/ask/turn#1/tool#0/function/do/0/get", {"city": "x"})
    d.complete(5)
    assert messages(d)[-1]["content"] == '{"found":5}'


def test_a_fault_inside_it_is_told_unless_an_outcome_is_unknown():
    d = begun("tools: [lookup]", head=USE).complete(wants(("lookup", {"id": "x"}))).fail(404, detail="Gone.")
    assert messages(d)[-1]["content"] == "Error: Gone. This happened at /use/functions/lookup/do/0/get."
    d.complete(wants(("lookup", {"id": "x"}))).fail(500, outcome="unknown")
    assert d.status == "faulted"


def test_its_end_is_the_end_of_the_run():
    d = begun("tools: [stop, weather]", "  - never: {set: {x: 1}}", head=USE)
    d.complete(wants(LISBON, ("stop", {})))
    assert d.output == {"stopped": True}
    assert not d.calls()


def test_an_agent_as_the_tool_of_an_agent():
    d = begun("tools: [sub]", head=USE).complete(wants(("sub", {"id": "x"})))
    assert d.call().path == "/do/0/ask/turn#1/tool#0/function/turn#1"
    assert messages(d)[1]["content"] == "x"
    d.complete(wants(LISBON)).complete("sunny").complete(says("It is sunny."))
    assert messages(d)[-1]["content"] == "It is sunny."


def test_an_agent_that_calls_itself_without_end_is_a_fault():
    head = "use: {functions: {me: {call: agent, with: {instruction: again, tools: [me]}}}}"
    d = begun("tools: [me]", head=head, snapshots=False)
    for _ in range(99):
        d.complete(wants(("me", {})))
    d.complete(wants(("me", {})))
    assert "more than 100 deep" in messages(d)[-1]["content"]


# Approval

APPROVAL = "tools: [weather, note]\n        approval: [note]"
PORTO = ("note", {"city": "Porto"})
DECIDED = "dev.perdure.approval.decided.v1"


def asked(**options):
    d = begun(APPROVAL, **options).complete(wants(LISBON, PORTO))
    return d, d.emitted()


@pytest.mark.parametrize("head", ["", "evaluate: {mode: loose}"])
def test_a_person_approves_the_exact_arguments(head):
    d, event = asked(head=head)
    assert event["type"] == "dev.perdure.approval.requested.v1"
    data = event["data"]
    assert (data["tool"], data["arguments"], data["run"], data["task"]) == ("note", PORTO[1], "run-1", "/do/0/ask")
    assert [call.function for call in d.calls()] == ["weather"]
    subscribed = next(o for o in d.open.values() if isinstance(o, c.Subscribe))
    assert subscribed.filters[0]["correlate"]["request"]["expect"] == event["id"]
    d.event(DECIDED, {"approved": True, "hash": data["hash"]}, subject="another")
    d.event(DECIDED, {"approved": True, "hash": "of other arguments"}, subject=event["id"])
    d.event(DECIDED, {"approved": True}, subject=event["id"])
    d.event(DECIDED, "yes", subject=event["id"])
    assert [call.function for call in d.calls()] == ["weather"]
    d.event(DECIDED, {"approved": True, "hash": data["hash"]}, subject=event["id"])
    assert (d.call(1).function, d.call(1).args, d.call(1).path) == ("note", PORTO[1], "/do/0/ask/turn#1/tool#1")
    d.complete("noted", position=1).complete("sunny")
    assert [m["content"] for m in messages(d)[-2:]] == ["sunny", "noted"]


@pytest.mark.parametrize(
    ("more", "said"),
    [({}, "It was not made."), ({"reason": "Too far."}, "The reason given: Too far."), ({"reason": 7}, "made.")],
)
def test_a_refusal_is_told_to_the_model(more, said):
    d, event = asked()
    decision = {"approved": "yes" if more == {"reason": 7} else False, "hash": event["data"]["hash"], **more}
    d.event(DECIDED, decision, subject=event["id"]).complete("sunny")
    last = messages(d)[-1]["content"]
    assert last.startswith("Error: A person refused this call of note. It was not made.")
    assert last.endswith(said)


def test_an_operator_decides_in_the_person_s_place():
    d, _event = asked()
    place = "/do/0/ask/turn#1/tool#1/approval/1/answer"
    d.do(e.OperatorPatch, action="skip", path=place, output="no", has_output=True).complete("sunny")
    assert "A person refused" in messages(d)[-1]["content"]


def test_an_approval_that_cannot_be_asked_for_is_a_fault():
    d = begun(APPROVAL).complete(wants(PORTO))
    emit = next(o for o in d.open.values() if isinstance(o, c.Emit))
    d.hand(e.CallFailed(now=d.now, id=emit.id, error={"type": "x", "status": 500}))
    assert d.error["type"] == "x"


def test_extensions_of_the_document_are_not_put_around_the_steps():
    head = "use: {extensions: [{log: {extend: all, before: [{say: {call: log}}]}}]}"
    d = begun(APPROVAL, head=head, functions=Catalog(log="read"))
    assert d.call().function == "log"
    d.complete({"question": "Rain?"})
    assert d.call().function == "model"
    d.complete(wants(PORTO))
    assert d.emitted() is not None


# What the conversation may hold


def test_a_long_result_is_cut():
    d = begun().complete(wants(LISBON)).complete("x" * 20_000)
    assert messages(d)[-1]["content"] == "x" * 16_000 + "\n[cut: the first 16000 of 20000 characters]"


def test_what_models_and_tools_say_is_never_evaluated():
    d = agent("tools: [weather]", "      output: {as: '{said: .}'}").start({"question": "${ 1 + 1 }"})
    assert messages(d)[1]["content"] == "${ 1 + 1 }"
    d.complete(wants(LISBON)).complete({"$perdure.secret": ["x"], "y": "${ $secrets.x }"})
    assert messages(d)[-1]["content"] == '{"$perdure.secret":["x"],"y":"${ $secrets.x }"}'
    assert d.complete(says("${ $workflow }")).output == {"said": "${ $workflow }"}


def test_the_oldest_results_are_left_out_of_a_long_conversation(monkeypatch):
    monkeypatch.setattr(agent_messages, "CONTEXT", 8_000)
    d = begun()
    for letter in "abcd":
        d.complete(wants(LISBON, LISBON)).complete("short").complete(letter * 3_000)
    told = [m["content"][:20] for m in messages(d) if m["role"] == "tool"]
    assert told[:2] == ["short", agent_messages.LEFT_OUT[:20]]
    assert told[-1] == "d" * 20
    d.complete(wants(LISBON)).complete("e" * 9_000)
    assert [m["content"][:1] for m in messages(d) if m["role"] == "tool" and len(m["content"]) > 50] == ["e"]


def test_what_is_given_out_is_not_changed_afterwards():
    d = begun()
    first = d.call()
    said = json.dumps(first.args)
    d.complete(wants(LISBON)).complete("sunny")
    assert json.dumps(first.args) == said


# Compiling


def test_tools_are_pinned_with_the_program():
    text = document("do: [{a: {call: agent, with: {instruction: i, tools: [weather, 'note:2.0.0']}}}]")
    program = compile_document(text, None, Catalog())
    assert set(program.resources) == {"perdure:tools/weather", "perdure:tools/note:2.0.0"}
    again = compile_document(text, program.resources, Catalog(weather="unsafe"))
    assert again.hash == program.hash
    assert again.nodes["/do/0/a"].body.tools["weather"].is_safe
    assert compile_document(text, None, Catalog(weather="unsafe")).hash != program.hash


def test_a_tool_can_be_described_in_the_document():
    tool = "{name: weather, version: '2', description: Mine., parameters: {type: object}}"
    d = begun(f"tools: [{tool}]")
    assert d.call().args["tools"] == [{"name": "weather", "description": "Mine.", "parameters": {"type": "object"}}]
    d.complete(wants(("weather", {"any": 1})))
    assert (d.call().version, d.call().args) == ("2", {"any": 1})
    d = Dialogue(f"do: [{{a: {{call: agent, with: {{instruction: i, tools: [{tool}]}}}}}}]").start()
    assert d.complete(wants(("weather", {}))).call().version == "2"


@pytest.mark.parametrize(
    ("with_", "said"),
    [
        ("'${ . }'", "are a map"),
        ("{tools: '${ . }'}", "must be written out"),
        ("{tools: ['${ .x }']}", "there is no function"),
        ("{tools: [guess]}", "there is no function 'guess'"),
        ("{tools: [http]}", "`http` cannot be a tool itself"),
        ("{tools: [weather, 'weather:1.2.0@default']}", "there are two tools named 'weather'"),
        ("{tools: [odd name]}", "cannot be a tool: models take letters"),
        ("{tools: [{name: weather, parameters: {type: 7}}]}", "the parameters of weather are not usable"),
        ("{approval: [weather]}", "there is no tool 'weather' in `tools`"),
        ("{output: {type: 7}}", "/do/0/a/with/output"),
    ],
)
def test_what_cannot_be_compiled(with_, said):
    with pytest.raises(Invalid, match=".") as refused:
        Dialogue(
            f"use: {{functions: {{odd name: {{set: {{}}}}}}}}\ndo: [{{a: {{call: agent, with: {with_}}}}}]",
            functions=Catalog(),
        )
    assert said in str(refused.value)


def test_a_tool_of_which_nothing_is_known():
    with pytest.raises(Invalid, match="nothing is known of the function 'weather'"):
        Dialogue("do: [{a: {call: agent, with: {instruction: i, tools: [weather]}}}]")


def test_without_arguments_it_says_what_is_missing():
    assert "instruction" in Dialogue("do: [{a: {call: agent}}]").start().error["detail"]
