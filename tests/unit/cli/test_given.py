"""What a user hands in, and the sentence that each mistake gets."""

import io
import sys
from datetime import UTC, datetime

import pytest

from perdure import wiring
from perdure.cli import given
from perdure.errors import Invalid, NotFound
from perdure.language.read import MAX_BYTES


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ('"x"', "x"),
        ("null", None),
        ("12345678901234567890123", 12345678901234567890123),
    ],
)
def test_json_on_the_command_line(text, value):
    assert given.json_argument(text, "--input") == value


def test_the_default_stands_for_an_absent_option():
    assert given.json_argument(None, "--input", default={}) == {}


@pytest.mark.parametrize("name", ["input.json", "input.yaml"])
def test_json_and_yaml_from_a_file(tmp_path, name):
    file = tmp_path / name
    file.write_text('{"on": true}')
    assert given.json_argument(f"@{file}", "--input") == {"on": True}


@pytest.mark.parametrize("option", ["-", "@-"])
def test_json_from_standard_input(monkeypatch, option):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": [1]}')))
    assert given.json_argument(option, "--input") == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{name: Ada}", "is not JSON"),
        ("", "is empty, which is not JSON"),
        ("\udcff", "is not JSON, which is UTF-8 text: its byte 0 belongs"),
        ('{"a": "xx\udce4"}', "its byte 9 belongs"),
        ('{"a": "\\ud800"}', r"holds \\ud800, which is half"),
        ('["\\\\ud800", "\\ud83d\\ude00 \\uDE00"]', r"holds \\uDE00, which is half"),
        ('["\\\\ud800", "\\ud83d\\ude00", x]', "is not JSON: "),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
        ("1e999", "too large|not JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_a_sentence(text, part):
    with pytest.raises(Invalid, match=part) as refused:
        given.json_argument(text, "--input")
    assert refused.value.message.startswith("The value of --input")


def test_a_yaml_input_that_cannot_be_read_names_the_place(tmp_path):
    file = tmp_path / "input.yaml"
    file.write_text("a: 1\na: 2\n")
    with pytest.raises(Invalid, match=r"--input .* line 2"):
        given.json_argument(f"@{file}", "--input")


def test_a_missing_file(tmp_path):
    with pytest.raises(NotFound, match="There is no file"):
        given.read_document(str(tmp_path / "absent.yaml"))


def test_a_directory(tmp_path):
    with pytest.raises(Invalid, match="is a directory"):
        given.read_document(str(tmp_path))


def test_a_path_that_is_none():
    with pytest.raises(Invalid, match="is not a path"):
        given.read_document("a\0b")


def test_an_empty_document(tmp_path):
    file = tmp_path / "empty.yaml"
    file.write_text(" \n")
    with pytest.raises(Invalid, match="is empty"):
        given.read_document(str(file))


def test_a_document_that_is_too_large_is_not_read_whole(tmp_path):
    file = tmp_path / "large.yaml"
    with file.open("wb") as large:
        large.truncate(100 * MAX_BYTES)
    with pytest.raises(Invalid, match="larger than 10 MB"):
        given.read_document(str(file))


def test_the_data_directory_is_the_option_then_the_setting_then_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    chosen = given.Settings(data="/elsewhere")
    assert str(given.data_directory("here", chosen)) == "here"
    assert str(given.data_directory(None, chosen)) == "/elsewhere"
    assert given.data_directory(None, given.Settings()) == tmp_path / "perdure"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given.data_directory(None, given.Settings()) == tmp_path / ".local/share/perdure"


def test_an_allow_list_that_cannot_be_read():
    with pytest.raises(Invalid, match="999.1.1.1/99"):
        wiring.table(given.Settings(egress_allow=("999.1.1.1/99",)))


def test_a_setting_that_does_not_fit_and_a_name_that_is_none(monkeypatch, capsys):
    monkeypatch.setenv("PERDURE_MODEL_THREAD", "2")
    given.read_settings()
    assert "Did you mean PERDURE_MODEL_THREADS?" in capsys.readouterr().err
    monkeypatch.setenv("PERDURE_MODEL_THREADS", "many")
    with pytest.raises(Invalid, match="PERDURE_MODEL_THREADS does not fit"):
        given.read_settings()


def test_an_empty_path_and_a_file_for_a_directory(tmp_path):
    with pytest.raises(Invalid, match="path of the document is empty"):
        given.read_bytes("", "document")
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="is not a directory"):
        given.data_directory(str(tmp_path / "file"), given.read_settings())


@pytest.mark.parametrize(
    "text", ["2026-03-01", "2026-03-01T08:30", "2026-03-01T08:30:00Z", "2026-03-01T08:30:00+09:00"]
)
def test_a_moment_is_told_as_one(text):
    assert given.instant(text, "--since").endswith("+00:00")


def test_an_age_is_a_moment_before_now():
    told = datetime.fromisoformat(given.instant("2h", "--since"))
    assert 7190 < (datetime.now(UTC) - told).total_seconds() < 7300
    assert given.instant(None, "--since") == ""


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "h", "-2h", "9999999999d", "²h"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(Invalid, match="--since"):
        given.instant(text, "--since")
