"""What is known of a run without asking its document: its row, its facts, its timeline, from the server alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
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
from perdure.errors import Unavailable
from perdure.interpreter import events, handles
from perdure.interpreter.commands import Command, Lifecycle
from perdure.interpreter.faults import problem
from perdure.language.values import Json
from perdure.ports.engine import Entry, Query, Run

STATUSES = {
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.TERMINATED: "cancelled",
    WorkflowExecutionStatus.FAILED: "faulted",
    WorkflowExecutionStatus.TIMED_OUT: "faulted",
}
"""How an execution closed that did not close by itself -> the run's status."""
_ANSWER = 10.0


class Start(msgspec.Struct, frozen=True):
    """What a run began with, from the first event of its first execution."""

    beginning: Beginning
    definition: dict[str, Any]
    input: Json


class Reader:
    """Reads runs of one installation."""

    def __init__(self, client: Client, installation: str) -> None:
        self._client = client
        self._installation = installation

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
        if described.status == WorkflowExecutionStatus.RUNNING and memo["status"] in {"completed", "cancelled"}:
            with border(f"There is no run {run}."):  # it says its farewells
                await self.handle(tenant, run).result()
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

    async def _opened(self, tenant: str, run: str) -> tuple[Start, list[str], dict[str, Any]]:
        """What a run began with, its executions, and the first facts of the last one."""
        described = await self.describe(tenant, run)
        first = described.raw_description.workflow_execution_info.first_run_id or described.run_id
        start = await self.start(tenant, run, first)
        page = await self._ask(tenant, run, described.run_id, 0)
        return start, [*page["past"], described.run_id], page

    async def facts(self, tenant: str, run: str) -> tuple[Start, list[events.Event]]:
        """Everything that a run was told, from its first event on."""
        start, executions, page = await self._opened(tenant, run)
        found: list[events.Event] = []
        for execution in executions:
            first = page if execution == executions[-1] else None
            async for fact, _ in self._facts_of(tenant, run, execution, first):
                if fact is not None:
                    found.append(fact)
        return start, found

    async def timeline(self, tenant: str, run: str) -> list[Entry]:
        """The history so far."""
        start, facts = await self.facts(tenant, run)
        record = Record(program_of(start.definition, start.beginning.program))
        entries: list[Entry] = []
        for fact in facts:
            entries += entries_of(record.step(fact), len(entries))
        return entries

    async def watch(self, tenant: str, run: str) -> AsyncIterator[Entry]:
        """The history, then live until the run has ended."""
        start, executions, first = await self._opened(tenant, run)
        seen = Seen(Record(program_of(start.definition, start.beginning.program)), has_ended=first["ended"] is not None)
        while executions:
            execution = executions.pop(0)
            async for fact, page in self._facts_of(tenant, run, execution, live=not executions):
                for entry in seen.entries(fact, page):
                    yield entry
                if page is not None and page["ended"] is not None:
                    return
            if not executions:
                described = await self.describe(tenant, run)
                executions = [described.run_id] if described.run_id != execution else []

    async def _facts_of(
        self, tenant: str, run: str, execution: str, first: Any = None, *, live: bool = False
    ) -> AsyncIterator[tuple[events.Event | None, dict[str, Any] | None]]:
        after, changed = 0, asyncio.Event()
        looking = asyncio.create_task(self._look(tenant, run, execution, changed)) if live else None
        try:
            while True:
                page, first = first or await self._ask(tenant, run, execution, after), None
                for fact in page["facts"]:
                    after += 1
                    yield decode_fact.decode(msgspec.json.encode(fact)), None
                if page["is_all"]:
                    if looking is None or (looking.done() and not changed.is_set()):
                        return
                    yield None, page
                    await changed.wait()
                    changed.clear()
        finally:
            if looking is not None:
                looking.cancel()

    async def _look(self, tenant: str, run: str, execution: str, changed: asyncio.Event) -> None:
        with contextlib.suppress(RPCError):
            async for _ in self.handle(tenant, run, execution).fetch_history_events(wait_new_event=True):
                changed.set()
        changed.set()

    async def _ask(self, tenant: str, run: str, execution: str, after: int) -> Any:
        try:
            with border(f"There is no run {run}."):
                return await self.handle(tenant, run, execution).query(
                    protocol.FACTS, after, rpc_timeout=timedelta(seconds=_ANSWER)
                )
        except (Unavailable, WorkflowQueryFailedError) as error:
            if isinstance(error, WorkflowQueryFailedError):
                raise Unavailable(f"The run {run} cannot be read ({error}).") from None
            raise Unavailable(
                "No worker answers, and the history of a run is read through one.",
                hint="Start one: `perdure worker --engine temporal`.",
            ) from None


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


def is_meant(run: Run, query: Query) -> bool:
    """Whether every condition of the query holds for the run."""
    return (
        (not query.statuses or run.status in query.statuses)
        and query.workflow in {None, run.name, f"{run.namespace}.{run.name}"}
        and query.version in {None, run.version}
        and (query.since is None or run.started >= query.since)
        and (query.until is None or run.started < query.until)
    )


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
        self._told: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Seen({self._number} entries)"

    def entries(self, fact: events.Event | None, page: dict[str, Any] | None) -> list[Entry]:
        """What a fact adds to the history, and what calls reported meanwhile (unless the run had ended before)."""
        entries = entries_of(self._record.step(fact), self._number) if fact is not None else []
        self._number += len(entries)
        for call, (number, path, ref, data) in (page["progress"] if page and not self._has_ended else {}).items():
            if self._told.get(call, 0) < number:
                self._told[call] = number
                entries.append(Entry(number=0, at=self._record.updated, type="progress", path=path, ref=ref, data=data))
        return entries
