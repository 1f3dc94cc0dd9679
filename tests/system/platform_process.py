"""`perdure up` as a process of its own, with the key that it showed, for the tests of this folder."""

import os
import re
import signal
import time
from pathlib import Path

from perdure.client import Client
from tests.servers.template import Forked
from tests.system.program import Program

KEY = re.compile(r"pdk_[A-Za-z0-9_-]+")
PATIENCE = 60.0


class PlatformProcess(Program):
    """Started, killed and started again on the same data directory."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, XDG_CONFIG_HOME=str(folder / "config"), **settings)
        self.key = ""
        self.address = ""
        self.shown = ""
        self.process: Forked | None = None

    def up(self, *arguments: str) -> float:
        """Start it; return after how many seconds it was ready."""
        begun = time.monotonic()
        with (self.folder / "log").open("a") as log:
            self.process = self.fork("up", "--port", "0", *arguments, stderr=log)
        self.shown = self._read_until_ready(self.process)
        self.address = re.search(r"http://\S+", self.shown)[0]
        found = KEY.search(self.shown)
        self.key = found[0] if found else self.key
        return time.monotonic() - begun

    def _read_until_ready(self, process: Forked) -> str:
        text = ""
        for line in iter(process.stdout.readline, ""):  # until it is ready, or dead
            text += line
            if "Ctrl-C" in line:
                return text
        raise AssertionError(f"it did not start: {text}\n{self.log()}")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End it, and return its exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.poll() is None:
            os.kill(process.pid, how)
        code = process.wait(PATIENCE)
        process.stdout.close()
        return code

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def client(self, key: str | None = None) -> Client:
        return Client(self.address, self.key if key is None else key)
