"""Compensation: language.md 5.4."""

from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import Dialogue, run

ORDER = """
use: {functions: {refund: {call: undo, with: {id: '${ .id }'}}}}
do:
  - order:
      metadata: {saga: true}
      do:
        - charge:
            input: {from: '{body: .}'}
            call: charge
            output: {as: '{id: .number}'}
            metadata:
              compensate:
                call: refund
                with: {id: '${ .id }', was: '${ $output.id }', body: '${ $input.body }', context: '${ $context }'}
        - ship: {call: ship}
"""


def test_a_fault_that_leaves_the_frame_runs_the_handlers_and_goes_on():
    d = run(ORDER, {"order": 1})
    d.complete({"number": 9}).fail(503)
    assert d.status == "running"
    call = d.call()
    assert (call.function, call.args) == ("undo", {"id": 9})
    assert call.path == "/do/0/order/do/0/charge/compensate/function"
    assert call.ref == "/do/0/order/do/0/charge/metadata/compensate"
    assert d.complete("refunded").error["instance"] == "/do/0/order/do/1/ship"
    assert d.paths("task.faulted") == ["/do/0/order/do/1/ship", "/do/0/order"]


def test_the_handler_sees_output_input_and_the_context_of_then():
    text = """
    do:
      - s:
          metadata: {saga: true}
          do:
            - a:
                input: {from: '{in: .}'}
                set: {v: 1}
                output: {as: '{out: .v}'}
                export: {as: '{then: 1}'}
                metadata:
                  compensate: {call: undo, with: {dot: '${ . }', output: '${ $output }', input: '${ $input }', context: '${ $context }'}}
            - b: {set: {v: 2}, export: {as: '{then: 2}'}}
            - c: {raise: {error: {type: t, status: 1}}}
    """
    assert run(text, 7).call().args == {
        "dot": {"out": 1}, "output": {"out": 1}, "input": {"in": 7}, "context": {"then": 1},
    }  # fmt: skip


STEPS = "{{metadata: {{compensate: {{call: undo, with: {{name: {0}}}}}}}, set: {{v: {0}}}}}"


def steps(*names):
    return ", ".join(f"{{{name}: {STEPS.format(name)}}}" for name in names)


RAISE = "{boom: {raise: {error: {type: t, status: 1}}}}"


def undone(d):
    names = []
    while d.calls():
        names.append(d.call().args["name"])
        d.complete()
    return names


def test_last_in_first_out_across_iterations_and_branches_and_the_run_is_a_frame():
    d = run(
        f"""
        do:
          - one: {STEPS.format("one")}
          - l: {{for: {{in: '[1,2]'}}, do: [{steps("x")}]}}
          - f: {{fork: {{branches: [{steps("left", "right")}]}}}}
          - {RAISE[1:-1]}
        """
    )
    assert undone(d) == ["right", "left", "x", "x", "one"]
    assert d.error["status"] == 1


def test_a_catch_inside_the_frame_keeps_the_stack():
    d = run(
        f"""
        do:
          - s:
              metadata: {{saga: true}}
              do:
                - t: {{try: [{steps("a")}, {RAISE}], catch: {{}}}}
                - {RAISE[1:-1]}
        """
    )
    assert undone(d) == ["a"]


def test_a_catch_outside_comes_after_the_undoing():
    d = run(
        f"""
        do:
          - t:
              try: [{{s: {{metadata: {{saga: true}}, do: [{steps("a")}, {RAISE}]}}}}]
              catch: {{do: [{{c: {{set: {{caught: true}}}}}}]}}
        """
    )
    assert d.call().args == {"name": "a"}
    assert d.complete().output == {"caught": True}


def test_a_saga_that_is_a_try_catches_first():
    d = run(
        f"do: [{{s: {{metadata: {{saga: true}}, try: [{steps('a')}, {RAISE}], catch: {{}}}}}}, {{b: {{set: {{v: 1}}}}}}]"
    )
    assert d.output == {"v": 1}
    d = run(
        f"do: [{{s: {{metadata: {{saga: true}}, try: [{steps('a')}, {RAISE}], catch: {{errors: {{with: {{status: 2}}}}}}}}}}]"
    )
    assert undone(d) == ["a"]
    assert d.status == "faulted"


def test_an_inner_stack_moves_as_one_onto_the_enclosing_frame():
    d = run(
        f"""
        do:
          - outer:
              metadata: {{saga: true}}
              do:
                - first: {STEPS.format("first")}
                - inner: {{metadata: {{saga: true}}, do: [{steps("a", "b")}]}}
                - {RAISE[1:-1]}
        """
    )
    assert undone(d) == ["b", "a", "first"]


def test_nothing_is_undone_when_nothing_fails():
    d = run(f"do: [{{s: {{metadata: {{saga: true}}, do: [{steps('a')}]}}}}]")
    assert d.output == {"v": "a"}
    assert d.state["sagas"] == {}


def test_a_timeout_of_the_frame_and_of_the_workflow():
    d = run(
        f"do: [{{s: {{metadata: {{saga: true}}, timeout: {{after: PT1S}}, do: [{steps('a')}, {{w: {{wait: PT1H}}}}]}}}}]"
    )
    assert undone(d.pass_time(1_000)) == ["a"]
    assert d.error["instance"] == "/do/0/s"
    d = run(
        f"""
        timeout: {{after: PT1S}}
        do:
          - f:
              fork:
                branches:
                  - s: {{metadata: {{saga: true}}, do: [{steps("a")}, {{w: {{wait: PT1H}}}}]}}
                  - r: {{metadata: {{saga: true}}, do: [{steps("b")}, {{w: {{wait: PT1H}}}}]}}
        """
    )
    assert undone(d.pass_time(1_000)) == ["b", "a"]
    assert d.error["instance"] == "/timeout"


def test_cancelling_undoes_only_when_asked():
    text = f"do: [{{s: {{metadata: {{saga: true}}, do: [{steps('a')}, {{w: {{wait: PT1H}}}}]}}}}]"
    d = run(text).do(e.CancelRequested)
    assert (d.status, d.open) == ("cancelled", {})
    d = run(text).do(e.CancelRequested, compensate=True)
    assert d.status == "running"
    assert undone(d) == ["a"]
    assert d.status == "cancelled"
    d = run("do: [{w: {wait: PT1H}}]").do(e.CancelRequested, compensate=True)
    assert d.status == "cancelled"
    d = run(text).do(e.CancelRequested, compensate=True).do(e.CancelRequested)
    assert (d.status, d.open) == ("cancelled", {})


def test_a_handler_has_its_own_key_and_is_retried_by_its_own_policy():
    d = run(
        """
        do:
          - a:
              call: charge
              metadata:
                compensate: {try: [{u: {call: undo}}], catch: {retry: {limit: {attempt: {count: 1}}}}}
          - b: {call: other}
        """
    )
    charged = d.call().key
    d.complete().fail()
    first = d.call().key
    assert first != charged
    d.fail()
    assert d.call().path.endswith("/do/0/a/compensate~2/try/0/u")
    assert d.complete().status == "faulted"


def test_a_handler_that_fails_for_good_ends_the_run_with_the_first_error_and_can_be_mended():
    text = f"do: [{steps('a')}, {steps('b')}, {{boom: {{raise: {{error: {{type: t, status: 1, detail: Boom.}}}}}}}}]"
    d = run(text).fail(500, title="No")
    assert d.error["type"] == "t"
    assert d.error["detail"] == "Boom. The compensation of /do/1/b failed: No"
    failed = d.given[-1]
    d.do(e.OperatorPatch, action="retry")
    assert d.call().args == {"name": "b"}
    assert d.call().path.endswith("/compensate~~2")
    assert undone(d) == ["b", "a"]
    assert d.error == {**failed.error, "detail": "Boom."}
    d = run(text).fail(500)
    assert undone(d.do(e.OperatorPatch, action="skip")) == ["a"]


def test_a_handler_that_fails_while_cancelling():
    d = (
        run(f"do: [{steps('a')}, {{w: {{wait: PT1H}}}}]")
        .do(e.CancelRequested, compensate=True)
        .fail(503, detail="Down")
    )
    assert d.error["detail"] == "The compensation of /do/0/a failed: Down"
    assert d.do(e.OperatorPatch, action="skip").status == "cancelled"


def test_a_run_that_was_undone_begins_again_at_other_paths():
    d = run(f"do: [{steps('a')}, {{b: {{call: other}}}}]")
    first = d.call().key
    d.fail().complete()
    assert d.status == "faulted"
    d.do(e.OperatorPatch, action="retry")
    assert d.call().path == "~~2/do/1/b"
    assert d.call().key != first
    assert d.complete(5).output == 5


def test_a_sagas_own_output_may_fail():
    d = run(f"do: [{{s: {{metadata: {{saga: true}}, do: [{steps('a')}], output: {{as: .v.w}}}}}}]")
    assert undone(d) == ["a"]
    assert d.error["instance"] == "/do/0/s"


def test_end_in_a_handler_ends_the_handler_only():
    d = run(
        """
        do:
          - a: {set: {v: 1}, metadata: {compensate: {do: [{x: {call: undo, then: end}}, {y: {set: {v: 2}}}]}}}
          - b: {set: {v: 1}, metadata: {compensate: {set: {v: 1}, then: end}}}
          - c: {raise: {error: {type: t, status: 1}}}
        """
    )
    assert d.complete().error["status"] == 1


def test_a_fault_inside_an_inner_saga_leaves_the_outer_stack_alone_until_it_leaves_that_too():
    d = run(
        f"""
        do:
          - outer:
              metadata: {{saga: true}}
              do:
                - x: {STEPS.format("x")}
                - t:
                    try: [{{inner: {{metadata: {{saga: true}}, do: [{steps("a")}, {RAISE}]}}}}]
                    catch: {{}}
                - last: {{call: last}}
        """
    )
    assert d.call().args == {"name": "a"}
    d.complete()
    assert d.call().function == "last"
    assert undone(d.fail()) == ["x"]


def test_cancelled_branches_hand_their_work_up():
    d = run(
        f"""
        do:
          - f:
              fork:
                branches:
                  - s: {{metadata: {{saga: true}}, do: [{steps("a")}, {{w: {{wait: PT1H}}}}]}}
                  - b: {{call: other}}
        """
    )
    assert undone(d.fail()) == ["a"]
    assert d.status == "faulted"


def test_a_saga_in_a_function_keeps_the_calls_instance():
    d = run(
        f"use: {{functions: {{f: {{metadata: {{saga: true}}, do: [{steps('a')}, {RAISE}]}}}}}}\ndo: [{{c: {{call: f}}}}]"
    )
    assert d.call().ref == "/do/0/c"
    assert d.complete().error["instance"] == "/do/0/c"


def test_a_saga_without_anything_to_undo():
    assert run("do: [{s: {metadata: {saga: true}, do: [{x: {set: {v: 1}}}]}}]").output == {"v": 1}
    assert run(f"do: [{{s: {{metadata: {{saga: true}}, do: [{RAISE}]}}}}]").error["status"] == 1


def test_the_clock_of_the_frame_stops_while_it_is_undone():
    d = run(f"do: [{{s: {{metadata: {{saga: true}}, timeout: {{after: PT1S}}, do: [{steps('a')}, {RAISE}]}}}}]")
    d.pass_time(5_000)
    assert undone(d) == ["a"]
    assert d.error["status"] == 1


def test_a_limit_in_the_middle_of_a_long_loop():
    d = Dialogue(
        f"""
        timeout: {{after: PT1S}}
        do: [{steps("a")}, {{l: {{set: {{v: 1}}, then: l}}}}]
        """,
        snapshots=False,
    )
    d.hand(e.Started(now=d.now, run="r", tenant="t", seed="s"))
    limit = next(x for x in d.open.values() if x.due > d.now)
    d.open.pop(limit.id)
    d.hand(e.TimerFired(now=limit.due, id=limit.id))
    assert d.call().args == {"name": "a"}
    assert d.complete().error["instance"] == "/timeout"


def test_a_handlers_own_output_is_its_own():
    d = run(
        """
        do:
          - a: {set: {v: 1}, metadata: {compensate: {set: '{was: $output.v}', output: {as: '{own: $output.was}'}, export: {as: $output}}}}
          - b: {raise: {error: {type: t, status: 1}}}
        """
    )
    assert d.told("task.completed")[-1].data == {"output": {"own": 1}}


def test_no_undoing_is_undone():
    text = """
    use: {functions: {refund: {call: undo, metadata: {compensate: {call: never}}}}}
    do:
      - a: {set: {v: 1}, metadata: {compensate: {call: refund}}}
      - b:
          set: {v: 2}
          metadata:
            compensate:
              metadata: {saga: true}
              do: [{c: {call: inner, metadata: {compensate: {call: twice}}}}, {d: {call: last}}]
      - r: {raise: {error: {type: t, status: 1}}}
    """
    d = run(text)
    seen = []
    for _call in range(3):
        seen.append(d.call().function)
        d.complete()
    assert seen == ["inner", "last", "undo"]
    assert d.error == {"type": "t", "status": 1, "instance": "/do/2/r"}


def test_a_saga_in_a_handler_undoes_itself_and_is_forgotten_when_it_is_cancelled():
    text = """
    do:
      - a:
          set: {v: 1}
          metadata:
            compensate:
              timeout: {after: PT1S}
              do:
                - s:
                    metadata: {saga: true}
                    do: [{c: {call: inner, metadata: {compensate: {call: twice}}}}, {d: {call: last}}]
      - r: {raise: {error: {type: t, status: 1}}}
    """
    d = run(text).complete().fail(503)
    assert d.call().function == "twice"
    assert "The compensation of /do/0/a failed" in d.complete().error["detail"]
    d = run(text).complete().pass_time(1000)
    assert "The compensation of /do/0/a failed" in d.error["detail"]
    d = run(text).complete().do(e.CancelRequested, compensate=True)
    assert d.call().function == "inner"
    assert d.complete().complete().status == "cancelled"
