"""Suspend, resume, cancel, retry and skip (6.3)."""

import pytest

from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from tests.unit.interpreter.dialogue import Dialogue, run

# Suspended runs


def test_outcomes_are_recorded_and_nothing_new_is_given_out():
    d = run("do: [{a: {call: one}}, {b: {call: two}}]")
    call = d.open.pop(d.call().id)
    d.do(e.SuspendRequested)
    assert d.status == "suspended"
    assert d.hand(e.CallCompleted(now=d.now, id=call.id, output=1)) == []
    before = d.state.copy()
    assert d.hand(e.CallCompleted(now=d.now, id=call.id, output=2)) == []
    assert d.state == before
    out = d.hand(e.ResumeRequested(now=d.now))
    assert [x.function for x in out if isinstance(x, c.ScheduleCall)] == ["two"]
    assert d.complete(3).output == 3
    assert d.paths("task.suspended") == ["/do/0/a"]
    assert d.paths("task.resumed") == ["/do/0/a"]


def test_due_work_goes_out_on_resume():
    d = run("do: [{w: {wait: PT1S}}, {b: {call: two}}]").do(e.SuspendRequested)
    d.pass_time(2_000)
    assert d.status == "suspended"
    assert d.do(e.ResumeRequested).call().function == "two"


def test_two_winners_while_suspended_give_one():
    d = run("do: [{f: {fork: {compete: true, branches: [{a: {call: one}}, {b: {call: two}}]}}}]")
    d.do(e.SuspendRequested).complete("b", position=1).complete("a")
    assert d.do(e.ResumeRequested).output == "b"


def test_events_while_suspended():
    d = run("do: [{l: {listen: {to: {any: [], until: length == 2}}}}]").do(e.SuspendRequested)
    subscription = next(x for x in d.open.values() if isinstance(x, c.Subscribe))
    for id_ in ("1", "1", "2"):
        d.hand(
            e.EventReceived(now=d.now, id=subscription.id, event={"source": "s", "id": id_, "type": "t", "data": id_})
        )
    assert len(d.state["held"]) == 2
    assert d.do(e.ResumeRequested).output == ["1", "2"]


def test_what_is_not_waited_for_is_not_held():
    d = run("do: [{a: {call: one}}]").do(e.SuspendRequested)
    call = d.call()
    for event in (
        e.CallCompleted(now=d.now, id="nobody"),
        e.TimerFired(now=d.now, id=call.id),
        e.EventReceived(now=d.now, id="nobody", event={}),
        e.SuspendRequested(now=d.now),
    ):
        assert d.hand(event) == []
    assert "held" not in d.state
    d.do(e.CallProgress, id=call.id, data=1)
    assert d.told("task.progress")
    assert d.hand(e.CallProgress(now=d.now, id="nobody")) == []


def test_a_fault_while_suspended_shows_on_resume_and_the_rest_is_dropped():
    d = run("do: [{f: {fork: {branches: [{a: {call: one}}, {b: {call: two}}]}}}]").do(e.SuspendRequested)
    d.fail(500).complete(1)
    assert d.do(e.ResumeRequested).error["status"] == 500


def test_cancel_a_suspended_run():
    d = run("do: [{a: {call: one}}]").do(e.SuspendRequested).complete(1)
    assert d.do(e.CancelRequested).status == "cancelled"
    assert d.hand(e.ResumeRequested(now=d.now)) == []


def test_suspend_between_slices():
    d = Dialogue("do: [{l: {for: {in: '[range(3000)]'}, do: [{x: {set: {v: '${ $item }'}}}]}}]")
    d.hand(e.Started(now=d.now, run="r", tenant="t", seed="s"))
    d.hand(e.SuspendRequested(now=d.now))
    d.slices()
    assert d.status == "suspended"
    assert d.do(e.ResumeRequested).output == {"v": 2999}


# Cancelled runs


def test_cancel_gives_everything_up():
    d = run(
        """
        timeout: {after: P1D}
        do:
          - f:
              fork:
                branches:
                  - a: {call: x}
                  - b: {do: [{w: {wait: PT1H}}]}
                  - c: {listen: {to: {any: []}}}
        """
    ).do(e.CancelRequested)
    assert d.status == "cancelled"
    assert d.open == {}
    assert len(d.paths("task.cancelled")) == 5
    assert isinstance(d.given[-1], c.Cancelled)
    assert d.state["frames"] == {}
    assert d.hand(e.CancelRequested(now=d.now)) == []


# Patches of faulted runs

TWO = "do: [{a: {set: {v: 1}}}, {b: {call: two, output: {as: '{out: .}'}}}, {c: {set: '{c: .}'}}]"


@pytest.mark.parametrize("path", [None, "/do/1/b"])
def test_retry_enters_the_task_again_with_its_raw_input_and_a_new_key(path):
    d = run(TWO)
    first = d.call()
    d.fail(503).do(e.OperatorPatch, action="retry", path=path)
    assert d.status == "running"
    assert d.call().path == "/do/1/b~~2"
    assert (d.call().ref, d.call().attempt) == ("/do/1/b", 1)
    assert d.call().key != first.key
    d.fail(503).do(e.OperatorPatch, action="retry")
    assert d.call().path == "/do/1/b~~3"
    assert d.complete(1).output == {"c": {"out": 1}}


def test_retry_after_an_unknown_outcome_keeps_the_key():
    d = run(TWO)
    key = d.call().key
    d.fail(503, outcome="unknown").do(e.OperatorPatch, action="retry")
    assert d.call().key == key


def test_skip_with_and_without_output():
    assert run(TWO).fail().do(e.OperatorPatch, action="skip", output={"o": 1}, has_output=True).output == {
        "c": {"o": 1}
    }
    assert run(TWO).fail().do(e.OperatorPatch, action="skip").output == {"c": {"v": 1}}


def test_the_other_branches_come_back_with_their_keys():
    d = run(
        """
        do:
          - f:
              fork:
                branches:
                  - a: {call: one}
                  - b: {call: two}
                  - c: {wait: PT1H}
                  - d: {listen: {to: {any: [{with: {type: t}}], until: {one: {with: {type: stop}}}}}}
                  - g: {emit: {event: {with: {type: out}}}}
                  - h: {run: {workflow: {namespace: n, name: w, version: latest}}}
                  - i: {timeout: {after: PT10S}, call: three}
                  - j: {try: [{x: {raise: {error: {type: t, status: 1}}}}], catch: {retry: {delay: PT5S, limit: {attempt: {count: 1}}}, then: continue}}
        """
    )
    old = {x.path: x for x in d.open.values() if not isinstance(x, c.StartTimer)}
    timers = {x.path: x.due for x in d.open.values() if isinstance(x, c.StartTimer)}
    d.fail(503)
    assert d.open == {}
    assert d.state["waits"] == {}
    d.now += 100_000
    d.do(e.OperatorPatch, action="retry")
    new = {x.path: x for x in d.open.values() if not isinstance(x, c.StartTimer)}
    a = "/do/0/f/fork/branches/0/a"
    assert set(new) == {*old, a + "~~2"} - {a}
    for path, command in new.items():
        if isinstance(command, c.ScheduleCall | c.StartChild) and path in old:
            assert command.key == old[path].key
        if isinstance(command, c.Emit):
            assert command.event == old[path].event
    three = "/do/0/f/fork/branches/6/i"
    assert new[three].deadline == old[three].deadline + 100_000
    again = {x.path: x.due for x in d.open.values() if isinstance(x, c.StartTimer)}
    assert again.pop(three) == timers.pop(three) + 100_000
    assert again.pop("/do/0/f/fork/branches/7/j", None) is None  # it was due: its second attempt has failed, too
    timers.pop("/do/0/f/fork/branches/7/j")
    assert again == timers


def test_branches_that_were_ready_go_on_after_a_patch():
    d = run("do: [{f: {fork: {branches: [{a: {raise: {error: {type: t, status: 1}}}}, {b: {call: two}}]}}}]")
    assert d.status == "faulted"
    assert d.calls() == []
    d.do(e.OperatorPatch, action="skip", output="A", has_output=True)
    assert d.complete("B").output == ["A", "B"]


def test_patches_inside_tries_loops_and_functions():
    d = run(
        """
        use: {functions: {f: {call: inner}}}
        do: [{l: {for: {in: '[1,2]'}, do: [{t: {try: [{x: {call: f, with: {i: '${ $item }'}}}], catch: {errors: {with: {status: 1}}}}}]}}]
        """
    )
    d.complete("a").fail(503).do(e.OperatorPatch, action="retry")
    assert d.call().path == "/do/0/l#1/do/0/t/try/0/x/function~~2"
    assert d.complete("b").output == "b"


def test_a_patch_of_a_task_further_up():
    d = run("do: [{outer: {do: [{a: {call: one}}, {b: {call: two}}]}}, {c: {set: '{c: .}'}}]", {"in": 1})
    d.complete().fail().do(e.OperatorPatch, action="retry", path="/do/0/outer")
    assert d.call().path == "/do/0/outer~~2/do/0/a"
    d.complete().fail().do(e.OperatorPatch, action="skip", path="/do/0/outer~~2")
    assert d.output == {"c": {"in": 1}}


@pytest.mark.parametrize("path", ["/do/9/x", "", "/do/0/f/fork/branches/0"])
def test_patches_that_do_not_fit_change_nothing(path):
    d = run("do: [{f: {fork: {branches: [{a: {call: one}}, {b: {call: two}}]}}}]")
    assert d.hand(e.OperatorPatch(now=d.now, action="retry", path=path)) == []
    assert d.hand(e.OperatorPatch(now=d.now, action="retry")) == []
    d.fail()
    assert d.hand(e.OperatorPatch(now=d.now, action="retry", path=path)) == []
    assert d.status == "faulted"


# Patches of waiting tasks


def test_a_waiting_task_may_be_entered_again_or_ended():
    d = run("do: [{a: {call: one}}, {w: {wait: PT1H}}, {c: {set: '{c: .}'}}]", {"in": 1})
    first = d.call()
    d.do(e.OperatorPatch, action="retry", path="/do/0/a")
    assert (d.call().path, d.call().key) == ("/do/0/a~~2", first.key)
    assert first.id not in d.open
    d.complete(2).do(e.OperatorPatch, action="skip", path="/do/1/w")
    assert d.output == {"c": 2}


def test_an_extended_task_may_be_entered_again():
    d = run(
        """
        use: {extensions: [{x: {extend: call, after: [{s: {set: {v: 1}}}]}}]}
        do: [{a: {call: one}}]
        """
    )
    key = d.call().key
    d.fail(outcome="unknown").do(e.OperatorPatch, action="retry")
    assert (d.call().path, d.call().key) == ("/do/0/a~~2", key)
    assert d.complete(1).output == 1
    d = run(
        """
        use: {extensions: [{x: {extend: composite, after: [{s: {set: {v: 1}}}]}}]}
        do: [{a: {do: [{s: {call: one}}], output: {as: 'if . == 1 then error("x") else . end'}}}]
        """
    )
    d.complete(1).do(e.OperatorPatch, action="retry")
    assert d.call().path == "/do/0/a~~2/do/0/s"
    assert d.complete(2).output == 2


# The run itself


def test_a_fault_of_the_workflows_output():
    text = "output: {as: .a.b}\ndo: [{a: {call: one}}]"
    d = run(text).complete({"a": 1})
    assert d.do(e.OperatorPatch, action="retry").error["instance"] == "/output"
    assert d.do(e.OperatorPatch, action="skip", output=5, has_output=True).output == 5


def test_a_fault_of_the_workflows_input():
    text = "input: {schema: {document: {required: [x]}}}\ndo: [{a: {set: {v: 1}}}]"
    d = run(text)
    assert d.do(e.OperatorPatch, action="retry").error["instance"] == "/input"
    assert d.do(e.OperatorPatch, action="skip").output == {}


def test_a_run_that_faulted_at_its_timeout_goes_on_with_the_whole_time():
    d = run("timeout: {after: PT1S}\ndo: [{a: {call: one}}]").pass_time(1_000)
    d.do(e.OperatorPatch, action="retry")
    assert d.call().path == "/do/0/a"
    d.pass_time(999)
    assert d.complete(1).output == 1
    d = run("timeout: {after: PT1S}\ndo: [{a: {call: one}}]").pass_time(1_000)
    d.do(e.OperatorPatch, action="retry").pass_time(1_000)
    assert d.do(e.OperatorPatch, action="skip").output == {}
    assert d.open == {}


def test_a_run_without_end_has_no_patches():
    d = run("do: [{a: {set: {v: 1}}}]")
    assert d.hand(e.OperatorPatch(now=d.now, action="retry")) == []


def test_a_retry_in_a_list_that_jumps_back_is_the_same_visit():
    d = run("do: [{a: {call: one}}, {s: {switch: [{again: {when: .more, then: a}}, {done: {then: end}}]}}]")
    d.complete({"more": True})
    assert d.call().path == "/do/0/a+2"
    key = d.call().key
    d.fail(outcome="unknown").do(e.OperatorPatch, action="retry")
    assert (d.call().path, d.call().key) == ("/do/0/a+2~~2", key)
    d.complete({"more": True})
    assert d.call().path == "/do/0/a+3"
