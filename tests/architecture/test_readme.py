"""The quick start of README.md, done word by word: files are written, commands run, outputs compared."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    document = next(body for language, body in BLOCKS if language == "yaml")
    (tmp_path / "hello.yaml").write_text(document)
    return tmp_path


def perdure(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PERDURE_DATA": str(folder / "data"), "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "perdure", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def session() -> list[tuple[str, str]]:
    """Every command of the console blocks with the output that the page shows."""
    found = []
    for language, body in BLOCKS:
        if language == "console":
            found += re.findall(r"^\$ perdure (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE)
    return found


def test_the_quick_start_is_true(folder):
    assert len(session()) >= 4
    for command, output in session():
        done = perdure(shlex.split(command), folder)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout + done.stderr == output, command


def test_the_python_function_of_the_page_can_be_called(folder):
    (folder / "my_functions.py").write_text(next(body for language, body in BLOCKS if language == "python"))
    (folder / "report.yaml").write_text("""
document: { dsl: 1.0.3, namespace: readme, name: report, version: 1.0.0 }
do:
  - count: { call: wordcount, with: { text: one two three } }
""")
    done = perdure(["run", "report.yaml", "--functions", "my_functions", "--quiet"], folder)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def test_every_other_command_of_the_page_exists(folder):
    shown = "\n".join(body for kind, body in BLOCKS if kind == "sh")
    listed = re.findall(r"^perdure (\w+) (\S+)", shown, re.MULTILINE)
    assert listed
    for noun, verb in listed:
        arguments = [noun, verb, "--help"] if noun in {"runs", "functions"} else [noun, "--help"]
        assert perdure(arguments, folder).returncode == 0, arguments


def test_the_make_targets_of_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE):
            assert target in targets, f"{name}: make {target}"
