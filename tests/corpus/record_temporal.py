"""Records histories of a Temporal server: `python -m tests.corpus.record_temporal RELEASE`. Recorded ones never change.

Every history that a released Perdure wrote must replay for ever; a new release adds a file of its own. It holds the
documents below, with the clock as it is, and one history of each shape that the scenarios give.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.engines.temporal.connection import Address
from perdure.engines.temporal.engine import TemporalEngine
from perdure.engines.temporal.protocol import Limits
from perdure.engines.temporal.worker import TemporalWorker
from tests.conformance.engine.world import World, event, workflow
from tests.corpus import histories
from tests.servers.temporal import TemporalServer

TENANT = "acme"
_LONGEST = 150_000
DOCUMENTS = {
    "sequence": "\n".join(f"- t{n}: {{call: echo, with: {{n: '${{ .n + 1 }}'}}}}" for n in range(5)),
    "branches": "- all:\n    fork:\n      branches:\n"
    + "\n".join(f"        - b{n}: {{call: echo, with: {{n: {n}}}}}" for n in range(6)),
    "race": "- all:\n    fork:\n      compete: true\n      branches:\n"
    "        - slow: {wait: {minutes: 5}}\n        - fast: {call: echo, with: {n: 1}}",
    "retried": "- t:\n    try:\n      - c: {call: flaky, with: {x: 1}}\n"
    "    catch: {errors: {with: {status: 503}}, retry: {delay: {milliseconds: 5}, limit: {attempt: {count: 5}}}}",
    "loop": "- l:\n    for: {each: i, in: '${ [range(6)] }'}\n    do:\n"
    "      - s: {call: echo, with: {i: '${ $i }'}}\n      - w: {wait: {milliseconds: 2}}",
    "event": "- l: {listen: {to: {one: {with: {type: go}}}}}\n- t: {call: echo, with: {got: '${ .[0] }'}}",
    "emitted": "- e: {emit: {event: {with: {source: 'https://a.example/', type: own, data: 1}}}}\n"
    "- l: {listen: {to: {one: {with: {type: own}}}}}",
    "child": "- r: {run: {workflow: {namespace: test, name: child, version: 1.0.0, input: {n: '${ .n }'}}}}",
    "late": "- t:\n    try:\n      - c: {call: slow, with: {}, timeout: {after: {milliseconds: 30}}}\n"
    "    catch: {errors: {with: {status: 408}}, do: [{s: {set: {late: true}}}]}",
    "mended": "- a: {call: echo, with: {x: 1}}\n- b: {call: broken, with: {}}\n- c: {call: echo, with: {z: 2}}",
    "cancelled": "- w: {wait: {hours: 1}}",
    "suspended": "- w: {wait: {milliseconds: 300}}\n- c: {call: echo, with: {z: 2}}",
}


class Outlet:
    """Takes what runs emit, and does nothing with it."""

    async def take(self, tenant: str, event: dict[str, Any]) -> None: ...


async def record(server: TemporalServer, folder: Path) -> list[str]:
    world, blobs, installation = World(), DirectoryBlobs(folder / "blobs"), f"record-{uuid.uuid4()}"
    engine = TemporalEngine(
        Address(target=server.target), world, blobs, installation=installation, limits=Limits(calls=4, heartbeat=1.0),
        has_outlet=True,
    )  # fmt: skip
    async with engine:
        worker = TemporalWorker(engine.client, installation, blobs, world, clock=SystemClock(), outlet=Outlet())
        await worker.open()
        await engine.publish(TENANT, workflow(world, "- c: {call: echo, with: {n: '${ .n }'}}", name="child"), {})
        world.failures = 2
        for name, tasks in DOCUMENTS.items():
            await engine.start(TENANT, workflow(world, tasks, name=name), {"n": 1}, run=name)
        await engine.suspend(TENANT, "suspended")
        await engine.cancel(TENANT, "cancelled")
        await engine.deliver(TENANT, event("go", "1", data=1))
        await engine.resume(TENANT, "suspended")
        assert (await engine.wait(TENANT, "mended")).status == "faulted"
        await engine.skip(TENANT, "mended", output={"y": 7}, has_output=True)
        for name in DOCUMENTS:
            await engine.wait(TENANT, name)
        found = []
        async for one in engine.client.list_workflows(f'TaskQueue = "{installation}-workflows"'):
            history = await engine.client.get_workflow_handle(one.id, run_id=one.run_id).fetch_history()
            found.append(histories.line_of(history))
        await worker.close()
        return sorted(found)


def scenarios(folder: Path) -> list[str]:
    """Histories of the scenarios, the shortest of each shape."""
    file = folder / "scenarios.jsonl"
    command = [sys.executable, "-m", "pytest", "tests/conformance/language/test_features.py", "-q", "-k", "temporal"]
    subprocess.run(command, env=os.environ | {"PERDURE_RECORD_HISTORIES": str(file)}, check=True)
    found: dict[tuple[str, ...], str] = {}
    for line in sorted(file.read_text().splitlines(), key=len):
        found.setdefault(histories.shape_of(line), line)
    return sorted(line for line in found.values() if len(line) < _LONGEST)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        server = TemporalServer(Path(name))
        server.start()
        try:
            found = asyncio.run(record(server, Path(name)))
        finally:
            server.stop()
        found += scenarios(Path(name))
    target = histories.FOLDER / f"{sys.argv[1]}.jsonl.gz"
    assert not target.exists(), f"{target} is there, and what is recorded never changes"
    histories.write(target, found)
    print(f"{target}: {len(found)} histories, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
