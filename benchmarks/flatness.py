"""Whether a step costs the same in a long run as in a short one: one loop of n calls, from 10 to 100,000.

`python flatness.py FOLDER N...` prints a list of `{"steps", "microseconds", "cpu", "machine"}`: a step on the engine, its
durable commits included, by the wall and by the processor (a busy disk moves only the first), and a step of the
machine alone.
"""

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from perdure_rounds import TENANT, document

from perdure import wiring
from perdure.interpreter.commands import Complete, ScheduleCall
from perdure.interpreter.events import CallCompleted, Event, Started
from perdure.interpreter.machine import compile, step
from perdure.settings import Settings


def loop(steps: int) -> dict[str, Any]:
    """A document with one call in a loop."""
    body = [{"call": {"call": "noop"}}]
    return document(f"loop{steps}", [{"loop": {"for": {"in": f"[range({steps})]"}, "do": body}}])


async def on_the_engine(folder: Path, steps: list[int]) -> list[tuple[float, float]]:
    installation = wiring.installation(folder, Settings(), modules=[str(Path(__file__).parent / "noop.py")])
    taken = []
    async with installation.open():
        for count in steps:
            began, worked = perf_counter(), process_time()
            run = await installation.engine.start(TENANT, loop(count), {})
            ended = await installation.engine.wait(TENANT, run)
            assert ended.status == "completed", ended.error
            wall, cpu = perf_counter() - began, process_time() - worked
            taken.append((wall / count * 1e6, cpu / count * 1e6))
    return taken


def in_the_machine(steps: int) -> float:
    """Microseconds a step when every call is answered at once."""
    program = compile(loop(steps))
    began = perf_counter()
    event: Event = Started(now=0, run="run", tenant=TENANT, seed="seed")
    state = None
    while True:
        state, commands = step(program, state, event)
        call = next((command for command in commands if isinstance(command, ScheduleCall)), None)
        if call is None:
            assert any(isinstance(command, Complete) for command in commands), commands
            return (perf_counter() - began) / steps * 1e6
        event = CallCompleted(now=0, id=call.id)


def main(folder: Path, steps: list[int]) -> None:
    engine = asyncio.run(on_the_engine(folder, steps))
    rows = [
        {"steps": count, "microseconds": wall, "cpu": cpu, "machine": in_the_machine(count)}
        for count, (wall, cpu) in zip(steps, engine, strict=True)
    ]
    print(json.dumps(rows))


main(Path(sys.argv[1]), [int(text) for text in sys.argv[2:]])
