"""One computation for each key, whoever asks, however often."""

import json
import threading

import pytest

from perdure.adapters.local_model_answers import Answers, Ledger


class Engine:
    """Counts its computations; waits inside one while a gate is closed."""

    def __init__(self, gate=None):
        self.gate = gate
        self.inside = threading.Event()
        self.count = 0

    def __call__(self, request):
        self.count += 1
        self.inside.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        if request.get("fails"):
            return {"error": {"message": "no room", "code": 400}}
        if request.get("raises"):
            raise RuntimeError("broken")
        return {"text": request["say"], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}


def events(path):
    return [(line["event"], line["key"]) for line in map(json.loads, path.read_text().splitlines())]


@pytest.fixture
def ledger(tmp_path):
    kept = Ledger(tmp_path / "ledger")
    yield kept
    kept.close()


def test_the_same_key_is_computed_once(ledger, tmp_path):
    engine = Engine()
    answers = Answers(engine, ledger)
    first = answers.answer("k", b"1", {"say": "a"})
    assert answers.answer("k", b"1", {"say": "a"}) == first == (200, first[1])
    assert answers.answer("l", b"1", {"say": "a"})[0] == 200
    assert engine.count == 2
    assert events(tmp_path / "ledger") == [
        ("started", "k"),
        ("computed", "k"),
        ("stored", "k"),
        ("started", "l"),
        ("computed", "l"),
    ]


def test_who_asks_meanwhile_joins(ledger, tmp_path):
    gate = threading.Event()
    engine = Engine(gate)
    answers = Answers(engine, ledger)
    results = []
    ask = lambda: results.append(answers.answer("k", b"1", {"say": "a"}))  # noqa: E731
    first = threading.Thread(target=ask)
    first.start()
    assert engine.inside.wait(10)
    second = threading.Thread(target=ask)
    second.start()
    while ("joined", "k") not in events(tmp_path / "ledger"):
        second.join(0.01)
    gate.set()
    first.join(10)
    second.join(10)
    assert len(results) == 2
    assert results[0] == results[1]
    assert engine.count == 1


def test_a_key_of_another_request_is_refused():
    answers = Answers(Engine(), Ledger(None))
    answers.answer("k", b"1", {"say": "a"})
    status, body = answers.answer("k", b"2", {"say": "b"})
    assert status == 422
    assert "another request" in body["error"]["message"]


def test_a_failure_is_not_kept():
    engine = Engine()
    answers = Answers(engine, Ledger(None))
    assert answers.answer("k", b"1", {"fails": True}) == (400, {"error": {"message": "no room"}})
    assert answers.answer("k", b"1", {"fails": True})[0] == 400
    assert engine.count == 2


def test_an_engine_that_breaks_leaves_nobody_waiting():
    answers = Answers(Engine(), Ledger(None))
    with pytest.raises(RuntimeError):
        answers.answer("k", b"1", {"raises": True})
    assert answers.answer("k", b"1", {"say": "now"})[0] == 200


def test_without_a_key_everything_is_computed():
    engine = Engine()
    answers = Answers(engine, Ledger(None))
    assert [answers.answer("", b"1", {"say": "a"})[0] for _ in range(2)] == [200, 200]
    assert engine.count == 2


def test_the_oldest_answers_are_forgotten_first(monkeypatch):
    monkeypatch.setattr("perdure.adapters.local_model_answers._MOST_ANSWERS", 2)
    engine = Engine()
    answers = Answers(engine, Ledger(None))
    for key in ("a", "b", "c", "c", "b", "a"):
        answers.answer(key, b"1", {"say": key})
    assert engine.count == 4


def test_the_ledger_is_appended_to(tmp_path):
    for key in ("a", "b"):
        ledger = Ledger(tmp_path / "ledger")
        ledger.write("computed", key, seconds=1)
        ledger.close()
    assert events(tmp_path / "ledger") == [("computed", "a"), ("computed", "b")]
    Ledger(None).close()
