"""What the agent loop costs a turn beside the provider's time: the pure machine alone, and the embedded engine.

`python agent.py FOLDER TURNS` prints `{"machine": {...}, "engine": {...}}` in milliseconds. A turn is one request to the
model and one call of a tool; the provider and the tool answer at once, so all that is measured is ours. In the engine
that is two groups of facts on the disk for each request and call; `cpu` leaves the waiting for the disk out.
"""

import asyncio
import json
import statistics
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import perdure
from perdure.adapters.clock import SystemClock
from perdure.adapters.model_catalog import ModelCatalog
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.functions.agent import Agent
from perdure.functions.model import Model
from perdure.functions.model_providers import Providers
from perdure.functions.python import PythonFunction
from perdure.functions.table import Table
from perdure.interpreter import commands as c
from perdure.interpreter import events as e
from perdure.interpreter.machine import compile as compile_document
from perdure.interpreter.machine import step
from perdure.ports.model import Answer, Request, ToolCall

TENANT = "bench"
USAGE = {"inputTokens": 500, "outputTokens": 40, "model": "m", "cost": 0.0001}


def document(turns: int) -> dict[str, Any]:
    """An agent that works for so many turns."""
    with_ = {
        "instruction": "Find out.",
        "tools": [{"name": "look", "parameters": {"type": "object"}}],
        "limits": {"turns": turns + 1, "cost": 100, "tokens": 100_000_000},
        "output": {"type": "object", "required": ["done"]},
    }
    head = {"dsl": "1.0.3", "namespace": "bench", "name": "agent", "version": "1.0.0"}
    return {"document": head, "do": [{"ask": {"call": "agent", "with": with_}}]}


class Prompt:
    """A provider that answers at once; it wants the tool so many times. Its own time is taken off."""

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self.asked = 0

    async def ask(self, request: Request) -> Answer:
        self.asked += 1
        if self.asked > self._turns:
            return Answer(text='{"done": true}', finish="stop", usage=USAGE)
        call = ToolCall(f"c{self.asked}", "look", {"at": self.asked})
        return Answer(text="Looking.", finish="tools", usage=USAGE, tool_calls=(call,))


def machine(turns: int) -> dict[str, float]:
    """Milliseconds a turn of the pure machine: two events."""
    program = compile_document(document(turns))
    call = {"id": "c1", "name": "look", "arguments": {"at": 1}}
    asks = {"text": "Looking.", "toolCalls": [call], "finish": "tools"}
    state, commands = step(program, None, e.Started(now=1, run="r", tenant=TENANT, seed="s", input={}, runtime={}))
    taken = []
    for turn in range(turns):
        began = perf_counter()
        for output, usage in ((asks, USAGE), ("a result", None)):
            given = next(command for command in commands if isinstance(command, c.ScheduleCall))
            state, commands = step(program, state, e.CallCompleted(now=turn, id=given.id, output=output, usage=usage))
        taken.append(perf_counter() - began)
    return told(taken)


async def engine(folder: Path, turns: int) -> dict[str, float]:
    """Milliseconds a turn of a whole run on the embedded engine."""

    @perdure.function(effect="read")
    async def look(at: int) -> str:
        return "a result"

    provider = Prompt(turns)
    catalog = ModelCatalog({"p": provider}, "p")  # type: ignore[dict-item]  # asked whole only
    table = Table([Agent(), Model(Providers(catalog, ["p"])), PythonFunction(look, look.__perdure_function__)])
    embedded = EmbeddedEngine(folder, table, clock=SystemClock())
    await embedded.open()
    began, cpu = perf_counter(), process_time()
    run = await embedded.wait(TENANT, await embedded.start(TENANT, document(turns), {}))
    seconds, cpu = perf_counter() - began, process_time() - cpu
    await embedded.close()
    assert run.output == {"done": True}, run.error
    return {"wall": round(seconds / turns * 1e3, 3), "cpu": round(cpu / turns * 1e3, 3)}


def told(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median": round(statistics.median(ordered) * 1e3, 3),
        "p99": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
    }


if __name__ == "__main__":
    at, times = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({"machine": machine(times), "engine": asyncio.run(engine(at, times))}))
