"""The live view, drawn without a terminal."""

import io

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
    assert "1 done  1 retries  7 tokens" in text


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
