"""Extensions: E9."""

from perdure.interpreter.events import OperatorPatch
from tests.unit.interpreter.dialogue import run

LOG = """
use:
  extensions:
    - log:
        extend: %s
        before: [{enter: {call: log, with: {at: before, ref: '${ $task.reference }', dot: '${ . }'}}}]
        after: [{leave: {call: log, with: {at: after, name: '${ $task.name }', dot: '${ . }'}}}]
"""


def test_before_gets_the_raw_input_and_after_the_transformed_output():
    d = run(
        LOG % "set" + "do: [{a: {input: {from: .x}, set: '{v: .}', output: {as: .v}}}]",
        {"x": 7},
    )
    assert d.call().args == {"at": "before", "ref": "/do/0/a", "dot": {"x": 7}}
    assert d.call().path == "/do/0/a/extensions/0/log/before/0/enter"
    assert d.call().ref == "/use/extensions/0/log/before/0/enter"
    d.complete("discarded")
    assert d.call().args == {"at": "after", "name": "a", "dot": 7}
    assert d.complete("discarded").output == 7


def test_extension_tasks_are_not_extended_themselves():
    d = run(LOG % "all" + "do: [{a: {call: noop}}]")
    assert [d.call().function, d.complete().call().function, d.complete(1).call().function] == ["log", "noop", "log"]
    assert d.complete().output == 1


def test_composites_and_kinds():
    d = run(LOG % "composite" + "do: [{a: {do: [{s: {set: {v: 1}}}]}}]")
    d.complete().complete()
    assert d.output == {"v": 1}
    assert run(LOG % "wait" + "do: [{a: {set: {v: 1}}}]").output == {"v": 1}


def test_several_before_in_order_and_after_in_reverse():
    d = run(
        """
        use:
          extensions:
            - one: {extend: set, before: [{x: {call: b1}}], after: [{x: {call: a1}}]}
            - two: {extend: all, when: 'true', before: [{x: {call: b2}}], after: [{x: {call: a2}}]}
            - no: {extend: set, when: 'false', before: [{x: {call: b3}}], after: [{x: {call: a3}}]}
            - only: {extend: set, after: [{x: {call: a4}}]}
        do: [{a: {set: {v: 1}}}]
        """
    )
    seen = []
    while d.calls():
        seen.append(d.call().function)
        d.complete()
    assert seen == ["b1", "b2", "a4", "a2", "a1"]
    assert d.output == {"v": 1}


MOCK = """
use:
  extensions:
    - mock:
        extend: call
        when: '$task.definition.with.endpoint.uri | startswith("https://mocked")'
        before: [{m: {set: {content: {foo: bar}}, then: exit}}, {never: {call: x}}]
        after: [{m: {call: after}}]
do:
  - a:
      call: http
      with: {method: get, endpoint: {uri: %s}}
      output: {as: '{got: .content}'}
      export: {as: '{seen: .}'}
      then: c
  - b: {set: {v: b}, then: end}
  - c: {set: '{c: ., context: $context}'}
"""


def test_exit_in_before_replaces_the_task():
    d = run(MOCK % "https://mocked.example")
    assert d.call().function == "after"
    got = {"got": {"foo": "bar"}}
    assert d.complete().output == {"c": got, "context": {"seen": got}}
    assert "/do/0/a" in d.paths("task.completed")


def test_when_decides():
    d = run(MOCK % "https://real.example")
    assert d.call().function == "http"
    assert d.complete({"content": 1}).output == {"c": {"got": 1}, "context": {"seen": {"got": 1}}}


def test_a_skipped_task_is_not_extended():
    d = run(LOG % "set" + "do: [{a: {if: .go, set: {v: 1}}}]", {"go": False})
    assert d.output == {"go": False}


def test_end_in_an_extension_and_in_the_task():
    text = "use: {extensions: [{x: {extend: set, before: [{b: {wait: PT0S, then: end}}]}}]}\ndo: [{a: {set: {v: 1}}}]"
    assert run(text, {"in": 1}).output == {"in": 1}
    d = run(
        LOG % "do".replace("do", "composite") + "do: [{a: {do: [{s: {set: {v: 1}, then: end}}]}}, {b: {set: {v: 2}}}]"
    )
    d.complete()
    assert d.complete().output == {"v": 1}


def test_faults_in_extensions_fault_the_task():
    error = run(LOG % "set" + "do: [{a: {set: {v: 1}}}]").fail(503).error
    assert error["instance"] == "/use/extensions/0/log/before/0/enter"
    text = "use: {extensions: [{x: {extend: set, when: .v, before: [{b: {set: {v: 1}}}]}}]}\ndo: [{a: {set: {v: 1}}}]"
    assert run(text, {"v": 1}).error["instance"] == "/do/0/a"
    text = MOCK.replace("'{got: .content}'", ".content.foo.x")
    d = run(text % "https://mocked.example")
    assert d.error["instance"] == "/do/0/a"


def test_visits_of_an_extended_task_and_jumps_inside_an_extension():
    d = run(
        """
        use:
          extensions:
            - x:
                extend: set
                before:
                  - n: {call: count}
                  - s: {switch: [{again: {when: . < 2, then: n}}, {done: {then: continue}}]}
        do:
          - a: {set: {n: '${ (.n // 0) + 1 }'}}
          - s: {switch: [{again: {when: .n < 2, then: a}}, {done: {then: end}}]}
        """
    )
    paths = []
    for answer in (1, 2, 2):
        paths.append(d.call().path)
        d.complete(answer)
    assert paths == [
        "/do/0/a/extensions/0/x/before/0/n",
        "/do/0/a/extensions/0/x/before/0/n+2",
        "/do/0/a+2/extensions/0/x/before/0/n",
    ]
    assert d.output == {"n": 2}
    assert "/do/0/a+2" in d.paths("task.completed")


def test_an_operator_enters_an_extended_task_again():
    text = MOCK.replace("'{got: .content}'", ".content.foo.x").replace("- m: {call: after}", "- m: {set: {v: 1}}")
    d = run(
        text.replace("then: exit}}, {never", "then: exit, if: $context.x == null}}, {never") % "https://mocked.example"
    )
    d.do(OperatorPatch, action="retry")
    assert d.error["instance"] == "/do/0/a"
    d = run(
        """
        use: {extensions: [{x: {extend: composite, before: [{b: {call: before}}]}}]}
        do: [{outer: {do: [{a: {do: [{x: {call: one}}]}}]}}]
        """
    )
    key = d.complete().complete().call().key
    d.fail(outcome="unknown").do(OperatorPatch, action="retry", path="/do/0/outer/do/0/a")
    assert (d.call().path, d.call().key) == ("/do/0/outer/do/0/a~~2/do/0/x", key)
    d.complete(1)
    assert d.output == 1


def test_a_stand_in_that_failed_may_give_way_to_the_task():
    d = run(
        """
        use:
          extensions:
            - x:
                extend: composite
                before: [{b: {call: ask}}, {s: {switch: [{x: {when: . == 1, then: exit}}, {y: {then: continue}}]}}]
        do: [{a: {do: [{x: {call: one}}], output: {as: .v.w}}}]
        """
    )
    d.complete(1)
    assert d.status == "faulted"
    d.do(OperatorPatch, action="retry").complete(2)
    assert d.call().path == "/do/0/a~~2/do/0/x"
    assert d.complete({"v": {"w": 5}}).output == 5


def test_the_raw_output_is_known_after_the_task_and_after_a_replaced_one():
    text = """
    use:
      extensions:
        - x:
            extend: set
            before: [{b: {if: $task.input.replace, set: {replaced: true}, then: exit}}]
            after: [{l: {call: log, with: {raw: '${ $task.output }', in: '${ $task.input }', out: '${ . }'}}}]
    do: [{a: {set: {v: 1}, output: {as: '{as: .}'}}}]
    """
    seen = run(text, {"replace": False}).call().args
    assert seen == {"raw": {"v": 1}, "in": {"replace": False}, "out": {"as": {"v": 1}}}
    seen = run(text, {"replace": True}).call().args
    assert seen == {"raw": {"replaced": True}, "in": {"replace": True}, "out": {"as": {"replaced": True}}}


def test_what_ends_the_run_from_an_extension_gives_it_no_output_of_its_own():
    text = "use: {extensions: [{x: {extend: set, %s: [{e: {do: [{w: {wait: PT0S, output: {as: '{own: 1}'}}}], then: end}}]}}]}\n"
    text += "do: [{a: {set: {v: 1}}}, {b: {wait: PT1H}}]"
    assert run(text % "after", {"in": 1}).output == {"v": 1}
    assert run(text % "before", {"in": 1}).output == {"in": 1}
