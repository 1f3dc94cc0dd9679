"""The border of the command line: every error is a sentence and an exit code."""

import sys
import types

import pytest

from perdure import errors
from perdure.cli import main


@pytest.fixture
def command(monkeypatch):
    """A command table with one command that does what the test says."""

    def install(execute):
        module = types.ModuleType("perdure_command_of_a_test")
        module.arguments = lambda parser: None
        module.execute = execute
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(main, "COMMANDS", (main.Command("go", module.__name__, "Go."),))

    return install


@pytest.mark.parametrize("kind", errors.MEANINGS)
def test_each_kind_has_its_exit_code_and_shows_its_sentence_and_hint(command, capsys, kind):
    def execute(options):
        raise kind("This went wrong.", hint="Do that.")

    command(execute)
    assert main.main(["go"]) == errors.MEANINGS[kind].exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("perdure: This went wrong.\n  Do that.\n")


def test_a_bug_is_one_line_with_the_place_of_its_details(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def execute(options):
        raise KeyError("x")

    command(execute)
    assert main.main(["go"]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "KeyError" in line
    (details,) = tmp_path.iterdir()
    assert str(details) in line
    assert "Traceback" in details.read_text()


def test_debug_shows_the_traceback(command, capsys, monkeypatch):
    monkeypatch.setenv("PERDURE_DEBUG", "1")

    def execute(options):
        raise KeyError("x")

    command(execute)
    assert main.main(["go"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_the_system_and_an_interruption(command, capsys):
    def refuse(options):
        raise OSError(28, "No space left on device", "/data")

    command(refuse)
    assert main.main(["go"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("perdure: The system refused: No space left on device (/data).\n  Make room on the disk")

    def interrupt(options):
        raise KeyboardInterrupt

    command(interrupt)
    assert main.main(["go"]) == main.INTERRUPTED


def test_no_command_shows_the_help(capsys):
    assert main.main([]) == 0
    assert "exit codes" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run"], ["runs"], ["runs", "show"], ["run", "f", "--follow", "--quiet"]]
)
def test_a_wrong_command_line_is_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as leaving:
        main.main(arguments)
    assert leaving.value.code == 2
    assert "usage: perdure" in capsys.readouterr().err


def test_every_command_and_verb_has_a_sentence_and_examples():
    for row in main.COMMANDS:
        assert row.summary.endswith("."), row
    parser = main.build(whole=True)
    for action in parser._subparsers._group_actions[0].choices.values():
        assert action.epilog, action.prog


def test_a_server_forgets_runs_by_itself(tmp_path, capsys):
    assert main.main(["runs", "delete", "x", "--engine", "temporal", "--data", str(tmp_path)]) == 2
    assert "a Temporal server forgets runs by itself" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
