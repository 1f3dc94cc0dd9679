"""What is said about an entry of the history."""

import time

import pytest
from msgspec import structs

from perdure.cli import progress
from perdure.ports.engine import Entry


def entry(kind: str, path: str = "/do/0/greet", **data) -> Entry:
    return Entry(number=1, at=0, type=kind, path=path, data=data)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("", ""),
        ("/do/0/greet", "greet"),
        ("/do/1/each#2/do/0/send", "each#2 › send"),
        ("/do/0/t/catch/do/0/y", "t › y"),
        ("/do/2/f/fork/branches/1/b", "f › b"),
        ("/do/0/get~2", "get~2"),
        ("/do/0/charge/compensate", "charge compensation"),
        ("/do/0/charge~2/compensate#1/do/0/refund", "charge~2 compensation › refund"),
        ("/do/0/compensate", "compensate"),
        ("/do/0/fn/function", "fn function"),
        ("/do/0/fn/function/do/0/first", "fn › first"),
        ("/do/0/charge/compensate/function", "charge compensation function"),
        ("/do/0/function", "function"),
        ("/do/0/x/extensions/0/log/before/1/note", "x › extension log › note"),
        ("/do/0/ask/turn#3/tool#1/approval/0/request", "ask › turn#3 › tool#1 › request"),
    ],
)
def test_a_path_is_shown_as_its_task_names(path, label):
    assert progress.label(path) == label


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (entry("task.completed.v1"), "greet completed"),
        (
            entry("task.retried.v1", attempt=3, error={"type": "x", "detail": "no answer"}),
            "greet is tried again: attempt 3; no answer",
        ),
        (
            entry("task.completed.v1", usage={"inputTokens": 30, "outputTokens": 12, "model": "m"}),
            "greet completed: 42 tokens",
        ),
        (entry("workflow.faulted.v1", path="", error={"type": "x", "title": "Bad"}), "run faulted: Bad"),
        (entry("something.new.v9"), "greet something.new.v9"),
        (entry("task.status-changed.v1", status="waiting", wait={"kind": "event"}), "greet waits: for an event"),
        (
            entry("task.status-changed.v1", status="waiting", wait={"kind": "event", "types": ["a.b", "c.d"]}),
            "greet waits: for an event of a.b or c.d",
        ),
        (
            entry(
                "task.status-changed.v1", status="waiting", wait={"kind": "budget", "budget": "b", "detail": "It is."}
            ),
            "greet waits: for the budget b: It is.",
        ),
        (entry("task.status-changed.v1", status="running"), "greet goes on"),
        (entry("task.retried.v1", attempt=2, due=1500), "greet is tried again: attempt 2; in 1.5 s"),
        (entry("task.retried.v1", attempt=2, due=600_000), "greet is tried again: attempt 2; in 10 min"),
        (entry("task.retried.v1", attempt=2, due=36_000_000), "greet is tried again: attempt 2; in 10 h"),
    ],
)
def test_an_entry_in_words(given, text):
    assert progress.sentence(given) == text


def test_what_a_run_waits_for_is_told_by_task():
    waiting = entry("task.status-changed.v1", "/do/0/a", status="waiting", wait={"kind": "event"})
    going = entry("task.status-changed.v1", "/do/1/b", status="running")
    found = [(one.path, one.data.get("wait")) for one in progress.pending([waiting, going])]
    assert progress.waits(found) == "a waits for an event"
    assert progress.waits([("/do/1/b", None)]) is None


def test_a_question_to_a_person_says_how_it_is_answered():
    asked = {"type": "dev.perdure.approval.requested.v1", "id": "e1", "data": {}}
    shown = progress.sentence(entry("task.completed.v1", "/do/0/ask/ask/0/request", output=asked))
    assert shown == "ask › request completed: decide it with the subject e1"
    assert progress.sentence(entry("task.completed.v1", "/do/1/see", output=asked)) == "see completed"


def test_a_wait_says_until_when_and_how_long():
    now = int(time.time() * 1000)
    waits = Entry(
        number=1,
        at=now,
        type="task.status-changed.v1",
        path="/do/0/w",
        data={"status": "waiting", "wait": {"until": now + 1000}},
    )
    assert progress.sentence(waits) == f"w waits: until {progress.clock(now + 1000)}; in 1.0 s"
    assert progress.told(waits, now + 2000)[2] == f"until {progress.clock(now + 1000)}"


def test_a_workflow_that_is_started_is_named():
    document = {"do": [{"a/b": {"run": {"workflow": {"namespace": "n", "name": "w"}}}}, {"c": {"wait": "PT1S"}}]}
    begins = Entry(number=1, at=0, type="task.started.v1", path="/do/0/a", ref="/do/0/a~1b", data={})
    assert progress.sentence(progress.naming_workflow(begins, document)) == "a started: workflow n/w latest"
    ends = structs.replace(begins, type="task.completed.v1")
    assert progress.sentence(progress.naming_workflow(ends, document)) == "a completed: workflow n/w latest"
    for ref in ("/do/1/c", "/do/7/x", "/nowhere/0/x", ""):
        other = Entry(number=1, at=0, type="task.started.v1", path="/do/0/a", ref=ref, data={})
        assert progress.naming_workflow(other, document) is other
    assert progress.naming_workflow(begins, None) is begins


def test_the_body_of_a_function_is_left_out_of_plain_lines(capsys):
    lines = progress.Lines("r", everything=False)
    lines.entry(entry("task.completed.v1", "/do/0/fn/function"))
    lines.entry(entry("task.completed.v1", "/do/0/fn"))
    assert capsys.readouterr().err.count("fn completed") == 1


def test_what_a_service_answered_does_not_steer_the_terminal():
    said = progress.sentence(entry("task.faulted.v1", error={"type": "x", "detail": "\x1b[2J\nred\x9b\u202e"}))
    assert said == r"greet faulted: \x1b[2J\nred\x9b\u202e"


def test_long_values_are_cut():
    assert len(progress.sentence(entry("progress", text="x" * 500))) < 140


@pytest.mark.parametrize(
    ("follow", "shown"),
    [
        (False, ["run r-1", "1 task is done already", "ask waits: for an event", "greet completed"]),
        (
            True,
            [
                "run r-1",
                "first started",
                "first completed",
                "ask waits: for an event",
                "greet started",
                "greet completed",
            ],
        ),
    ],
)
def test_plain_lines(capsys, follow, shown):
    lines = progress.Lines("r-1", everything=follow)
    lines.past(
        [
            entry("task.started.v1", "/do/0/first"),
            entry("task.completed.v1", "/do/0/first"),
            entry("task.status-changed.v1", "/do/1/ask", status="waiting", wait={"kind": "event"}),
        ]
    )
    lines.entry(entry("task.started.v1"))
    lines.entry(entry("task.completed.v1"))
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":", 2)[2][3:] for line in said] == shown
    assert said[-1].startswith(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(0)))


def test_quiet_says_nothing(capsys):
    view = progress.Nothing()
    view.past([entry("task.completed.v1")])
    view.entry(entry("task.completed.v1"))
    assert capsys.readouterr().err == ""
