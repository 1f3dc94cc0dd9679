"""How an outcome is told, and the command that goes on with a run."""

import argparse
import json

import pytest

from perdure.cli import drive
from perdure.ports.engine import Run


def run(status: str, **more) -> Run:
    return Run(
        id="r-1", tenant="t", namespace="n", name="w", version="1.0.0", program="p", status=status, started=0, updated=0,
        **more,
    )  # fmt: skip


def test_an_output_is_one_line_on_standard_output(capsys):
    assert drive.tell(run("completed", output={"a": [1, None]})) == 0
    assert capsys.readouterr() == ('{"a":[1,null]}\n', "")


def test_a_fault_is_one_line_on_standard_error(capsys):
    assert drive.tell(run("faulted", error={"type": "x", "status": 500})) == 1
    shown = capsys.readouterr()
    assert (shown.out, json.loads(shown.err)) == ("", {"type": "x", "status": 500})


def test_a_cancelled_run_is_told(capsys):
    assert drive.tell(run("cancelled")) == 1
    assert capsys.readouterr() == ("", "perdure: The run r-1 was cancelled.\n")


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({}, "perdure runs resume r-1"),
        ({"data": "my data"}, "perdure runs resume r-1 --data 'my data'"),
        (
            {"functions": ["a", "b"], "secrets": "s.json"},
            "perdure runs resume r-1 --functions a --functions b --secrets s.json",
        ),
    ],
)
def test_the_command_that_goes_on_carries_the_options_it_needs(options, command):
    desk = drive.Desk(argparse.Namespace(**{"data": None, "functions": [], "secrets": None, **options}))
    assert desk.resume_command("r-1") == command
