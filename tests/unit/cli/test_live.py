"""The live view, drawn without a terminal."""

import io
import re
import time

from rich.console import Console

from perdure.cli.live import Live
from perdure.ports.engine import Entry


def drawn(live: Live, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(live)
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
    assert "under way" not in text
    assert len(live._rows) == 12
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


def test_what_is_known_gives_way_to_who_and_what_on_a_narrow_screen():
    live = Live("r-1")
    live.entry(entry(1, "task.faulted.v1", "/do/0/look-up/do/0/get", error={"type": "x", "detail": "no " * 200}))
    live.entry(entry(2, "task.skipped.v1", f"/do/1/{'long-' * 30}name"))
    for width, known in ((80, "no no no"), (50, "no")):
        text = drawn(live, width)
        assert re.search(rf"• look-up › get +faulted 0.0 s {known}", text), text
        assert re.search(r"• …[long-]+-name skipped 0.0 s", text), text
    for width in (80, 40, 20, 1):
        assert all(len(line) <= width for line in drawn(live, width).splitlines())


def test_an_attempt_that_is_tried_again_takes_its_rows_with_it():
    live = Live("r-1")
    for number, attempt in enumerate(["", "~2"]):
        path = f"/do/0/pay{attempt}/try/0/send"
        live.entry(entry(number * 3 + 1, "task.started.v1", path))
        live.entry(entry(number * 3 + 2, "task.faulted.v1", path, error={"type": "x", "detail": "gone away"}))
        live.entry(entry(number * 3 + 3, "task.retried.v1", "/do/0/pay", attempt=number + 2, error={"detail": "busy"}))
    live.entry(entry(7, "task.started.v1", "/do/0/payment"))
    text = drawn(live)
    assert "gone away" not in text
    assert "attempt 3; busy" in text
    assert "payment started" in text
    assert "2 retries  2 faulted" in text


def test_more_than_fits_is_counted():
    live = Live("r-1")
    for number in range(500):
        live.entry(entry(number + 1, "task.started.v1", f"/do/0/f/fork/branches/{number}/b{number}"))
    assert "0 done  500 under way" in drawn(live)
