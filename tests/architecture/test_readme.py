"""The quick start of README.md, done word by word: files are written, commands run, outputs compared."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.adapters.local_model_weights import is_installed
from tests.architecture.sources import ROOT
from tests.system.platform_process import PlatformProcess

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
    assert len(session()) >= 2
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


def test_the_section_about_the_server_is_true(folder):
    section = TEXT.split("## As a server")[1].split("\n## ")[0]
    blocks = re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)
    commands = re.findall(r"^perdure (.*?)(?: +#.*)?$", dict(blocks)["sh"], re.MULTILINE)
    platform = PlatformProcess(folder)
    try:
        platform.up()
        for command in commands:
            given = shlex.split(command.replace("http://127.0.0.1:8420", f"{platform.address} --stdin"))
            done = platform.run(*given, given=platform.key)
            assert done.returncode == 0, f"{command}: {done.stderr}"
        code = dict(blocks)["python"].replace("http://127.0.0.1:8420", platform.address)
        exec(code, found := {"key": platform.key})
        assert found["run"].workflow == "readme.hello"
    finally:
        platform.kill()


def test_the_section_about_agents_is_true(folder, require):
    require(is_installed(), "skipped: the local model is not installed (make setup)")
    section = TEXT.split("## Agents and models")[1].split("\n## ")[0]
    commands = re.findall(r"^perdure (.*?)(?: +#.*)?$", section, re.MULTILINE)
    assert len(commands) == 3
    platform = PlatformProcess(folder)
    try:
        platform.up()
        platform.run("login", platform.address, "--stdin", given=platform.key)
        for command in commands:
            done = platform.run(*shlex.split(command))
            assert done.returncode == 0 and done.stdout.strip(), f"{command}: {done.stderr}"
    finally:
        platform.kill()


def test_every_other_command_of_the_page_exists(folder):
    shown = "\n".join(body for kind, body in BLOCKS if kind == "sh")
    listed = re.findall(r"^perdure (\w+)(?: ([a-z]+))?", shown, re.MULTILINE)
    assert listed
    for noun, verb in listed:
        has_verbs = noun not in {"run", "login", "doctor"}
        arguments = [noun, verb, "--help"] if has_verbs else [noun, "--help"]
        assert perdure(arguments, folder).returncode == 0, arguments


def test_the_make_targets_of_the_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE):
            assert target in targets, f"{name}: make {target}"
