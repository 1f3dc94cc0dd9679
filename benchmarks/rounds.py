"""What each contender does with a line on its standard input: run a workload so often, and answer with seconds.

The protocol between `run.py` and its children, one JSON value a line: first `{"ready": {...}}` from the child, then for
each `["w10", times]` or `["fan40", times]` a list of seconds, one for each time. A child ends with its input.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

CALLS = 10
"""Sequential calls of W10."""
BRANCHES = 40
"""Parallel calls of one FAN40 run."""
AT_ONCE = 10
"""FAN40 runs at once."""

Work = Callable[[], Awaitable[Any]]


def tell(value: Any) -> None:
    """One answer."""
    print(json.dumps(value), flush=True)


async def serve(ready: dict[str, Any], workloads: dict[str, Work]) -> None:
    """Answer every line of the standard input, until it ends."""
    tell({"ready": ready})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, times = json.loads(line)
        taken = []
        for _ in range(times):
            began = perf_counter()
            await workloads[name]()
            taken.append(perf_counter() - began)
        tell(taken)
