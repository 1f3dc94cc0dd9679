"""`listen`, filters and correlation: B13, E10, T13 to T15."""

import pytest

from perdure.interpreter import commands as c
from perdure.interpreter import correlation
from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import Dialogue, run


def listening(to, more="", before="", after="", input_=None):
    return run(f"do: [{before}{{l: {{listen: {{to: {to}{more}}}}}}}{after}]", input_)


def test_one_gives_an_array_of_data():
    d = listening("{one: {with: {type: t}}}")
    assert d.status == "waiting"
    d.event("other", 1)
    assert d.event("t", {"n": 1}).output == [{"n": 1}]
    assert not d.open


def test_any_takes_the_first_that_matches():
    assert listening("{any: [{with: {type: a}}, {with: {type: b}}]}").event("c", 1).event("b", 2).output == [2]
    assert listening("{any: []}").event("whatever", 3).output == [3]


def test_all_needs_one_event_for_each_filter():
    d = listening("{all: [{with: {type: a}}, {with: {type: b}}]}")
    d.event("b", 1)
    assert d.status == "waiting"
    assert d.event("a", 2).output == [1, 2]
    assert listening("{all: []}").output == []


def test_surplus_events_wait_for_later_subscriptions():
    d = listening(
        "{all: [{with: {type: a}}, {with: {type: b}}]}", after=", {m: {listen: {to: {one: {with: {type: a}}}}}}"
    )
    d.event("a", 1).event("a", 2).event("b", 3)
    assert d.output == [2]


def test_read():
    assert listening("{one: {with: {type: t}}}", ", read: raw").event("t", {"a": 1}).output == ['{"a":1}']
    assert listening("{one: {with: {type: t}}}", ", read: raw").event("t", "text").output == ["text"]
    envelope = listening("{one: {with: {type: t}}}", ", read: envelope").event("t", 1, subject="s").output[0]
    assert (envelope["data"], envelope["subject"], envelope["source"]) == (1, "s", "test")


def test_until_expression_sees_the_array_so_far():
    d = listening("{any: [{with: {type: t}}], until: length == 2}")
    d.event("t", 1)
    assert d.status == "waiting"
    assert d.event("t", 2).output == [1, 2]


@pytest.mark.parametrize(
    "until",
    ["{one: {with: {type: stop}}}", "{any: [{with: {type: stop}}]}", "{all: [{with: {type: stop}}]}", "{any: []}"],
)
def test_events_of_an_until_strategy_are_not_in_the_output(until):
    d = listening(f"{{any: [{{with: {{type: t}}}}], until: {until}}}")
    if until != "{any: []}":
        d.event("t", 1).event("t", 2)
    assert d.event("stop", 9).output in ([1, 2], [])
    assert not d.open


@pytest.mark.parametrize(
    "until, events, output",
    [
        ("{one: {with: {type: stop}}}", ["a", "stop"], [0]),
        ("{any: []}", ["a"], []),
        ("{all: [{with: {type: x}}, {with: {type: y}}]}", ["x", "a", "y"], [1]),
    ],
)
def test_who_listens_to_everything_does_not_get_the_events_that_end_it(until, events, output):
    """The subscriptions hear of an event in either order: here the one of `any` is first."""
    d = listening(f"{{any: [], until: {until}}}")
    for number, type_ in enumerate(events):
        d.event(type_, number)
    assert d.output == output


def test_until_all_needs_all():
    d = listening("{any: [{with: {type: t}}], until: {all: [{with: {type: x}}, {with: {type: y}}]}}")
    d.event("x").event("x").event("t", 1).event("nothing")
    assert d.event("y").output == [1]


def test_predicates_see_the_attribute_and_the_arguments():
    d = listening(
        "{one: {with: {type: t, data: '${ .n > $input.least }', subject: '${ test(\"^a\") }'}}}", input_={"least": 5}
    )
    filters = next(x for x in d.given if isinstance(x, c.Subscribe)).filters
    assert filters == [
        {
            "with": {
                "type": "t",
                "data": {"expression": "${ .n > $input.least }"},
                "subject": {"expression": '${ test("^a") }'},
            }
        }
    ]
    d.event("t", {"n": 4}, subject="a").event("t", {"n": 6}, subject="b").event("t", "no object", subject="a")
    assert d.event("t", {"n": 6}, subject="ab").output == [{"n": 6}]


def test_a_predicate_that_gives_no_boolean_is_a_fault():
    assert listening("{one: {with: {subject: '${ . }'}}}").event("t", subject="s").error["type"].endswith("/expression")


def test_expect_is_computed_when_the_subscription_begins():
    d = listening(
        "{one: {with: {type: t}, correlate: {room: {from: .data.room, expect: '${ .room }'}}}}", input_={"room": 7}
    )
    assert next(x for x in d.given if isinstance(x, c.Subscribe)).filters[0]["correlate"] == {
        "room": {"from": ".data.room", "expect": 7}
    }
    d.event("t", {"room": 8}).event("t", "odd").event("t", {})
    assert d.event("t", {"room": 7}).output == [{"room": 7}]
    assert d.told("workflow.correlation-started")
    assert d.told("workflow.correlation-completed")[0].data == {"correlationKeys": {}}


def test_the_first_value_binds_for_the_run():
    filter_ = "{with: {type: %s}, correlate: {room: {from: .data.room}}}"
    d = listening(
        f"{{all: [{filter_ % 'a'}, {filter_ % 'b'}]}}", after=f", {{m: {{listen: {{to: {{one: {filter_ % 'c'}}}}}}}}}"
    )
    d.event("a", {"room": 1}).event("b", {"room": 2}).event("b", {"room": 1})
    last = [x for x in d.given if isinstance(x, c.Subscribe)][-1]
    assert last.filters == [{"with": {"type": "c"}, "correlate": {"room": {"from": ".data.room", "expect": 1}}}]
    d.event("c", {"room": 2})
    assert d.event("c", {"room": 1, "n": 1}).output == [{"room": 1, "n": 1}]


def give(d, number, id_, type_="t"):
    subscription = [x for x in d.given if isinstance(x, c.Subscribe)][number]
    return d.hand(
        e.EventReceived(now=d.now, id=subscription.id, event={"source": "s", "id": id_, "type": type_, "data": id_})
    )


def test_duplicates_are_dropped_by_source_and_id():
    d = listening("{any: [{with: {type: t}}], until: length == 3}")
    for id_ in ("1", "1", "2", "1", "2"):
        give(d, 0, id_)
    give(d, 0, "3")
    assert d.output == ["1", "2", "3"]


def test_an_event_that_one_subscription_took_is_not_for_a_later_one_but_for_a_parallel_one():
    d = listening("{one: {with: {type: t}}}", after=", {m: {listen: {to: {one: {with: {type: t}}}}}}")
    give(d, 0, "1")
    assert give(d, 1, "1") == []
    give(d, 1, "2")
    assert d.output == ["2"]
    both = "{a: {listen: {to: {one: {with: {type: t}}}}}}, {b: {listen: {to: {one: {with: {type: t}}}}}}"
    d = run(f"do: [{{f: {{fork: {{branches: [{both}]}}}}}}]")
    give(d, 0, "1")
    give(d, 1, "1")
    assert d.output == [["1"], ["1"]]


def test_until_events_are_not_seen_twice():
    d = listening("{any: [{with: {type: t}}], until: {all: [{with: {type: x}}, {with: {type: x}}]}}")
    for id_ in ("1", "1"):
        give(d, 1, id_, "x")
    assert d.status == "waiting"
    give(d, 1, "2", "x")
    assert d.output == []


def test_the_ring_is_bounded():
    d = run("do: [{l: {listen: {to: {any: [], until: length == 1200}}}}]", snapshots=False)
    for number in range(1_200):
        give(d, 0, str(number))
    assert len(d.output) == 1_200
    d = run("do: [{l: {listen: {to: {any: [], until: 'false'}}}}]", snapshots=False)
    for number in range(1_200):
        give(d, 0, str(number))
    assert len(d.state["inbox"]["seen"]) == correlation.KEPT


# foreach

FOREACH = """
do:
  - l:
      listen: {to: {any: [{with: {type: t}}], until: %s}}
      foreach:
        item: event
        at: i
        do: [{work: {call: work, with: {e: '${ $event }', i: '${ $i }', in: '${ . }'}}}]
        output: {as: '{out: ., e: $event}'}
        export: {as: '($context // {}) + {last: .e}'}
  - show: {set: '{out: ., context: $context}'}
"""


def test_foreach_is_strictly_first_in_first_out():
    d = run(FOREACH % "length == 2", {"x": 1})
    d.event("t", "a").event("t", "b").event("t", "c")
    assert [call.args for call in d.calls()] == [{"e": "a", "i": 0, "in": {"x": 1}}]
    assert d.call().path == "/do/0/l#0/foreach/do/0/work"
    assert d.call().ref == "/do/0/l/listen/foreach/do/0/work"
    d.complete("A")
    assert d.call().args["e"] == "b"
    d.complete("B")
    assert d.output == {"out": [{"out": "A", "e": "a"}, {"out": "B", "e": "b"}], "context": {"last": "b"}}


def test_foreach_works_off_its_queue_after_the_until_event():
    d = run(FOREACH % "{one: {with: {type: stop}}}")
    d.event("t", "a").event("t", "b").event("stop")
    assert d.status == "running"
    d.complete("A").complete("B")
    assert [item["e"] for item in d.output["out"]] == ["a", "b"]
    d = run(FOREACH % "{one: {with: {type: stop}}}").event("t", "a").complete("A")
    assert d.status == "waiting"
    assert d.event("stop").output["out"] == [{"out": "A", "e": "a"}]


def test_foreach_without_a_list_and_with_all():
    d = run(
        """
        do:
          - l:
              listen: {to: {all: [{with: {type: a}}, {with: {type: b}}]}}
              foreach: {output: {as: '. + 1', schema: {document: {type: number}}}, export: {schema: {document: true}}}
        """
    )
    assert d.event("a", 1).event("b", 2).output == [2, 3]
    d = run(
        "do: [{l: {listen: {to: {one: {with: {type: a}}}}, foreach: {output: {schema: {document: {type: number}}}}}}]"
    )
    assert d.event("a", "x").error["type"].endswith("/validation")


def test_foreach_until_an_expression_without_a_list():
    d = run("do: [{l: {listen: {to: {any: [], until: length == 2}}, foreach: {}}}]")
    assert d.event("t", 1).event("t", 2).output == [1, 2]


def test_what_foreach_leaves_waits_for_later_subscriptions():
    text = FOREACH % "length == 1" + "  - m: {listen: {to: {any: [{with: {type: t}}]}}}\n"
    d = run(text)
    d.event("t", "a").event("t", "b")
    assert d.complete("A").output == ["b"]


def test_end_in_foreach_ends_the_run_with_that_output():
    text = FOREACH.replace("call: work,", "call: work, then: end,") % "length == 5"
    d = run(text)
    d.event("t", "a")
    assert d.complete("A").output == "A"


def test_events_kept_for_foreach():
    d = run(
        """
        do:
          - l: {listen: {to: {all: [{with: {type: a}}, {with: {type: b}}]}}}
          - m:
              listen: {to: {any: [{with: {type: a}}], until: length == 2}}
              foreach: {do: [{w: {call: work}}]}
        """
    )
    d.event("a", 1).event("a", 2).event("a", 3).event("b", 4)
    assert len(d.calls()) == 1
    d.complete("x")
    assert d.complete("y").output == ["x", "y"]


def test_kept_events_age():
    d = listening(
        "{all: [{with: {type: a}}, {with: {type: b}}]}", after=", {m: {listen: {to: {one: {with: {type: a}}}}}}"
    )
    d.event("a", 1).event("a", 2).pass_time(correlation.RETENTION + 1)
    d.event("b", 3)
    assert d.status == "waiting"


def test_timeout_of_a_listen():
    d = run("do: [{l: {listen: {to: {any: []}}, timeout: {after: PT1S}}}]").pass_time(1_000)
    assert d.error["status"] == 408
    assert not d.open


# The engine's test


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ([], True),
        ([{"with": {"type": "t"}}], True),
        ([{"with": {"type": "u"}}], False),
        ([{"with": {"type": "u"}}, {"with": {"source": "s"}}], True),
        ([{"with": {"missing": None}}], False),
        ([{"with": {"type": {"expression": "${ false }"}}}], True),
        ([{"with": {"type": "t"}, "correlate": {"a": {"from": ".data.n"}}}], True),
        ([{"with": {"type": "t"}, "correlate": {"a": {"from": ".data.n", "expect": 1}}}], True),
        ([{"with": {"type": "t"}, "correlate": {"a": {"from": ".data.n", "expect": "1"}}}], True),
        ([{"with": {"type": "t"}, "correlate": {"a": {"from": ".data.n", "expect": 2}}}], False),
        ([{"with": {"type": "t"}, "correlate": {"a": {"from": ".data.n.m", "expect": 2}}}], False),
        ([{"with": {"type": "t"}, "correlate": {"a": {"from": "broken(", "expect": 2}}}], False),
        ([{}], True),
    ],
)
def test_could_match(filters, matches):
    assert correlation.could_match(filters, {"type": "t", "source": "s", "data": {"n": 1}}) is matches


LIFECYCLE = "io.serverlessworkflow.workflow.completed.v1"


@pytest.mark.parametrize(
    "filters, matches",
    [
        ([], False),
        ([{"with": {"source": "s"}}], False),
        ([{}], False),
        ([{"with": {"type": {"expression": "${ true }"}}}], False),
        ([{"with": {"type": "t"}}], False),
        ([{"with": {"type": LIFECYCLE}}], True),
        ([{"with": {"source": "s"}}, {"with": {"type": LIFECYCLE}}], True),
        ([{"with": {"type": {"expression": '${ startswith("io.serverlessworkflow.task") }'}}}], True),
    ],
)
def test_lifecycle_events_go_only_to_who_names_them(filters, matches):
    assert correlation.could_match(filters, {"type": LIFECYCLE, "source": "s"}) is matches


def test_a_filter_that_does_not_name_lifecycles_takes_none():
    d = listening(
        "{any: [{with: {source: s}}, {with: {type: '${ startswith(\"io.serverlessworkflow.\") }'}}], until: '${ length == 1 }'}"
    )
    assert d.program.watches == ("",)
    d.event(LIFECYCLE, 1, source="elsewhere")
    assert d.output == [1]
    d = listening(
        "{any: [{with: {source: s}}, {with: {type: "
        + LIFECYCLE
        + "}, correlate: {a: {from: .data, expect: '7'}}}], until: '${ length == 1 }'}"
    )
    d.event(LIFECYCLE, 1, source="s")
    assert d.status == "waiting"


def test_a_kept_event_that_does_not_fit_stays():
    later = ", {m: {listen: {to: {one: {with: {type: c}}}}}}, {n: {listen: {to: {one: {with: {type: a}}}}}}"
    d = listening("{all: [{with: {type: a}}, {with: {type: b}}]}", after=later)
    d.event("a", 1).event("a", 2).event("b", 3)
    assert d.status == "waiting"
    assert d.event("c", 4).output == [2]


def test_an_event_for_a_slow_loop_beside():
    d = Dialogue(
        "do: [{f: {fork: {branches: [{l: {do: [{s: {set: {v: 1}, then: s}}]}}, {e: {listen: {to: {any: [], until: 'false'}}}}]}}}]",
        snapshots=False,
    )
    d.hand(e.Started(now=d.now, run="r", tenant="t", seed="s"))
    first = next(x for x in d.open.values() if isinstance(x, c.StartTimer))
    d.open.pop(first.id)
    d.hand(e.TimerFired(now=d.now, id=first.id))
    done = len(d.paths("task.completed"))
    slices = [x for x in d.open.values() if isinstance(x, c.StartTimer)]
    give(d, 0, "1")
    assert len(d.paths("task.completed")) > done
    assert [x for x in d.open.values() if isinstance(x, c.StartTimer)] == slices


def test_a_boolean_is_no_number():
    d = listening("{one: {with: {type: t, flag: true, data: {n: 1}}}}")
    d.event("t", {"n": 1}, flag=1).event("t", {"n": True}, flag=True)
    assert d.status == "waiting"
    assert d.event("t", {"n": 1.0}, flag=True).output == [{"n": 1.0}]
