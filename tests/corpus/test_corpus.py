"""Every recorded history replays, command by command, also from a snapshot at each step."""

import json

import pytest

from perdure.interpreter.machine import compile, step
from perdure.interpreter.state import restore, snapshot
from tests.corpus.cases import CASES
from tests.corpus.record import FOLDER, events_of, written

RECORDED = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_replays(path):
    recorded = json.loads(path.read_text())
    program = compile(recorded["document"])
    state = stored = None
    for event, exchange in zip(events_of(recorded), recorded["exchanges"], strict=True):
        state, commands = step(program, state, event)
        assert written(commands) == exchange["commands"]
        again, same = step(program, None if stored is None else restore(stored), event)
        assert (again, same) == (state, commands)
        stored = snapshot(again)


def test_every_case_is_recorded():
    assert {path.stem for path in RECORDED} >= set(CASES)


def test_every_kind_of_task_is_in_the_corpus():
    text = "".join(path.read_text() for path in RECORDED)
    for kind in ("call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait"):
        assert f'"{kind}": ' in text
