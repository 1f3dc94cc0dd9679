"""What people read, and what programs do."""

import json
import time

import msgspec
import pytest

from perdure.cli import tables
from perdure.client import runs


class Row(msgspec.Struct):
    """What a server may hand out."""

    id: str = "a"
    title: str | None = None
    created: str = "2026-01-02T03:04:05.678Z"
    held: bool = False
    amount: float = 60.0
    to: list[str] = []


@pytest.fixture(autouse=True)
def in_tokyo(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_the_users_own_and_nothing_is_a_dash(capsys):
    tables.print_rows(
        [Row(), Row(id="bb", title="two", held=True, to=["x", "y"])], ("id", "title", "created", "held", "to")
    )
    assert capsys.readouterr().out.splitlines() == [
        "ID  TITLE  CREATED              HELD  TO",
        "a   -      2026-01-02 12:04:05  no",
        "bb  two    2026-01-02 12:04:05  yes   x,y",
    ]


def test_whole_numbers_are_shown_whole(capsys):
    tables.print_rows([Row(), Row(amount=0.25), Row(amount=1e10)], ("amount",))
    assert capsys.readouterr().out.split() == ["AMOUNT", "60", "0.25", "10000000000"]


def test_an_empty_list_is_said_beside_the_output(capsys):
    tables.print_rows([], ("id",), "No runs here.")
    assert capsys.readouterr() == ("", "perdure: No runs here.\n")


def test_what_others_wrote_steers_no_terminal(capsys):
    tables.print_rows([Row(title="\x1b]0;owned\x07\nnext")], ("title",))
    tables.print_facts({"title": "\x1b[2J", "none": None})
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b]0;owned\\x07\\nnext" in shown
    assert len(shown.splitlines()) == 3


def test_long_values_are_cut_for_people_only(capsys):
    tables.print_facts({"input": "x" * 5000})
    assert "5,000 characters; --json prints all of them" in capsys.readouterr().out
    tables.print_rows([Row(title="x" * 5000)], ("title",))
    assert max(map(len, capsys.readouterr().out.splitlines())) == 120
    tables.print_json(Row(title="x" * 5000))
    assert "x" * 5000 in capsys.readouterr().out


def test_moments():
    assert tables.moment(None) is None
    assert tables.moment(0) == tables.moment("1970-01-01T00:00:00.000Z") == "1970-01-01 09:00:00"
    assert tables.milliseconds("1970-01-01T00:00:01.500Z") == 1500


def test_json_holds_nothing_that_steers_a_terminal_and_stays_the_same_json(capsys):
    value = {"a": "\x1b[2J\x9b31m\u202e\u2028 ü\U0001f600"}
    tables.print_json(value)
    shown = capsys.readouterr().out
    assert json.loads(shown) == json.loads(tables.text_of(value)) == value
    assert all(char.isprintable() or char == "\n" for char in shown + tables.text_of(value))


def test_a_list_of_runs_says_nothing_of_values_that_were_not_looked_at(capsys):
    run = runs.Run(
        id="r", workflow="n.w", namespace="n", name="w", version="1.0.0", status="faulted", started="s", updated="u"
    )
    tables.print_runs([run, msgspec.structs.replace(run, input={"n": 1})])
    bare, whole = json.loads(capsys.readouterr().out)
    assert (bare["ended"], {"input", "output", "error"} & set(bare)) == (None, set())
    assert (whole["input"], "error" in whole) == ({"n": 1}, False)
