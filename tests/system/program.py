"""The real command line as a process of its own, for the tests of this folder."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from tests.servers import template
from tests.servers.template import Forked

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """`perdure` with a data directory and an environment of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
        self.environment = {
            **kept,
            "PERDURE_DATA": str(self.data),
            "PYTHONPATH": str(folder),
            "TERM": "dumb",
            **settings,
        }

    def write(self, name: str, text: str) -> Path:
        """A file in the program's folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    def run(self, *arguments: str, given: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "perdure", *arguments],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def fork(self, *arguments: str, stderr: IO[str]) -> Forked:
        """One command of a process that runs for long, left running in a session of its own, without the imports."""
        return template.start(
            "perdure", *arguments, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=stderr
        )

    def start(self, *arguments: str, stderr: Any = subprocess.PIPE) -> "subprocess.Popen[str]":
        """One command, left running in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "perdure", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


def document(name: str, tasks: str, **extra: str) -> str:
    """A document around a list of tasks, both as YAML."""
    more = "".join(f"{key}: {value}\n" for key, value in extra.items())
    return f"document: {{ dsl: 1.0.3, namespace: test, name: {name}, version: 1.0.0 }}\n{more}do:\n{tasks}"
