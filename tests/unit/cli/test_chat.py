"""What `perdure agents chat` shows of a stream."""

import pytest

from perdure.cli.chat import _Screen


def shown(capsys, *events):
    screen = _Screen()
    for type, data in events:
        screen.show(type, data)
    told = capsys.readouterr()
    return told.out, told.err, screen.text


def test_each_turn_begins_on_a_line_of_its_own(capsys):
    events = [
        ("text", {"turn": 1, "text": "no"}),
        ("text", {"turn": 1, "text": "pe"}),
        ("text", {"turn": 2, "text": "{}"}),
    ]
    out, err, text = shown(capsys, *events)
    assert (out, err, text) == ("nope\n{}", "", "{}")


def test_what_is_taken_back_is_shown_again(capsys):
    out, _err, text = shown(capsys, ("text", {"turn": 1, "text": "It w"}), ("reset", {"turn": 1, "text": "It is"}))
    assert (out, text) == ("It w\nIt is", "It is")


@pytest.mark.parametrize(
    ("type", "data", "said"),
    [
        ("tool", {"tool": "pay", "state": "started"}, "[pay]\n"),
        ("held", {"path": "/x", "budget": "b", "detail": "It is used up."}, "It waits: for the budget b: It is used up.\n"),
        ("held", {"path": "/x", "approval": {"tool": "pay", "arguments": {"a": 1}}}, 'for somebody to approve pay with {"a":1} (`perdure inbox list`)\n'),
        ("tool", {"tool": "pay", "state": "completed"}, ""),
        ("resumed", {"path": "/x"}, ""),
    ],
)  # fmt: skip
def test_what_happens_meanwhile_is_told_aside(capsys, type, data, said):
    out, err, _text = shown(capsys, ("text", {"turn": 1, "text": "Wait."}), (type, data))
    assert out == "Wait."
    assert err.endswith(said)
    assert err.startswith("\n") is bool(said)
