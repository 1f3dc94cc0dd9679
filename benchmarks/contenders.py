"""The contenders: how each is started, what it needs, and what to say when it cannot take part."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
NPM = ("@restatedev/restate-server", "@restatedev/restate-sdk")
READY_SECONDS = 60
ROUND_SECONDS = 300


class Missing(Exception):
    """This contender cannot take part; the text says why."""


class Contender(msgspec.Struct, frozen=True):
    """One system under measurement. `command` is called with the folder that it may write to."""

    name: str
    command: list[str]
    workloads: tuple[str, ...] = ("w10", "fan40")
    durability: str = ""


class Child:
    """A contender that runs, and answers rounds (`rounds.py`)."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender = contender
        folder.mkdir()
        self._log = (folder.parent / f"{folder.name}.log").open("w+")
        self._process = subprocess.Popen(
            [*contender.command, str(folder)],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.ready: dict[str, Any] = self._answer()["ready"]

    def __repr__(self) -> str:
        return f"Child({self.contender.name}, pid={self._process.pid})"

    def take(self, workload: str, times: int) -> list[float]:
        """Seconds of each time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([workload, times]) + "\n")
        self._process.stdin.flush()
        taken: list[float] = self._answer()
        return taken

    def close(self) -> None:
        """End its input, and then it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line[0] in '{["':
                return json.loads(line)
        self._log.seek(0)
        lines = self._log.read().strip().splitlines() or ["it ended without a word"]
        raise Missing(f"{self.contender.name}: {lines[-1]}")


def ours() -> list[Contender]:
    """What needs nothing but this repository."""
    return [Contender("Perdure", [sys.executable, "perdure_rounds.py"], durability="SQLite, WAL, synchronous=FULL")]


def peers(python: Path) -> tuple[list[Contender], list[str]]:
    """The peers that are installed under the environment of `python`, and a sentence for each that is not."""
    found, missing = [], []
    for name, module, script in (
        ("LangGraph + SQLite", "langgraph.checkpoint.sqlite", "langgraph_rounds.py"),
        ("DBOS + SQLite", "dbos", "dbos_rounds.py"),
        ("Temporal dev server", "temporalio", "temporal_rounds.py"),
    ):
        if (
            not python.exists()
            or subprocess.run([str(python), "-c", f"import {module}"], capture_output=True).returncode
        ):
            missing.append(f"{name}: not installed (run `make bench` with a network)")
        else:
            found.append(Contender(name, [str(python), script]))
    try:
        modules = _node_modules(python.parent.parent / "npm")
        found.append(Contender("Restate", ["node", "restate_rounds.mjs", str(modules)]))
    except Missing as error:
        missing.append(f"Restate: {error}")
    return found, missing


def _node_modules(folder: Path) -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing("needs Node.js and npm, which were not found")
    modules = folder / "node_modules"
    if not all((modules / name).is_dir() for name in NPM):
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--silent",
            "--no-fund",
            "--no-audit",
            "--ignore-scripts",
            "--prefix",
            str(folder),
            *NPM,
        ]
        installed = subprocess.run(command, capture_output=True, text=True)
        if installed.returncode:
            raise Missing(f"could not be installed ({(installed.stderr.strip().splitlines() or ['npm failed'])[-1]})")
    return modules
