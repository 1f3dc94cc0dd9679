"""The live view, drawn without a terminal."""

import io
import re
import time

from rich.console import Console

from perdure.cli.live import Live
from perdure.ports.engine import Entry


def drawn(live: Live) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(live._render())
    return console.file.getvalue()


def entry(number: int, kind: str, path: str = "", **data) -> Entry:
    return Entry(number=number, at=0, type=kind, path=path, data=data)


def test_it_shows_tasks_and_counts():
    live = Live("r-1")
    live.entry(entry(1, "workflow.started.v1"))
    live.entry(entry(2, "task.started.v1", "/do/0/ask"))
    live.entry(entry(0, "progress", "/do/0/ask", progress="12 tokens so far"))
    assert "12 tokens so far" in drawn(live)
    live.entry(entry(3, "task.retried.v1", "/do/0/ask", attempt=2))
    live.entry(entry(4, "task.completed.v1", "/do/0/ask", usage={"outputTokens": 7}))
    live.entry(entry(5, "workflow.completed.v1"))
    text = drawn(live)
    assert "run r-1  completed" in text
    assert "1 done  1 retry  7 tokens" in text


def test_times_count_down_and_the_body_of_a_function_has_no_row():
    live = Live("r-1")
    soon = int(time.time() * 1000) + 60_000
    live.entry(
        Entry(number=1, at=soon - 90_000, type="task.retried.v1", path="/do/0/a", data={"attempt": 2, "due": soon})
    )
    live.entry(entry(2, "task.started.v1", "/do/1/fn"))
    live.entry(entry(3, "task.started.v1", "/do/1/fn/function"))
    assert re.search(r"attempt 2; in (59|60)\.", drawn(live)), "not the 90 seconds that it was at first"
    assert len(live._rows) == 2


def test_finished_tasks_make_room_and_running_ones_stay():
    live = Live("r-1")
    live.entry(entry(1, "task.started.v1", "/do/0/long"))
    for number in range(40):
        live.entry(entry(2, "task.started.v1", f"/do/{number}/t{number}"))
        live.entry(entry(3, "task.completed.v1", f"/do/{number}/t{number}"))
    text = drawn(live)
    assert "40 done" in text
    assert "t39" in text
    assert "t5 " not in text
    assert repr(live)


def test_what_is_over_has_no_spinner_and_begins_anew_when_entered_again():
    live = Live("r-1")
    live.entry(entry(1, "task.created.v1", "/do/0/no"))
    live.entry(entry(2, "task.skipped.v1", "/do/0/no"))
    assert live._rows["/do/0/no"].ended == 0
    assert "• no skipped" in drawn(live)
    live.entry(entry(3, "task.started.v1", "/do/0/no"))
    assert live._rows["/do/0/no"].ended is None


def test_the_past_is_counted_and_what_waits_is_shown():
    live = Live("r-1")
    live.past(
        [
            entry(1, "task.completed.v1", "/do/0/first", usage={"outputTokens": 7}),
            entry(2, "task.status-changed.v1", "/do/1/second", status="waiting", wait={"kind": "event"}),
        ]
    )
    text = drawn(live)
    assert "first" not in text
    assert "second waits" in text
    assert "1 task is done already  0 done" in text
    assert "tokens" not in text
