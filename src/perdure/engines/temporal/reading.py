"""What is known of a run without asking its document or a worker: its row, its facts, its timeline, from the server alone.

Only who watches a run asks a worker, which is cheaper than to replay anew at each step; when none answers, it replays.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    RPCError,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)

from perdure.engines.temporal import protocol
from perdure.engines.temporal.connection import border
from perdure.engines.temporal.protocol import Beginning
from perdure.engines.temporal.record import Record, decode_fact, program_of
from perdure.engines.temporal.replaying import Replaying
from perdure.engines.temporal.reports import Heard
from perdure.engines.temporal.workflow import RunWorkflow
from perdure.errors import Conflict, Unavailable
from perdure.interpreter import events, handles
from perdure.interpreter.commands import Command, Lifecycle
from perdure.interpreter.faults import problem
from perdure.language.values import Json
from perdure.ports.engine import ENDED, Entry, Run

STATUSES = {
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.TERMINATED: "cancelled",
    WorkflowExecutionStatus.FAILED: "faulted",
    WorkflowExecutionStatus.TIMED_OUT: "faulted",
}
"""How an execution closed that did not close by itself -> the run's status."""
_ANSWER, _SILENCE = 2.0, 30.0
"""Seconds in which a worker has to answer, and for which none is asked when it did not."""
_PROGRESS = 0.3
"""Seconds between two looks at what calls under way report."""
_KEPT_BYTES = 32 * 1024 * 1024


class Start(msgspec.Struct, frozen=True):
    """What a run began with, from the first event of its first execution."""

    beginning: Beginning
    definition: dict[str, Any]
    input: Json


class Reader:
    """Reads runs of one installation."""

    def __init__(self, client: Client, installation: str, kind: type[RunWorkflow] = RunWorkflow) -> None:
        self._client = client
        self._installation = installation
        self._replaying = Replaying(client, kind)
        self._kept: OrderedDict[str, list[bytes]] = OrderedDict()
        """Execution that went on in a next one -> its facts."""
        self._silent_until = 0.0

    def __repr__(self) -> str:
        return f"Reader({self._installation!r})"

    def handle(self, tenant: str, run: str, execution: str | None = None) -> WorkflowHandle[Any, Any]:
        """The server's handle of a run, or of one of its executions."""
        return self._client.get_workflow_handle(protocol.run_id(self._installation, tenant, run), run_id=execution)

    async def describe(self, tenant: str, run: str) -> WorkflowExecutionDescription:
        """The server's row of a run. NotFound when there is none."""
        with border(f"There is no run {run}."):
            return await self.handle(tenant, run).describe()

    async def start(self, tenant: str, run: str, first: str) -> Start:
        """Document and input. `first` is the run's first execution."""
        with border(f"There is no run {run}."):
            async for event in self.handle(tenant, run, first).fetch_history_events(page_size=1):
                payloads = event.workflow_execution_started_event_attributes.input.payloads
                beginning, definition, input = (
                    await self._client.data_converter.decode(payloads[:3], [Beginning, Any, Any])
                )  # fmt: skip
                return Start(beginning, definition, input)
        raise Unavailable(f"The server has no events of the run {run} any more.")

    async def run(self, tenant: str, run: str, result: dict[str, Any] | None = None) -> Run:
        """A run with input, and output or error. `result` is what its last execution gave back, where that is known."""
        described = await self.describe(tenant, run)
        memo = await described.memo()
        first = described.raw_description.workflow_execution_info.first_run_id or described.run_id
        start = await self.start(tenant, run, first)
        row = row_of(run, memo, described)
        if described.status == WorkflowExecutionStatus.COMPLETED:
            with border(f"There is no run {run}."):
                result = result or await self.handle(tenant, run, described.run_id).result(follow_runs=False)
            assert result is not None
            row = msgspec.structs.replace(row, status=result["status"], ended=result["ended"], updated=result["ended"])
        elif described.status in STATUSES and row.status == "faulted":
            result = {"error": memo.get("error") or await self._reason(tenant, run, described.run_id)}
        elif row.status == "faulted":
            result = {"error": memo.get("error")}
        elif row.status in ENDED:  # it says its farewells
            flow = await self._replayed(tenant, run, described.run_id)
            result = {"output": flow.record.output} if flow else None
        result = result or {}
        return msgspec.structs.replace(
            row, input=start.input, output=handles.restore(result.get("output")),
            error=handles.restore(result.get("error")),
        )  # fmt: skip

    async def _reason(self, tenant: str, run: str, execution: str) -> dict[str, Any]:
        try:
            await self.handle(tenant, run, execution).result(follow_runs=False)
        except WorkflowFailureError as error:
            return problem("runtime", title="ended by the Temporal server", detail=str(error.cause))
        return problem("runtime", title="ended by the Temporal server")

    # Facts

    async def _replayed(self, tenant: str, run: str, execution: str) -> RunWorkflow | None:
        with border(f"There is no run {run}."):
            return await self._replaying.replayed(protocol.run_id(self._installation, tenant, run), execution)

    async def _opened(self, tenant: str, run: str) -> tuple[Start, list[str], WorkflowExecutionDescription]:
        """What a run began with, its executions, and the row of the last one."""
        described = await self.describe(tenant, run)
        last = await self.start(tenant, run, described.run_id)
        past = last.beginning.past
        start = await self.start(tenant, run, past[0]) if past else last
        return start, [*past, described.run_id], described

    async def _facts_of(self, tenant: str, run: str, execution: str, *, is_last: bool) -> list[bytes]:
        kept = self._kept.get(execution)
        if kept is not None:
            return kept
        flow = await self._replayed(tenant, run, execution)
        facts = flow.record.facts if flow is not None else []
        if not is_last:
            self._kept[execution] = facts
            while sum(len(fact) for kept in self._kept.values() for fact in kept) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        return facts

    async def facts(self, tenant: str, run: str) -> tuple[Start, list[events.Event]]:
        """Everything that a run was told, from its first event on."""
        start, executions, _ = await self._opened(tenant, run)
        found: list[events.Event] = []
        for execution in executions:
            facts = await self._facts_of(tenant, run, execution, is_last=execution == executions[-1])
            found += map(decode_fact.decode, facts)
        return start, found

    async def timeline(self, tenant: str, run: str) -> list[Entry]:
        """The history so far."""
        start, facts = await self.facts(tenant, run)
        record = Record(program_of(start.definition, start.beginning.program))
        entries: list[Entry] = []
        for fact in facts:
            entries += entries_of(record.step(fact), len(entries))
        return entries

    # Watching

    async def watch(self, tenant: str, run: str) -> AsyncIterator[Entry]:
        """The history, then live until the run has ended."""
        start, executions, described = await self._opened(tenant, run)
        record = Record(program_of(start.definition, start.beginning.program))
        has_ended = (await described.memo())["status"] in ENDED or described.status in STATUSES
        seen = Seen(record, has_ended=has_ended)
        while executions:
            execution = executions.pop(0)
            if executions:
                for fact in await self._facts_of(tenant, run, execution, is_last=False):
                    for entry in seen.entries(decode_fact.decode(fact)):
                        yield entry
                continue
            async for page in self._pages(tenant, run, execution):
                for fact in page["facts"]:
                    for entry in seen.entries(decode_fact.decode(fact)):
                        yield entry
                for entry in seen.reports(page["progress"]):
                    yield entry
                if record.ended is not None and page["is_all"]:
                    return
            described = await self.describe(tenant, run)
            executions = [described.run_id] if described.run_id != execution else []

    async def _pages(self, tenant: str, run: str, execution: str) -> AsyncIterator[dict[str, Any]]:
        """The facts of an execution and what its calls report, until it is closed."""
        after, changed = 0, asyncio.Event()
        looking = asyncio.create_task(self._look(tenant, run, execution, changed))
        try:
            while True:
                is_closed = looking.done()
                changed.clear()
                page = await self._page(tenant, run, execution, after)
                after += len(page["facts"])
                yield page
                if not page["is_all"]:
                    continue
                if is_closed:
                    return
                while not changed.is_set():
                    yield {"facts": [], "is_all": False, "progress": await self._reported(tenant, run, execution)}
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), _PROGRESS)
        finally:
            looking.cancel()

    async def _look(self, tenant: str, run: str, execution: str, changed: asyncio.Event) -> None:
        with contextlib.suppress(RPCError):
            async for _ in self.handle(tenant, run, execution).fetch_history_events(wait_new_event=True):
                changed.set()
        asyncio.get_running_loop().call_soon(changed.set)  # once this task is done

    async def _page(self, tenant: str, run: str, execution: str, after: int) -> dict[str, Any]:
        """What a worker says; without one, what the history says."""
        if time.monotonic() >= self._silent_until:
            try:
                with border(f"There is no run {run}."):
                    page: dict[str, Any] = await self.handle(tenant, run, execution).query(
                        protocol.FACTS, after, rpc_timeout=timedelta(seconds=_ANSWER)
                    )
                return page | {"facts": [msgspec.json.encode(fact) for fact in page["facts"]]}
            except (Unavailable, Conflict, WorkflowQueryFailedError):
                self._silent_until = time.monotonic() + _SILENCE
        flow = await self._replayed(tenant, run, execution)
        facts = flow.record.facts[after:] if flow is not None else []
        return {"facts": facts, "is_all": True, "progress": flow.errands.progress if flow is not None else {}}

    async def _reported(self, tenant: str, run: str, execution: str) -> dict[str, Any]:
        """Call -> what it reported last, of the calls under way."""
        with border(f"There is no run {run}."):
            described = await self.handle(tenant, run, execution).describe()
        found: dict[str, Any] = {}
        for call in described.raw_description.pending_activities:
            payloads: list[Payload] = list(call.heartbeat_details.payloads)
            details = await self._client.data_converter.decode(payloads) if payloads else [None]
            if details[0] is not None:
                found[call.activity_id.rpartition("~")[2]] = details[0]
        return found


def row_of(run: str, memo: Any, described: Any) -> Run:
    """A run as its memo and the server's row tell it."""
    status = STATUSES.get(described.status, memo["status"])
    began = (memo.get("began") or protocol.moment(described.start_time)) // 1000
    ended = memo.get("ended")
    if described.status in STATUSES and described.close_time is not None:
        ended = ended or int(described.close_time.timestamp() * 1000)
    return Run(
        id=run, tenant=memo["tenant"], namespace=memo["namespace"], name=memo["name"], version=memo["version"],
        program=memo["program"], status=status, started=began, updated=memo.get("updated") or began, ended=ended,
        origin=memo.get("origin"),
    )  # fmt: skip


def entries_of(commands: list[Command], first: int) -> list[Entry]:
    """The history entries among commands, numbered on from `first`."""
    return [
        Entry(
            number=number, at=command.now, type=command.type, path=command.path, ref=command.ref,
            data=handles.restore(command.data),
        )
        for number, command in enumerate((one for one in commands if isinstance(one, Lifecycle)), first + 1)
    ]  # fmt: skip


class Seen:
    """How far somebody who watches a run has seen it."""

    def __init__(self, record: Record, *, has_ended: bool) -> None:
        self._record = record
        self._has_ended = has_ended
        self._number = 0
        self._heard = Heard()

    def __repr__(self) -> str:
        return f"Seen({self._number} entries)"

    def entries(self, fact: events.Event) -> list[Entry]:
        """What a fact adds to the history."""
        entries = entries_of(self._record.step(fact), self._number)
        self._number += len(entries)
        return entries

    def reports(self, progress: dict[str, Any]) -> list[Entry]:
        """What calls reported meanwhile, unless the run had ended before."""
        entries = []
        for call, (number, path, ref, data) in ({} if self._has_ended else progress).items():
            news = self._heard.news(call, number, data)
            if news is not None:
                entries.append(Entry(number=0, at=self._record.updated, type="progress", path=path, ref=ref, data=news))
        return entries
