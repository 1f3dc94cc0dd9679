"""A worker that is killed in a call: how soon another one makes it, and that an unsafe call is not made again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid

import pytest

pytest.importorskip("temporalio")

from perdure.functions import python
from perdure.functions.table import Table
from perdure.language.read import read
from perdure.settings import Settings
from perdure.wiring import temporal_engine

pytestmark = pytest.mark.slow
HEARTBEAT, SLACK = 2.0, 6.0
FUNCTIONS = '''
import asyncio
import os
import perdure
from perdure.ports.function import Context

async def make(key):
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(key + "\\n")
    if os.environ.get("HANGS"):
        await asyncio.sleep(3600)
    return "made"

@perdure.function(effect="idempotent")
async def careful(context: Context) -> str:
    """Hangs in the worker that is to be lost."""
    return await make(context.key)

@perdure.function(effect="unsafe")
async def charge(context: Context) -> str:
    """The same, and must not be made twice."""
    return await make(context.key)
'''


class Workers:
    """Workers of one installation, and what they noted."""

    def __init__(self, target, folder):
        self.folder = folder
        self.module = folder / "lost_functions.py"
        self.module.write_text(FUNCTIONS)
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.settings = Settings(
            engine="temporal", temporal_address=target, temporal_installation=f"lost-{uuid.uuid4()}",
            temporal_store=str(folder / "store"), temporal_heartbeat=HEARTBEAT,
        )  # fmt: skip
        self.started = []

    def start(self, **more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")} | {
            "PERDURE_TEMPORAL_ADDRESS": self.settings.temporal_address, "LEDGER": str(self.ledger),
            "PERDURE_TEMPORAL_INSTALLATION": self.settings.temporal_installation,
            "PERDURE_TEMPORAL_STORE": self.settings.temporal_store, "PERDURE_DATA": str(self.folder / "data"), **more,
        }  # fmt: skip
        command = [sys.executable, "-m", "perdure", "worker", "--engine", "temporal", "--functions", str(self.module)]
        self.started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        return self.started[-1]

    def notes(self):
        return self.ledger.read_text().split()

    async def noted(self, count, within):
        end = time.monotonic() + within
        while len(self.notes()) < count:
            assert time.monotonic() < end, f"{self.notes()} after {within} s"
            await asyncio.sleep(0.02)


@pytest.fixture
def workers(temporal_server, tmp_path, took_part):
    took_part("Temporal server")
    made = Workers(temporal_server.target, tmp_path)
    yield made
    for worker in made.started:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("function", ["careful", "charge"])
async def test_a_worker_that_is_killed_in_a_call(workers, tmp_path, function):
    table = Table(python.load(str(workers.module)))
    text = "document: {{ dsl: 1.0.3, namespace: t, name: d, version: 1.0.0 }}\ndo: [{{ a: {{ call: {} }} }}]"
    document = read(text.format(function)).value
    lost = workers.start(HANGS="1")
    async with temporal_engine(tmp_path, workers.settings, table) as engine:
        run = await engine.start("default", document, {})
        await workers.noted(1, within=60)
        workers.start()
        lost.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        ended = await asyncio.wait_for(engine.wait("default", run), 60)
        taken = time.monotonic() - killed
    assert len(set(workers.notes())) == 1
    if function == "careful":
        assert (ended.status, ended.output, len(workers.notes())) == ("completed", "made", 2)
        assert taken < HEARTBEAT + 1 + SLACK
    else:
        assert (ended.status, ended.error["title"], len(workers.notes())) == ("faulted", "outcome unknown", 1)
