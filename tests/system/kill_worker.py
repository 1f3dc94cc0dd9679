"""A template process that forks workers, so that a killed worker is a real process and its start costs no imports.

Lines on standard input: `go FOLDER SOCKET RUNS` forks a worker and prints its pid; `reap PID` waits for its end and prints
how it ended. A worker opens the engine on FOLDER, starts whatever of the runs is not there yet and exits 0 when all of
them have ended.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from perdure.errors import NotFound
from perdure.interpreter import handles
from perdure.interpreter.faults import problem
from perdure.language.check import check
from perdure.language.read import read
from perdure.ports.function import Context, FunctionFault

TENANT = "acme"
PARENT = r"""
document: {dsl: 1.0.3, namespace: test, name: parent, version: 1.0.0}
do:
CHARGE 0
SEQUENCE
CHARGE 1
  - loop:
      for: {each: i, in: '${ [range(12)] }'}
      do:
        - step: {call: effect, with: {label: '${ "\($workflow.input.n)/loop/\($i)" }'}}
  - branches:
      fork:
        branches:
BRANCHES
  - nap: {wait: {milliseconds: 5}}
  - tell:
      emit: {event: {with: {source: 'https://test.example/', type: told, data: {n: '${ $workflow.input.n }'}}}}
  - hear:
      listen: {to: {one: {with: {type: told}, correlate: {n: {from: '${ .data.n }', expect: '${ $workflow.input.n }'}}}}}
  - shaky:
      try:
        - step: {call: shaky, with: {label: '${ "\($workflow.input.n)/shaky" }'}}
      catch: {errors: {with: {status: 503}}, retry: {delay: {milliseconds: 1}, limit: {attempt: {count: 9}}}}
  - child:
      run: {workflow: {namespace: test, name: child, version: 1.0.0, input: {n: '${ $workflow.input.n }'}}}
CHARGE 2
"""
CHARGE = r"""  - money%d:
      try:
        - charge: {call: charge, with: {label: '${ "\($workflow.input.n)/charge/%d" }'}}
      catch:
        errors: {with: {title: outcome unknown}}
        do:
          - ask: {call: effect, with: {label: '${ "\($workflow.input.n)/unknown/%d" }'}}"""
"""An unsafe call; when it is cut, its outcome is unknown, and a person is asked."""
CHILD = r"""
document: {dsl: 1.0.3, namespace: test, name: child, version: 1.0.0}
do:
  - step: {call: effect, with: {label: '${ "\($workflow.input.n)/child" }'}}
"""
LABELS = (
    [f"sequence/{step}" for step in range(12)]
    + [f"loop/{step}" for step in range(12)]
    + [f"branch/{step}" for step in range(12)]
    + ["shaky", "child"]
)
"""The effects of one run: each exactly once."""
CHARGES = 3
"""And its unsafe ones: a cut one is done or not, nobody knows, and it is never repeated."""


def documents() -> tuple[Any, Any]:
    """The workflow and its child."""
    step = "{call: effect, with: {label: '${ \"\\($workflow.input.n)/%s/%d\" }'}}"
    sequence = "\n".join(f"  - s{number}: {step % ('sequence', number)}" for number in range(12))
    branches = "\n".join(f"          - b{number}: {step % ('branch', number)}" for number in range(12))
    made = []
    parent = PARENT.replace("SEQUENCE", sequence).replace("BRANCHES", branches)
    for number in range(CHARGES):
        parent = parent.replace(f"CHARGE {number}", CHARGE.replace("%d", str(number)))
    for text in (parent, CHILD):
        reading = read(text)
        errors = [
            finding for finding in check(reading) if finding.severity == "error" and "function" not in finding.code
        ]
        assert not errors, errors
        made.append(reading.value)
    return made[0], made[1]


class Remote:
    """A function whose effect is at the ledger: another process, which heeds the idempotency key."""

    version, summary = "1.0.0", "An effect at the ledger."
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}

    def __init__(self, name: str, effect: Any, socket: str) -> None:
        self.name, self.effect, self._socket = name, effect, socket

    def effect_of(self, arguments: Any, resources: dict[str, Any]) -> Any:
        return self.effect

    async def execute(self, arguments: Any, context: Context) -> Any:
        label = handles.resolve(arguments, context.secret)["label"]
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(f"{self.name} {context.key} {label}\n".encode())
            answer = (await reader.readline()).decode().strip()
        finally:
            writer.close()
        if answer == "later":
            raise FunctionFault(problem("communication", status=503, detail="not now"))
        assert answer == "done", answer
        return None


class Functions:
    """The function table of a worker."""

    def __init__(self, socket: str) -> None:
        effects = {"effect": "idempotent", "shaky": "idempotent", "charge": "unsafe"}
        self._functions = {name: Remote(name, effect, socket) for name, effect in effects.items()}

    def get(self, name: str, version: str | None) -> Remote:
        if name not in self._functions:
            raise NotFound(f"There is no function {name}.")
        return self._functions[name]

    def names(self) -> list[str]:
        return list(self._functions)

    def schema_of(self, name: str, version: str | None) -> dict[str, Any] | None:
        return {} if name in self._functions else None


async def work(folder: str, socket: str, runs: int) -> None:
    """Everything that a worker does."""
    parent, child = documents()
    tuning = Tuning(calls=1, idle=0.05, snapshot_every=10)
    async with EmbeddedEngine(Path(folder), Functions(socket), clock=SystemClock(), tuning=tuning) as engine:
        await engine.publish(TENANT, child, {})
        for number in range(runs):
            await engine.start(TENANT, parent, {"n": number}, run=f"run-{number}")
        for number in range(runs):
            await engine.wait(TENANT, f"run-{number}")


def main() -> None:
    documents()
    for line in sys.stdin:
        verb, *values = line.split()
        if verb == "go":
            pid = os.fork()
            if pid == 0:
                os.close(0)
                try:
                    asyncio.run(work(values[0], values[1], int(values[2])))
                    os._exit(0)
                except BaseException as error:  # noqa: BLE001 - a forked child must not go on as its parent
                    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                    os._exit(1)
            print(pid, flush=True)
        else:
            print(os.waitpid(int(values[0]), 0)[1], flush=True)


if __name__ == "__main__":
    main()
