"""The machine's own promises: phases, hash, history, unknown events, ids (6.1, 6.3, 6.4, A7)."""

import pytest

from perdure.errors import Bug
from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter import lifecycle
from perdure.interpreter.machine import KINDS, TRANSITIONS, compile, step
from perdure.interpreter.state import restore, snapshot
from perdure.ports.engine import ENDED
from tests.unit.interpreter.dialogue import START, Dialogue, document, run

ONE = "do: [{a: {set: {v: 1}}}]"


def test_a_whole_run_of_commands():
    d = run("do: [{a: {call: noop, with: {x: 1}}}]")
    call = d.call()
    assert (call.path, call.ref, call.function, call.args, call.attempt, call.deadline) == (
        "/do/0/a",
        "/do/0/a",
        "noop",
        {"x": 1},
        1,
        None,
    )
    d.complete("out")
    told = [(x.type, x.path) for x in d.told()]
    assert told == [
        ("workflow.started.v1", ""),
        ("task.created.v1", "/do/0/a"),
        ("task.started.v1", "/do/0/a"),
        ("task.completed.v1", "/do/0/a"),
        ("workflow.completed.v1", ""),
    ]
    assert [x.values for x in d.given if isinstance(x, c.UpsertVisibility)] == [
        {"status": "running"},
        {"status": "completed"},
    ]
    assert isinstance(d.given[-1], c.Complete)
    assert d.state["frames"] == {}


def test_running_and_waiting():
    d = run("do: [{w: {wait: PT1S}}, {a: {call: noop}}]")
    assert d.status == "waiting"
    assert d.pass_time(1_000).status == "running"
    shown = [x.values["status"] for x in d.given if isinstance(x, c.UpsertVisibility)]
    assert shown == ["waiting", "running"]


def test_the_table_names_every_phase_and_ends():
    assert set(TRANSITIONS) == {"pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed"}
    assert lifecycle.ENDED == ENDED
    assert TRANSITIONS["completed"] == TRANSITIONS["cancelled"] == {}


def test_every_kind_of_task_has_its_module():
    for kind in ("call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait"):
        assert hasattr(KINDS[kind], "start")
        assert hasattr(KINDS[kind], "compile")


def test_a_run_begins_with_started():
    program = compile(document(ONE))
    with pytest.raises(Bug, match="TimerFired"):
        step(program, None, e.TimerFired(now=1, id="x"))


def test_unknown_repeated_and_late_ids_change_nothing():
    d = run("do: [{a: {call: noop}}, {b: {wait: PT1S}}, {l: {listen: {to: {one: {with: {type: t}}}}}}]")
    call = d.call()
    strangers = [
        e.CallCompleted(now=START + 9, id="unknown"),
        e.CallFailed(now=START + 9, id="unknown", error={}),
        e.TimerFired(now=START + 9, id=call.id),
        e.ChildCompleted(now=START + 9, id=call.id),
        e.ChildFailed(now=START + 9, id=call.id, error={}),
        e.EventReceived(now=START + 9, id="unknown", event={}),
        e.EventReceived(now=START + 9, id=call.id, event={"id": "1"}),
        e.CallProgress(now=START + 9, id="unknown"),
        e.ResumeRequested(now=START + 9),
        e.Started(now=START + 9, run="r", tenant="t", seed="s"),
    ]
    for event in strangers:
        before = snapshot(d.state)
        assert d.hand(event) == []
        assert snapshot(d.state) == before
    d.complete(1)
    before = snapshot(d.state)
    assert d.hand(e.CallCompleted(now=START + 9, id=call.id, output=2)) == []
    assert snapshot(d.state) == before
    d.pass_time(1_000)
    subscription = next(x for x in d.open.values() if isinstance(x, c.Subscribe))
    before = snapshot(d.state)
    assert (
        d.hand(e.EventReceived(now=d.now, id=subscription.id, event={"source": "s", "id": "1", "type": "other"})) == []
    )
    assert snapshot(d.state) == before


def test_time_never_goes_back():
    d = run("do: [{a: {call: noop}}, {b: {wait: PT1S}}]")
    d.now -= 5_000
    d.complete(1)
    timer = next(x for x in d.open.values() if isinstance(x, c.StartTimer))
    assert timer.due == START + 1_000


def test_the_hash_holds_document_resources_engine_and_semantics():
    first = compile(document(ONE))
    assert first.hash == compile(document(ONE)).hash
    assert first.hash != compile(document("do: [{a: {set: {v: 2}}}]")).hash
    assert first.hash != compile(document(ONE), {"https://x": 1}).hash
    assert (first.namespace, first.name, first.version) == ("test", "dialogue", "1.0.0")
    assert "test/dialogue 1.0.0" in repr(first)
    assert repr(first.nodes["/do/0/a"]) == "Node(set /do/0/a)"
    assert repr(first.nodes[""]) == "Node(workflow workflow)"


def test_ids_come_from_the_seed_and_keys_from_the_run():
    def ids(run_, seed):
        d = Dialogue("do: [{a: {call: noop}}]")
        out = d.hand(e.Started(now=START, run=run_, tenant="t", seed=seed))
        call = next(x for x in out if isinstance(x, c.ScheduleCall))
        return call.id, call.key

    assert ids("r", "s") == ids("r", "s")
    assert ids("r", "s")[0] == ids("other", "s")[0]
    assert ids("r", "s")[1] != ids("other", "s")[1]
    assert ids("r", "s")[0] != ids("r", "z")[0]


def test_the_state_is_plain_json_at_every_moment():
    d = run("do: [{f: {fork: {branches: [{a: {call: x}}, {b: {for: {in: '[1]'}, do: [{w: {wait: PT1S}}]}}]}}}]")
    assert restore(snapshot(d.state)) == d.state


def test_the_state_stays_small_in_a_long_run():
    d = run("do: [{l: {for: {in: '[range(500)]'}, do: [{a: {call: x}}]}}]", snapshots=False)
    sizes = []
    for _ in range(400):
        d.complete("y" * 100)
        sizes.append(len(snapshot(d.state)))
    assert max(sizes) - min(sizes) < 20


def told(document):
    d = run(document)
    return d, {
        x.type: lifecycle.cloud_event(d.program, "run-1", number, x)
        for number, x in enumerate(d.told(), 1)
        if lifecycle.is_told(d.program, x)
    }


def test_lifecycle_events_of_the_specification():
    d = run("do: [{a: {call: noop}}]").fail(503)
    events = {x.type: lifecycle.cloud_event(d.program, "run-1", 7, x)["data"] for x in d.told()}
    name = "dialogue-run-1.test"
    at = "2023-11-14T22:13:20.000Z"
    assert events["workflow.started.v1"] == {
        "name": name,
        "startedAt": at,
        "definition": {"namespace": "test", "name": "dialogue", "version": "1.0.0"},
    }
    assert events["task.created.v1"] == {"workflow": name, "task": "/do/0/a", "createdAt": at}
    assert events["task.faulted.v1"] == {"workflow": name, "task": "/do/0/a", "faultedAt": at, "error": d.error}
    assert events["workflow.faulted.v1"] == {"name": name, "faultedAt": at, "error": d.error}


def test_a_lifecycle_event_is_a_cloud_event():
    _, events = told("do: [{a: {set: {n: 1}}}]")
    assert events["workflow.completed.v1"] == {
        "specversion": "1.0",
        "id": "run-1-5",
        "source": "/test/dialogue/1.0.0",
        "type": "io.serverlessworkflow.workflow.completed.v1",
        "subject": "run-1",
        "time": "2023-11-14T22:13:20.000Z",
        "datacontenttype": "application/json",
        "data": {
            "name": "dialogue-run-1.test",
            "completedAt": "2023-11-14T22:13:20.000Z",
            "outputUri": "urn:perdure:run:run-1",
        },
    }
    assert events["task.completed.v1"]["data"]["outputUri"] == "urn:perdure:run:run-1:entry:4"


def test_what_is_ours_alone_is_no_lifecycle_event():
    _, events = told("do: [{a: {if: 'false', set: {n: 1}}}, {w: {wait: PT1S}}]")
    assert "task.skipped.v1" not in events
    assert events["task.status-changed.v1"]["data"]["status"] == "waiting"


def test_a_run_that_watches_tells_only_its_beginning_and_its_end():
    d, events = told(
        "do: [{a: {set: {n: 1}}}, {l: {listen: {to: {one: {with: {type: io.serverlessworkflow.task.started.v1}}}}}}]"
    )
    assert list(events) == ["workflow.started.v1"]
    assert d.program.watches == ("io.serverlessworkflow.task.started.v1",)
