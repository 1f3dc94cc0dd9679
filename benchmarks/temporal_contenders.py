"""Two contenders on one Temporal server: a workflow written by hand, and a document that Perdure runs there.

`python temporal_contenders.py hand|plain|perdure TARGET FOLDER`; answers as in `rounds.py`, with CPU: {"seconds": [...], "cpu": s}.
Worker and client of a contender share a process, so its CPU is both of theirs. `plain` is `hand` without the SDK's sandbox.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from rounds import CALLS, tell
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

LIMIT = timedelta(seconds=30)

Work = Callable[[], Awaitable[Any]]


@activity.defn
async def noop() -> None:
    return None


@workflow.defn
class Sequence:
    @workflow.run
    async def run(self) -> None:
        for _ in range(CALLS):
            await workflow.execute_activity(noop, start_to_close_timeout=LIMIT)


@asynccontextmanager
async def by_hand(target: str, role: str) -> AsyncIterator[Work]:
    client = await Client.connect(target)
    runner = SandboxedWorkflowRunner() if role == "hand" else UnsandboxedWorkflowRunner()

    async def once() -> None:
        await client.execute_workflow(Sequence.run, id=str(uuid.uuid4()), task_queue=role)

    async with Worker(client, task_queue=role, workflows=[Sequence], activities=[noop], workflow_runner=runner):
        yield once


@asynccontextmanager
async def perdure(target: str, folder: Path) -> AsyncIterator[Work]:
    from perdure_rounds import TENANT, W10  # Perdure is loaded by this contender only

    from perdure import wiring
    from perdure.engines.temporal.protocol import QUEUES
    from perdure.settings import Settings

    settings = Settings(engine="temporal", temporal_address=target, temporal_installation="bench")
    installation = wiring.installation(folder, settings, modules=[str(Path(__file__).parent / "noop.py")])
    async with installation.open():
        engine = installation.engine
        worker = wiring.temporal_worker(installation, folder, settings, queues=QUEUES, calls=100, drain=0)

        async def once() -> None:
            run = await engine.wait(TENANT, await engine.start(TENANT, W10, {}))
            assert run.status == "completed", run.error

        await worker.open()
        try:
            yield once
        finally:
            await worker.close()


async def main(role: str, target: str, folder: Path) -> None:
    made = perdure(target, folder) if role == "perdure" else by_hand(target, role)
    async with made as once:
        tell({"ready": {}})
        while line := await asyncio.to_thread(sys.stdin.readline):
            _, times = json.loads(line)
            taken, cpu = [], process_time()
            for _ in range(times):
                began = perf_counter()
                await once()
                taken.append(perf_counter() - began)
            tell({"seconds": taken, "cpu": process_time() - cpu})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
