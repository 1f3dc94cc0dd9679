"""Directives, jumps, visits and slices: E1, T4, T16 to T19."""

import pytest

from perdure.errors import Invalid
from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import Dialogue, run


def test_jumps_forwards_and_backwards_make_visits():
    d = run(
        """
        do:
          - count: {set: {n: '${ .n + 1 }'}}
          - check: {switch: [{again: {when: .n < 3, then: count}}, {done: {then: end}}]}
          - never: {set: {n: -1}}
        """,
        {"n": 0},
    )
    assert d.output == {"n": 3}
    assert d.paths("task.started") == [
        "/do/0/count",
        "/do/1/check",
        "/do/0/count+2",
        "/do/1/check+2",
        "/do/0/count+3",
        "/do/1/check+3",
    ]
    assert set(d.refs("task.started")) == {"/do/0/count", "/do/1/check"}


def test_a_task_may_jump_to_itself():
    d = run("do: [{a: {call: noop, output: {as: '{n: (.n // 0)}'}, then: a}}]")
    first = d.call()
    d.complete({"n": 1})
    second = d.call()
    assert (first.path, second.path) == ("/do/0/a", "/do/0/a+2")
    assert first.key != second.key


def test_exit_leaves_the_list_and_the_parent_goes_on():
    d = run("do: [{a: {do: [{x: {set: {v: 1}, then: exit}}, {y: {set: {v: 2}}}]}}, {b: {set: '{got: .}'}}]")
    assert d.output == {"got": {"v": 1}}


def test_exit_at_the_top_is_the_end():
    assert run("do: [{x: {set: {v: 1}, then: exit}}, {y: {set: {v: 2}}}]").output == {"v": 1}


def test_end_unwinds_through_each_parents_output_and_export():
    d = run(
        """
        output: {as: '{final: ., context: $context}'}
        do:
          - a:
              do:
                - b:
                    do: [{x: {set: {v: 1}, then: end}}, {y: {set: {v: 2}}}]
                    output: {as: '{b: .}'}
              output: {as: '{a: .}'}
              export: {as: '{seen: .}'}
              then: continue
          - never: {set: {v: 3}}
        """
    )
    assert d.output == {"final": {"a": {"b": {"v": 1}}}, "context": {"seen": {"a": {"b": {"v": 1}}}}}
    assert d.paths("task.completed")[-2:] == ["/do/0/a/do/0/b", "/do/0/a"]


def test_end_inside_loop_try_catch_and_function():
    for body in (
        "for: {in: '[1,2]'}, do: [{x: {set: {v: 1}, then: end}}]",
        "try: [{x: {set: {v: 1}, then: end}}], catch: {}",
        "try: [{x: {raise: {error: {type: a, status: 1}}}}], catch: {do: [{y: {set: {v: 1}, then: end}}]}",
        "call: fun",
    ):
        d = run(
            f"use: {{functions: {{fun: {{set: {{v: 1}}, then: end}}}}}}\ndo: [{{a: {{{body}}}}}, {{b: {{set: {{v: 2}}}}}}]"
        )
        assert d.output == {"v": 1}, body


def test_a_branch_finishes_with_continue_and_exit():
    for then in ("continue", "exit"):
        d = run(
            f"do: [{{f: {{fork: {{branches: [{{a: {{set: {{v: 1}}, then: {then}}}}}, {{b: {{set: {{v: 2}}}}}}]}}}}}}]"
        )
        assert d.output == [{"v": 1}, {"v": 2}]


def test_end_in_a_branch_ends_the_run_and_cancels_the_others():
    d = run(
        """
        do:
          - f:
              fork: {branches: [{slow: {call: noop}}, {quick: {set: {v: 1}, then: end}}]}
              output: {as: '{bare: .}'}
          - never: {set: {v: 2}}
        """
    )
    assert d.output == {"bare": {"v": 1}}
    assert d.paths("task.cancelled") == ["/do/0/f/fork/branches/0/slow"]
    assert not d.open


def test_targets_in_branches_and_unknown_targets_are_refused():
    for text in (
        "do: [{f: {fork: {branches: [{a: {set: {v: 1}, then: b}}, {b: {set: {v: 2}}}]}}}]",
        "do: [{a: {set: {v: 1}, then: nowhere}}]",
        "do: [{a: {do: [{x: {set: {v: 1}, then: b}}]}}, {b: {set: {v: 1}}}]",
        "use: {functions: {f: {set: {v: 1}, then: a}}}\ndo: [{a: {call: f}}]",
    ):
        with pytest.raises(Invalid, match="names no task"):
            Dialogue(text)


def test_an_endless_loop_yields_and_can_be_cancelled():
    d = Dialogue("do: [{a: {set: {v: 1}, then: a}}]", snapshots=False)
    out = d.hand(e.Started(now=1, run="r", tenant="t", seed="s"))
    assert isinstance(out[-2], c.StartTimer)
    assert out[-2].due == 1
    assert 1_500 < len(d.paths("task.completed")) <= 2_000
    d.open.clear()
    d.hand(e.TimerFired(now=1, id=out[-2].id))
    assert len(d.paths("task.completed")) > 3_000
    d.do(e.CancelRequested)
    assert d.status == "cancelled"


def test_a_long_loop_is_sliced_and_gives_the_same():
    text = "do: [{l: {for: {in: '[range(5000)]'}, do: [{x: {set: {n: '${ .n + 1 }'}}}]}}]"
    assert run(text, {"n": 0}, snapshots=False).output == {"n": 5000}


def test_slices_with_branches_lose_nothing():
    text = """
    do:
      - f:
          fork:
            branches:
              - a: {for: {in: '[range(3000)]'}, do: [{x: {set: {n: '${ .n + 1 }'}}}]}
              - b: {for: {in: '[range(1500)]'}, do: [{x: {set: {n: '${ .n + 1 }'}}}]}
    """
    assert run(text, {"n": 0}).output == [{"n": 3000}, {"n": 1500}]


def test_deep_nesting_does_not_recurse():
    inner = "{x: {set: {v: 1}}}"
    for _ in range(60):
        inner = f"{{d: {{do: [{inner}]}}}}"
    assert run(f"do: [{inner}]").output == {"v": 1}


def test_an_empty_list_passes_its_input():
    assert run("do: [{a: {do: []}}]", {"v": 1}).output == {"v": 1}
    assert run("do: []", {"v": 1}).output == {"v": 1}
