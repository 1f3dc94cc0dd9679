"""A worker sleeps beyond its lease and wakes up: its late write is refused (reliability.md, T18)."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from perdure.adapters.database import open_database
from perdure.adapters.redis_locks import RedisLocks
from tests.system import zombie

ROUNDS = 20
_numbers = itertools.count(1)


class Worker:
    """The process."""

    def __init__(self, url: str, valkey: str) -> None:
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.system.zombie", url, valkey, "worker-1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
        )  # fmt: skip

    def tell(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    async def answer(self) -> str:
        line = await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), 30)
        return line.strip()

    async def ask(self, line: str) -> str:
        self.tell(line)
        return await self.answer()

    def signal(self, which: signal.Signals) -> None:
        os.kill(self._process.pid, which)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path, took_part) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/zombie.db"
    server = request.getfixturevalue("postgres_server")
    took_part(f"PostgreSQL {server.version}")
    return server.database(f"zombie_{next(_numbers)}")


@pytest.mark.slow
async def test_a_late_write_is_refused(url, valkey_server, took_part):
    took_part(f"Valkey {valkey_server.version}")
    database = open_database(url, "zombie", zombie.metadata)
    locks = RedisLocks(valkey_server.url)
    worker = Worker(url, valkey_server.url)
    try:
        for number in range(ROUNDS):
            late = int(await worker.ask("lease"))
            assert await worker.ask(f"write early-{number}") == "True"
            worker.signal(signal.SIGSTOP)
            worker.tell(f"write late-{number}")  # it lies there until the worker wakes
            token = None
            async with asyncio.timeout(10):
                while token is None:
                    token = await locks.lease(zombie.NAME, "worker-2", 60)
                    await asyncio.sleep(0.01)
            assert token > late
            assert await database.write("acme", zombie.writing(token, f"good-{number}"))
            worker.signal(signal.SIGCONT)
            assert await worker.answer() == "False"
            assert await worker.ask("renew") == "False"
            text = await database.read("acme", lambda c: c.execute(select(zombie.fenced.c.text)).scalar_one())
            assert text == f"good-{number}"
            await locks.release(zombie.NAME, "worker-2", token)
    finally:
        worker.signal(signal.SIGCONT)
        worker.end()
        await locks.close()
        await database.close()
