"""Workers as processes of their own, on a Temporal server of the test's own, both of which can be killed."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.functions import python
from perdure.functions.agent import Agent
from perdure.functions.table import Table
from perdure.language.check import check
from perdure.language.read import read
from tests.servers import template
from tests.servers.template import Forked
from tests.servers.temporal import TemporalServer

FUNCTIONS = Path(__file__).with_name("ledger_functions.py")
TENANT = "default"


class TemporalWorld:
    """A server, its workers and a ledger of what they did."""

    def __init__(self, server: TemporalServer, folder: Path, installation: str) -> None:
        self.server = server
        self.folder = folder
        self.ledger = folder / "ledger.txt"
        self.installation = installation
        self.workers: list[Forked] = []
        self.kills = 0
        self.more: dict[str, str] = {}
        """Further environment of the workers."""
        self.table = Table([Agent(), *python.load(str(FUNCTIONS))])
        self.ledger.touch()

    def engine(self, *, heartbeat: float = 1.5, **limits: Any) -> Any:
        from perdure.engines.temporal.connection import Address
        from perdure.engines.temporal.engine import TemporalEngine
        from perdure.engines.temporal.protocol import Limits

        return TemporalEngine(
            Address(target=self.server.target), self.table, DirectoryBlobs(self.folder / "store"),
            installation=self.installation, limits=Limits(heartbeat=heartbeat, redelivery=0.1, **limits),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Of a process that belongs to this world."""
        return (
            {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
            | {
                "LEDGER": str(self.ledger),
                "PERDURE_ENGINE": "temporal",
                "PERDURE_TEMPORAL_ADDRESS": self.server.target,
                "PERDURE_TEMPORAL_INSTALLATION": self.installation,
                "PERDURE_TEMPORAL_STORE": str(self.folder / "store"),
                "PERDURE_DATA": str(self.folder / "data"),
            }
            | self.more
        )

    def start_worker(self, *options: str) -> Forked:
        command = ["worker", "--functions", str(FUNCTIONS), "--drain", "5", *options]
        with (self.folder / "worker.log").open("ab") as log:
            worker = template.start("perdure", *command, cwd=self.folder, env=self.environment(), stderr=log)
        self.workers.append(worker)
        return worker

    async def kill_worker(self) -> None:
        """The oldest one, and a new one in its place."""
        worker = self.workers.pop(0)
        worker.send_signal(signal.SIGKILL)
        await asyncio.to_thread(worker.wait)
        self.kills += 1
        self.start_worker()

    async def stop_worker(self) -> int:
        """The oldest one ends in good order, and a new one comes in its place."""
        worker = self.workers.pop(0)
        self.start_worker()
        worker.terminate()
        return await asyncio.to_thread(worker.wait)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()

    def made(self) -> int:
        """How many calls reached the outside so far."""
        return self.ledger.read_bytes().count(b"\n")

    def log(self) -> str:
        """What all workers said."""
        return (self.folder / "worker.log").read_text()

    def noted(self, word: str) -> list[str]:
        """The keys of all calls of a function, in the order in which they arrived."""
        lines = [line.split() for line in self.ledger.read_text().splitlines()]
        return [key for name, key in lines if name == word]

    def document(self, tasks: str, name: str = "demo") -> Any:
        body = "\n".join("  " + line for line in tasks.strip("\n").splitlines())
        reading = read(f"document: {{dsl: 1.0.3, namespace: test, name: {name}, version: 1.0.0}}\ndo:\n{body}\n")
        findings = [finding for finding in check(reading, functions=self.table) if finding.severity == "error"]
        assert not findings, findings
        return reading.value
