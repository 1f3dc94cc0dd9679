"""A template process that forks workers of a Temporal server, so that each killed one is a real process and costs no imports.

A line of JSON on standard input forks a worker (`{"run": …, "index": …}`) and prints its pid. With an index it ends itself,
as a power cut would, as soon as the server's history of the run has that many events: in the middle of a decision, before
a call, while one waits; or, if it is to be late, when the next call has been made and its answer is not told yet.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput
from temporalio.worker import Interceptor as WorkerInterceptor

import perdure
from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.engines.temporal import protocol
from perdure.engines.temporal.connection import Address
from perdure.engines.temporal.engine import TemporalEngine
from perdure.engines.temporal.exchange import ExchangeWorkflow
from perdure.engines.temporal.protocol import Beginning, Carried, Limits
from perdure.engines.temporal.worker import TemporalWorker
from perdure.engines.temporal.workflow import RunWorkflow
from perdure.errors import Unavailable
from perdure.functions.agent import Agent
from perdure.functions.model import Model
from perdure.functions.model_providers import Providers
from perdure.functions.python import PythonFunction
from perdure.functions.table import Table
from perdure.language.read import read
from perdure.ports.function import Context
from perdure.ports.model import Answer, Request, ToolCall

TENANT, RUN = "acme", "agent"
DOCUMENT = """
document: { dsl: '1.0.3', namespace: test, name: agent, version: '1.0.0' }
use:
  functions:
    scout: { call: agent, with: { instruction: You are the scout., tools: [lookup] } }
do:
  - ask:
      call: agent
      with:
        instruction: Settle it.
        tools: [ lookup, charge, scout ]
        approval: [ charge ]
        output: { type: object, required: [done], properties: { done: { type: boolean } } }
"""
_SCOUT: list[Any] = [[("lookup", {"id": 3})], "It is there."]
_CHIEF: list[Any] = [
    [("lookup", {"id": 1}), ("lookup", {"id": 2}), ("scout", {})],
    [("charge", {"label": "all"})],
    '{"done": true}',
]


@contextlib.asynccontextmanager
async def engine(place: dict[str, Any], table: Table) -> AsyncIterator[TemporalEngine]:
    """The engine of one installation, open: each run has its own, and so its own queues."""
    made = TemporalEngine(
        Address(target=place["target"]), table, DirectoryBlobs(Path(place["folder"])),
        installation=place["installation"], limits=Limits(heartbeat=3.0, redelivery=0.1),
    )  # fmt: skip
    while True:
        with contextlib.suppress(Unavailable):  # many come at once, and the server has much to do
            await made.open()
            break
    try:
        yield made
    finally:
        await made.close()


def document() -> Any:
    return read(DOCUMENT).value


class Ledger:
    """What is outside: the model and the tools. Everything that reaches it is a line `NAME KEY WHAT` in another process."""

    def __init__(self, socket: str = "") -> None:
        self._socket = socket

    def table(self) -> Table:
        functions = [PythonFunction(code, code.__perdure_function__) for code in self._tools()]  # type: ignore[attr-defined]
        return Table([Agent(), Model(Providers(self, ["scripted"])), *functions])

    async def note(self, name: str, key: str, what: Any) -> None:
        """Returns when the other process has it."""
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(json.dumps([name, key, what], sort_keys=True).encode() + b"\n")
            await reader.readline()
        finally:
            writer.close()

    async def ask(self, request: Request) -> Answer:
        told = [[message.role, message.text] for message in request.messages]
        await self.note("model", request.key, [told, [tool.name for tool in request.tools]])
        turns = _SCOUT if "scout" in told[0][1] else _CHIEF
        turn = turns[sum(role == "assistant" for role, _ in told)]
        if isinstance(turn, str):
            return Answer(text=turn, finish="stop", usage={})
        calls = tuple(ToolCall(f"c{number}", *call) for number, call in enumerate(turn))
        return Answer(text="", finish="tools", usage={}, tool_calls=calls)

    def _tools(self) -> tuple[Any, ...]:
        @perdure.function(effect="read")
        async def lookup(id: int, context: Context) -> int:
            """Look something up."""
            await self.note("lookup", context.key, id)
            return id + 1

        @perdure.function(effect="unsafe")
        async def charge(label: str, context: Context) -> str:
            """Something that happens each time it is asked for."""
            await self.note("charge", context.key, label)
            return f"charged {label}"

        return lookup, charge


# How a worker ends


class End:
    """Where this process ends; nowhere when `index` is 0."""

    def __init__(self, index: int, *, late: bool) -> None:
        self.index = index
        self._late = late

    def look(self, length: int, *, is_late: bool = False) -> None:
        """The history has so many events: go on, or not."""
        if self.index and length >= self.index and is_late == self._late:
            os.kill(os.getpid(), signal.SIGKILL)


END = End(0, late=False)


@workflow.defn(name=protocol.RUN)
class MortalRun(RunWorkflow):
    """A run whose worker may end before what it has decided is told to anybody."""

    @workflow.init
    def __init__(self, beginning: Beginning, definition: Any, input: Any, carried: Carried | None = None) -> None:
        super().__init__(beginning, definition, input, carried)

    @workflow.run
    async def run(self, beginning: Beginning, definition: Any, input: Any, carried: Carried | None = None) -> Any:
        return await super().run(beginning, definition, input, carried)

    def _do(self, commands: list[Any]) -> None:
        if not workflow.unsafe.is_replaying():
            END.look(workflow.info().get_current_history_length())
        super()._do(commands)


class Watched(ClientInterceptor, WorkerInterceptor):
    """Looks around each call: just before it is made, and when it has been made."""

    def __init__(self, handle: Any) -> None:
        super().__init__()
        self.handle = handle

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        watched = self

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                END.look(await watched.length())
                answer = await super().execute_activity(input)
                END.look(await watched.length(), is_late=True)
                return answer

        return Inbound(next)

    async def length(self) -> int:
        if not END.index:
            return 0
        return int((await self.handle.describe()).history_length)


async def work(place: dict[str, Any]) -> None:
    """Everything that a worker does, until it ends."""
    table = Ledger(place["socket"]).table()
    async with engine(place, table) as reached:
        plain = reached.client
        handle = plain.get_workflow_handle(protocol.run_id(place["installation"], TENANT, RUN))
        client = Client(
            plain.service_client, namespace=plain.namespace, data_converter=plain.data_converter,
            interceptors=[Watched(handle)],
        )  # fmt: skip
        worker = TemporalWorker(
            client, place["installation"], DirectoryBlobs(Path(place["folder"])), table, clock=SystemClock(),
            queues=("workflows", "functions", "models"), workflows=(MortalRun, ExchangeWorkflow),
        )  # fmt: skip
        await worker.open()
        while END.index:
            with contextlib.suppress(Exception):  # the run is not there yet, or the server has no more to tell now
                async for event in handle.fetch_history_events(wait_new_event=True):
                    END.look(event.event_id)
            if (await handle.describe()).close_time is not None:
                break
        await asyncio.Event().wait()


def main() -> None:
    global END
    document()
    for line in sys.stdin:
        place = json.loads(line)
        reap(os.WNOHANG)
        pid = os.fork()
        if pid == 0:
            os.close(0)
            END = End(place["index"], late=place["late"])
            try:
                asyncio.run(work(place))
            except BaseException as error:  # noqa: BLE001 - a forked child must not go on as its parent
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        print(pid, flush=True)
    reap(0)


def reap(how: int) -> None:
    """Take note of those who are dead."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


if __name__ == "__main__":
    main()
