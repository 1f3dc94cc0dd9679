"""`perdure serve`, as far as it needs no server: each setting that is missing is one sentence, and ends with 2."""

import pytest

from perdure.cli.main import main

pytest.importorskip("fastapi")

WHOLE = {
    "PERDURE_ENGINE": "temporal",
    "PERDURE_DATABASE_URL": "postgresql://perdure@127.0.0.1:1/perdure",
    "PERDURE_MASTER_KEYS": "a" * 43 + "=",
}


@pytest.fixture
def settings(monkeypatch, tmp_path):
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PERDURE_DATA", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_missing_is_one_sentence(settings, capsys, name):
    settings.delenv(name)
    assert main(["serve"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("perdure: `perdure serve` needs")
    assert f"Set {name}" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("wrong", [["--port", "70000"], ["--notice", "-1"], ["--drain", "-1"]])
def test_what_cannot_be_meant_is_refused(settings, capsys, wrong):
    assert main(["serve", *wrong]) == 2
    assert capsys.readouterr().err.count("\n") <= 2
