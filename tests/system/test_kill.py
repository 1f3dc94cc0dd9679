"""T1: workers killed with SIGKILL at random moments; a ledger in another process counts what really happened.

PERDURE_KILLS and PERDURE_KILL_RUNS change the figures (300 kills and 200 runs of 41 effects, about 8,000).
"""

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import apsw
import pytest

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from tests.system.kill_worker import CHARGES, LABELS, TENANT, Functions

LANES = 2
"""Installations whose workers are killed at the same time: a worker mostly waits for its ledger, and the test for the kill."""
KILLS = int(os.environ.get("PERDURE_KILLS", "300")) // LANES
RUNS = int(os.environ.get("PERDURE_KILL_RUNS", "200")) // LANES
ROOT = Path(__file__).resolve().parents[2]


class Ledger:
    """The other side: an effect happens once a key; `shaky` refuses twice before it does anything."""

    def __init__(self, chance: random.Random) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.effects: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.hurry = False
        self._chance = chance
        self._keys: dict[str, str] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line:
            name, key, label = line.decode().split()
            self.calls[name, label] += 1
            await self._delay()
            answer = self._act(name, key, label)
            await self._delay()
            writer.write(f"{answer}\n".encode())
        writer.close()

    def _act(self, name: str, key: str, label: str) -> str:
        if name == "shaky" and self.refusals[label] < 2:
            self.refusals[label] += 1
            return "later"
        if key not in self._keys:
            self._keys[key] = label
            self.effects[label] += 1
        return "done" if self._keys[key] == label else "wrong key"

    async def _delay(self) -> None:
        if not self.hurry:
            await asyncio.sleep(self._chance.uniform(0, 0.007))


class Template:
    """The process that forks workers."""

    async def __aenter__(self):
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.system.kill_worker",
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.stdin.close()
        await self._process.wait()
        self._process._transport.close()

    async def ask(self, *words: object) -> int:
        self._process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        return int(await self._process.stdout.readline())


@pytest.mark.timeout(400)
async def test_killed_workers_lose_nothing_and_repeat_nothing(tmp_path, took_part):
    took_part(f"worker processes, {LANES * KILLS} times SIGKILL")
    with tempfile.TemporaryDirectory() as short:  # a path of a socket is short
        await asyncio.gather(*(lane(tmp_path / f"{number}", f"{short}/{number}", number) for number in range(LANES)))


async def lane(data: Path, socket: str, number: int) -> None:
    """One installation: its kills, and what must hold in the end."""
    chance = random.Random(20 + number)
    ledger = Ledger(chance)
    server = await asyncio.start_unix_server(ledger.serve, socket)
    kills = 0
    async with server, Template() as template:
        while kills < KILLS:
            pid = await template.ask("go", data, socket, RUNS)
            await asyncio.sleep(chance.uniform(0.03, 0.45))
            os.kill(pid, signal.SIGKILL)
            status = await template.ask("reap", pid)
            assert status in (0, signal.SIGKILL), status
            kills += status == signal.SIGKILL
            if status == 0:
                break
        ledger.hurry = True
        pid = await template.ask("go", data, socket, RUNS)
        assert await template.ask("reap", pid) == 0
    await _check_runs(data, socket)
    cut = _check_charges(ledger)
    redeliveries = _check_ledger(ledger)
    print(f"\nT1: {kills} kills, {sum(ledger.calls.values())} calls, {sum(ledger.effects.values())} effects, "
          f"{redeliveries} redeliveries, {cut} unsafe calls cut")  # fmt: skip
    assert cut > 0 or kills < 100
    assert kills == KILLS, f"the work was done after {kills} kills: raise PERDURE_KILL_RUNS"
    assert redeliveries <= kills
    file = apsw.Connection(str(data / "journal.db"))
    assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


async def _check_runs(data: Path, socket: str) -> None:
    async with EmbeddedEngine(data, Functions(socket), clock=SystemClock()) as engine:
        for number in range(RUNS):
            run = await engine.describe(TENANT, f"run-{number}")
            assert run.status == "completed", run
        assert len(await engine.find(TENANT, limit=10_000)) == 2 * RUNS


def _check_charges(ledger: Ledger) -> int:
    """Every unsafe call happened once, or was cut, called at most once, and a person was asked. How many were cut."""
    cut = 0
    for number in range(RUNS):
        for charge in range(CHARGES):
            label, asked = f"{number}/charge/{charge}", ledger.effects[f"{number}/unknown/{charge}"]
            assert ledger.calls["charge", label] <= 1, f"{label} was repeated"
            assert ledger.effects[label] == 1 or asked == 1, f"{label} was lost"
            cut += asked
    return cut


def _check_ledger(ledger: Ledger) -> int:
    """Every other effect happened once. How many calls were made again."""
    expected = [f"{number}/{label}" for number in range(RUNS) for label in LABELS]
    lost = [label for label in expected if ledger.effects[label] == 0]
    extra = [label for label, count in ledger.effects.items() if count > 1]
    assert not lost, lost[:10]
    assert not extra, extra[:10]
    unsafe = sum(count for (name, _), count in ledger.calls.items() if name == "charge")
    done = sum(count for label, count in ledger.effects.items() if "/charge/" not in label)
    return sum(ledger.calls.values()) - unsafe - sum(ledger.refusals.values()) - done
