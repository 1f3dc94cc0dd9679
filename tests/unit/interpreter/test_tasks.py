"""The task kinds one by one: B8 to B21."""

import pytest

from perdure.errors import Invalid
from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import START, Dialogue, run

FAULT = {"type": "https://open-workflow-specification.org/spec/1.0.0/errors/runtime", "status": 500}


# for


def test_each_iteration_goes_on_from_the_last_ones_output():
    d = run(
        "do: [{l: {for: {each: n, at: i, in: .items}, do: [{x: {set: {sum: '${ (.sum // 0) + $n + $i }'}}}]}}]",
        {"items": [5, 6]},
    )
    assert d.output == {"sum": 12}
    assert d.paths("task.completed") == ["/do/0/l#0/do/0/x", "/do/0/l#1/do/0/x", "/do/0/l"]
    assert d.refs("task.completed")[0] == "/do/0/l/do/0/x"


def test_an_empty_loop_gives_its_input():
    assert run("do: [{l: {for: {in: '[]'}, do: [{x: {set: {v: 1}}}]}}]", {"in": 1}).output == {"in": 1}


def test_a_loop_over_no_array_is_an_expression_fault():
    error = run("do: [{l: {for: {in: .x}, do: [{x: {set: {v: 1}}}]}}]", {"x": {}}).error
    assert error["type"].endswith("/expression")
    assert "an object" in error["detail"]


def test_while_is_tested_before_each_iteration_with_item_and_index():
    text = (
        "do: [{l: {for: {in: '[1,2,3,4]'}, while: '$item < 3 and $index < 5', do: [{x: {set: {last: '${ $item }'}}}]}}]"
    )
    assert run(text).output == {"last": 2}


def test_the_innermost_name_wins_and_the_loops_own_output_does_not_see_it():
    d = run(
        """
        do:
          - outer:
              for: {in: '["a"]'}
              do:
                - inner:
                    for: {in: '["b"]'}
                    do: [{x: {set: {v: '${ $item }'}}}]
                    output: {as: '{inner: .v, outer: $item}'}
        """
    )
    assert d.output == {"inner": "b", "outer": "a"}


def test_an_inline_array_of_objects_with_templates():
    d = run(
        "do: [{l: {for: {in: [{n: '${ .x }'}, {n: 2}]}, do: [{x: {set: {seen: '${ (.seen // []) + [$item.n] }'}}}]}}]",
        {"x": 1},
    )
    assert d.output == {"seen": [1, 2]}


def test_calls_in_a_loop_have_their_own_keys():
    d = run("do: [{l: {for: {in: '[1,2]'}, do: [{x: {call: noop}}]}}]")
    first = d.call()
    d.complete(1)
    assert (first.path, d.call().path) == ("/do/0/l#0/do/0/x", "/do/0/l#1/do/0/x")
    assert first.key != d.call().key


# fork


def test_join_gives_an_array_in_declared_order():
    d = run("do: [{f: {fork: {branches: [{a: {call: one}}, {b: {call: two}}, {c: {set: {v: 3}}}]}}}]", {"in": 1})
    assert [call.function for call in d.calls()] == ["one", "two"]
    d.complete("second", position=1)
    assert d.complete("first").output == ["first", "second", {"v": 3}]


def test_every_branch_gets_the_forks_transformed_input():
    text = "do: [{f: {input: {from: .x}, fork: {branches: [{a: {set: '{got: .}'}}, {b: {set: '{also: .}'}}]}}}]"
    assert run(text, {"x": 1}).output == [{"got": 1}, {"also": 1}]


def test_no_branches_and_one_skipped():
    assert run("do: [{f: {fork: {branches: []}}}]").output == []
    assert run("do: [{f: {fork: {branches: [{a: {if: 'false', set: {v: 1}}}]}}}]", {"v": 0}).output == [{"v": 0}]


def test_the_winner_takes_it_bare_and_the_losers_are_cancelled():
    d = run(
        """
        do:
          - f:
              fork:
                compete: true
                branches:
                  - a: {call: slow}
                  - b: {do: [{w: {wait: PT1H}}]}
                  - c: {listen: {to: {any: []}}}
                  - d: {call: quick, export: {as: '{won: true}'}}
          - after: {set: '{out: ., context: $context}'}
        """
    )
    d.complete("won", position=1)
    assert d.output == {"out": "won", "context": {"won": True}}
    assert sorted(d.paths("task.cancelled")) == [
        "/do/0/f/fork/branches/0/a",
        "/do/0/f/fork/branches/1/b",
        "/do/0/f/fork/branches/1/b/do/0/w",
        "/do/0/f/fork/branches/2/c",
    ]
    assert not d.open
    assert d.state["waits"] == {}


def test_a_fault_that_comes_first_faults_the_race():
    text = "do: [{f: {fork: {compete: true, branches: [{a: {call: one}}, {b: {call: two}}]}}}]"
    assert run(text).fail(503).error["instance"] == "/do/0/f/fork/branches/0/a"


def test_a_race_for_any_success_waits_for_it():
    text = (
        "do: [{f: {metadata: {compete: any}, fork: {compete: true, branches: [{a: {call: one}}, {b: {call: two}}]}}}]"
    )
    d = run(text).fail(503)
    assert d.status == "running"
    assert d.complete("b").output == "b"
    d = run(text).fail(503).fail(504)
    assert d.error["status"] == 504


def test_a_fault_in_a_branch_cancels_the_others():
    d = run(
        "do: [{t: {try: [{f: {fork: {branches: [{a: {call: one}}, {b: {call: two}}]}}}], catch: {}}}]", {"in": 1}
    ).fail(503)
    assert d.output == {"in": 1}
    assert d.paths("task.cancelled") == ["/do/0/t/try/0/f/fork/branches/1/b"]
    assert d.paths("task.faulted") == ["/do/0/t/try/0/f/fork/branches/0/a", "/do/0/t/try/0/f"]


def test_exports_are_applied_at_the_join_in_declared_order():
    d = run(
        """
        do:
          - start: {set: {v: 0}, export: {as: '{kept: 0, both: 0, removed: 0}'}}
          - f:
              fork:
                branches:
                  - a: {call: one, export: {as: '$context + {both: "a", a: 1} | del(.removed)'}}
                  - b: {call: two, export: {as: '$context + {both: "b", sees: $context.a}'}}
                  - c: {set: {v: 1}, export: {as: $context}}
              export: {as: '$context + {joined: true}'}
          - show: {set: $context}
        """
    )
    d.complete(position=1)
    assert d.complete().output == {"kept": 0, "both": "b", "a": 1, "sees": None, "joined": True}


def test_a_context_that_is_no_object_is_replaced_whole():
    text = "do: [{f: {fork: {branches: [{a: {set: {v: 1}, export: {as: '7'}}}, {b: {set: {v: 1}, export: {as: $context}}}]}}}, {s: {set: '{c: $context}'}}]"
    assert run(text).output == {"c": 7}
    text = "do: [{z: {set: {v: 1}, export: {as: '1'}}}, {f: {fork: {branches: [{a: {set: {v: 1}, export: {as: $context}}}]}}}, {s: {set: '{c: $context}'}}]"
    assert run(text).output == {"c": 1}


def test_many_branches_cost_the_same_each():
    branches = ", ".join(f"{{t{i}: {{call: noop}}}}" for i in range(200))
    d = run(f"do: [{{f: {{fork: {{branches: [{branches}]}}}}}}]", snapshots=False)
    for number in range(200):
        d.complete(number)
    assert d.output == list(range(200))


# switch, wait, set, raise


def test_the_cases_then_wins_and_the_tasks_then_counts_when_nothing_matched():
    text = """
    do:
      - s:
          switch: [{one: {when: .n == 1, then: b}}, {two: {when: .n == 2, then: continue}}]
          then: c
      - a: {set: {at: a}, then: end}
      - b: {set: {at: b}, then: end}
      - c: {set: {at: c}}
    """
    assert [run(text, {"n": n}).output["at"] for n in (1, 2, 3)] == ["b", "a", "c"]


def test_the_default_case_comes_last_wherever_it_stands():
    text = "do: [{s: {switch: [{other: {then: b}}, {one: {when: .n == 1, then: end}}]}}, {a: {set: {at: a}}}, {b: {set: {at: b}}}]"
    assert run(text, {"n": 1}).output == {"n": 1}
    assert run(text, {"n": 2}).output == {"at": "b"}
    with pytest.raises(Invalid, match="second default"):
        Dialogue("do: [{s: {switch: [{a: {then: end}}, {b: {then: end}}]}}]")


def test_a_case_that_is_no_boolean_is_a_fault():
    assert run("do: [{s: {switch: [{a: {when: .n, then: end}}]}}]", {"n": 1}).error["type"].endswith("/expression")


def test_wait_gives_its_transformed_input():
    d = run("do: [{w: {input: {from: .x}, wait: {seconds: 5}}}]", {"x": 1})
    assert d.status == "waiting"
    waits = d.told("task.status-changed")[0].data
    assert waits == {"status": "waiting", "wait": {"kind": "timer", "until": START + 5_000}}
    assert d.pass_time(5_000).output == 1


def test_raise_adds_the_instance_and_nothing_else():
    d = run(
        "use: {errors: {e: {type: https://x/y, status: 418, title: '${ .t }'}}}\ndo: [{r: {raise: {error: e}}}]",
        {"t": "tea"},
    )
    assert d.error == {"type": "https://x/y", "status": 418, "title": "tea", "instance": "/do/0/r"}
    d = run("do: [{r: {raise: {error: {type: https://x/y, status: 418, instance: /mine}}}}]")
    assert d.error["instance"] == "/mine"
    d = run("do: [{r: {raise: {error: {type: '${ .nothing }', status: 418}}}}]")
    assert d.error["type"].endswith("/expression")


# emit


def test_emit_gives_the_complete_event():
    d = run(
        "do: [{e: {emit: {event: {with: {type: t.v1, data: {a: '${ .x }'}, extensions: {tenantid: z}, subject: s}}}}}]",
        {"x": 1},
    )
    event = d.emitted()
    assert d.output == event
    assert event == {
        "specversion": "1.0",
        "id": event["id"],
        "source": "/test/dialogue/1.0.0",
        "time": "2023-11-14T22:13:20.000Z",
        "type": "t.v1",
        "data": {"a": 1},
        "datacontenttype": "application/json",
        "tenantid": "z",
        "subject": "s",
    }
    again = run(
        "do: [{e: {emit: {event: {with: {type: t.v1, data: {a: '${ .x }'}, extensions: {tenantid: z}, subject: s}}}}}]",
        {"x": 1},
    )
    assert again.emitted() == event


def test_the_authors_id_and_source_win():
    d = run(
        "do: [{e: {emit: {event: {with: {type: t, id: mine, source: /here, time: '2020-01-01T00:00:00Z', datacontenttype: text/plain, data: x}}}}}]"
    )
    event = d.emitted()
    assert (event["id"], event["source"], event["time"], event["datacontenttype"]) == (
        "mine", "/here", "2020-01-01T00:00:00Z", "text/plain",
    )  # fmt: skip


def test_an_event_needs_text():
    assert run("do: [{e: {emit: {event: {with: {type: '${ 1 }'}}}}}]").error["type"].endswith("/expression")


def test_an_emit_may_fail():
    d = run("do: [{e: {emit: {event: {with: {type: t}}}}}]")
    command = next(x for x in d.open.values() if isinstance(x, c.Emit))
    d.do(e.CallFailed, id=command.id, error=FAULT)
    assert d.error == {**FAULT, "instance": "/do/0/e"}


# run.workflow


def child(d):
    return next(x for x in d.open.values() if isinstance(x, c.StartChild))


CHILD = "do: [{r: {run: {workflow: {namespace: ns, name: kid, version: 1.0.0, input: {a: '${ .x }'}}}}}]"


def test_a_child_gives_its_output():
    d = run(CHILD, {"x": 1})
    command = child(d)
    assert (command.namespace, command.name, command.version, command.input, command.awaited) == (
        "ns",
        "kid",
        "1.0.0",
        {"a": 1},
        True,
    )
    assert command.key
    assert d.do(e.ChildCompleted, id=command.id, output={"done": True}).output == {"done": True}


def test_a_child_may_fault():
    d = run(CHILD, {"x": 1})
    assert d.do(e.ChildFailed, id=child(d).id, error=FAULT).error == {**FAULT, "instance": "/do/0/r"}


def test_a_child_that_is_not_awaited_gives_the_input():
    d = run(CHILD.replace("run: {", "run: {await: false, "), {"x": 1})
    assert d.output == {"x": 1}
    assert child(d).awaited is False
    d = run(CHILD.replace("run: {", "run: {await: false, return: none, "), {"x": 1})
    assert d.output is None


def test_a_childs_output_may_be_left():
    d = run(CHILD.replace("run: {", "run: {return: none, "), {"x": 1})
    assert d.do(e.ChildCompleted, id=child(d).id, output=1).output is None


def test_a_childs_input_is_an_object():
    assert (
        run("do: [{r: {run: {workflow: {namespace: n, name: k, version: latest, input: '${ 1 }'}}}}]").error["status"]
        == 400
    )
    assert child(run("do: [{r: {run: {workflow: {namespace: n, name: k, version: latest}}}}]")).input == {}


@pytest.mark.parametrize("what", ["shell: {command: ls}", "script: {language: js, code: '1'}", "container: {image: a}"])
def test_processes_are_refused(what):
    with pytest.raises(Invalid, match="not supported yet"):
        Dialogue(f"do: [{{r: {{run: {{{what}}}}}}}]")


# What nobody prepared


def test_a_boolean_in_place_of_a_number_is_a_change_of_the_context():
    text = """
    do:
      - a: {set: {v: 1}, export: {as: '{flag: 1, all: [{n: 0}]}'}}
      - f: {fork: {branches: [{b: {set: {v: 1}, export: {as: '{flag: true, all: [{n: false}]}'}}}, {c: {set: {v: 1}}}]}}
      - z: {set: '${ $context | tojson }'}
    """
    assert run(text).output == '{"flag":true,"all":[{"n":false}]}'


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ("{type: t, subject: '${ .n }'}", "`subject` must be text, not a number"),
        ("{type: t, time: '${ . }'}", "`time` must be text, not an object"),
        ("{type: t, dataschema: '${ .none }'}", "`dataschema` must be text, not null"),
        ("{type: '${ \"\" }'}", "`type` must be text, not an empty one"),
        ("{type: t, extensions: {part: '${ . }'}}", "`part` must be text, a number or a boolean, not an object"),
    ],
)
def test_the_attributes_of_an_event_are_what_cloudevents_allow(attributes, words):
    error = run(f"do: [{{a: {{emit: {{event: {{with: {attributes}}}}}}}}}]", {"n": 5}).error
    assert error["type"].endswith("/expression")
    assert words in error["detail"]


def test_addresses_in_events_and_errors_are_uri_templates():
    d = run(
        """
        do:
          - a:
              try: [{r: {raise: {error: {type: 'https://x/{kind}', status: 400}}}}]
              catch:
                do:
                  - e:
                      emit: {event: {with: {type: t, source: '/shop/{kind}', dataschema: '${ "s" }', data: '${ $error.type }'}}}
        """,
        {"kind": "a b"},
    )
    event = d.emitted()
    assert (event["source"], event["dataschema"], event["data"]) == ("/shop/a%20b", "s", "https://x/a%20b")
    error = run("do: [{r: {raise: {error: {type: 'https://x/{kind}', status: 400}}}}]", {"kind": []}).error
    assert error["type"].endswith("/expression")


def test_the_texts_of_an_error_are_texts():
    text = "do: [{r: {raise: {error: {type: t, status: 400, %s: '${ .v }'}}}}]"
    for key in ("title", "detail", "instance"):
        assert run(text % key, {"v": 5}).error["detail"] == f"An error's `{key}` must be text, not a number."
        assert run(text % key, {"v": "x"}).error[key] == "x"
    closed = (
        "use: {secrets: [s]}\ndo: [{r: {raise: {error: {type: t, status: 400, detail: '${ \"a \\($secrets.s)\" }'}}}}]"
    )
    assert run(closed).error["detail"] == {"$perdure.parts": ["a ", {"$perdure.secret": ["s"]}]}
