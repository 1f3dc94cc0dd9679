"""The Temporal engine as others see it (`ports/engine.py`): a client of the server. Workers do the work (`worker.py`)."""

import asyncio
import contextlib
import heapq
import uuid
from collections.abc import AsyncIterator
from typing import Any, Self

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from perdure.engines.plain import accepted, accepted_event
from perdure.engines.temporal import protocol
from perdure.engines.temporal.activities import runtime
from perdure.engines.temporal.codec import Codec, converter
from perdure.engines.temporal.connection import Address, border
from perdure.engines.temporal.counting import Standing
from perdure.engines.temporal.definitions import Definitions
from perdure.engines.temporal.errands import attributes_of
from perdure.engines.temporal.finding import Finder, is_meant
from perdure.engines.temporal.opening import reach
from perdure.engines.temporal.protocol import Beginning, Limits
from perdure.engines.temporal.reading import Reader, row_of
from perdure.engines.temporal.record import Record, program_of
from perdure.engines.temporal.sweep import sweep
from perdure.engines.temporal.workflow import RunWorkflow
from perdure.errors import Conflict, Invalid, NotFound, Unavailable
from perdure.interpreter.commands import LIFECYCLE, Lifecycle
from perdure.interpreter.events import CancelRequested, Event, OperatorPatch, ResumeRequested, Started, SuspendRequested
from perdure.interpreter.lineage import forked
from perdure.interpreter.machine import compile
from perdure.interpreter.program import Functions, Program
from perdure.language.values import Json, content_hash
from perdure.ports.blobs import Blobs
from perdure.ports.engine import ALL, ENDED, Entry, Query, Run

_RECENT = 200
_AGAIN = "`perdure runs retry` enters the faulted task again."


class TemporalEngine:
    """Implements `ports/engine.py`. `open` before anything else, `close` at the end."""

    def __init__(
        self,
        address: Address,
        table: Functions,
        blobs: Blobs,
        *,
        installation: str = "perdure",
        keys: tuple[str, ...] = (),
        limits: Limits | None = None,
        kind: type[RunWorkflow] = RunWorkflow,
        has_outlet: bool = False,
    ) -> None:
        """`kind` is the workflow that its workers have for runs: it is replayed here where a run is read. `has_outlet`: what
        runs emit that begin here is for a platform too, one of whose workers takes it."""
        self._address = address
        self._table = table
        self._blobs = blobs
        self._installation = installation
        self._keys = keys
        self._limits = limits or Limits()
        self._kind = kind
        self._has_outlet = has_outlet
        self._definitions = Definitions(blobs, Codec(blobs, keys))
        self._recent: dict[tuple[str, str], None] = {}
        """Runs begun here: they are found here, however late the server's list is."""
        self._deliveries: dict[str, list[tuple[dict[str, Any], asyncio.Future[bool]]]] = {}
        self._delivering: set[asyncio.Task[None]] = set()
        self._client: Client | None = None
        self._has_attributes = False

    def __repr__(self) -> str:
        return f"TemporalEngine({self._address!r}, {self._installation!r})"

    async def open(self) -> None:
        """Reach the server. Unavailable when it cannot be reached."""
        client, self._has_attributes = await reach(self._address, converter(self._blobs, self._keys))
        self._client = client
        self._reader = Reader(client, self._installation, self._kind)
        self._finder = Finder(client, self._installation, has_attributes=self._has_attributes)
        self._standing = Standing(self._finder)

    async def close(self) -> None:
        """Leave. Runs go on."""
        if self._client is not None:
            await self._standing.close()
        for task in list(self._delivering):
            task.cancel()
        await asyncio.gather(*self._delivering, return_exceptions=True)
        self._client = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def client(self) -> Client:
        """The connection, which workers of this process share."""
        if self._client is None:
            raise Unavailable("The engine is not open.")
        return self._client

    @property
    def standing(self) -> Standing:
        """How many runs there are on the server."""
        return self._standing

    # Beginning

    def _compiled(self, document: Json, resources: dict[str, Json]) -> Program:
        """The program. Invalid for one that would wait for ever: only the embedded engine tells runs what others do."""
        program = compile(document, resources, self._table)
        if program.watches:
            named = program.watches[0] or f"{LIFECYCLE}…"
            raise Invalid(
                f"The document listens for {named}, and no run hears of other runs' steps on a Temporal server.",
                hint="Let the other workflow emit an event of its own, and listen for that one.",
            )
        return program

    async def start(
        self,
        tenant: str,
        document: Json,
        input: Json,
        *,
        run: str | None = None,
        resources: dict[str, Json] | None = None,
    ) -> str:
        program = self._compiled(document, resources or {})
        return await self._start(tenant, program, accepted(input), run=run)

    async def _start(
        self,
        tenant: str,
        program: Program,
        input: Json,
        *,
        run: str | None = None,
        origin: str | None = None,
        facts: tuple[Event, ...] = (),
    ) -> str:
        id = run or str(uuid.uuid4())
        definition = {"document": program.document, "resources": program.resources}  # with what compiling pinned
        beginning = Beginning(
            tenant=tenant, run=id, installation=self._installation,
            definition=content_hash([program.document, program.resources]), program=program.hash,
            runtime=runtime(tenant), has_attributes=self._has_attributes, limits=self._limits, origin=origin, facts=facts,
            has_outlet=self._has_outlet,
        )  # fmt: skip
        memo = protocol.memo_of(program.document, beginning, content_hash(input))
        try:
            with border(f"There is no namespace {self._address.namespace}."):
                await self.client.start_workflow(
                    protocol.RUN,
                    args=[beginning, definition, input, None],
                    id=protocol.run_id(self._installation, tenant, id),
                    task_queue=protocol.queue(self._installation, "workflows"),
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    memo=memo,
                    search_attributes=attributes_of(program.document, beginning),
                )
        except WorkflowAlreadyStartedError:
            await self._same(tenant, id, memo)
        self._recent[tenant, id] = None
        while len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        return id

    async def _same(self, tenant: str, run: str, wanted: dict[str, Json]) -> None:
        memo = await (await self._reader.describe(tenant, run)).memo()
        if any(memo.get(key) != wanted[key] for key in ("definition", "given")):
            raise Conflict(f"The run {run} exists with another document or input.", hint="Choose another id.")

    async def publish(self, tenant: str, document: Json, resources: dict[str, Json]) -> str:
        program = self._compiled(document, resources)
        identity = (program.namespace, program.name, program.version)
        await self._definitions.publish(tenant, identity, {"document": document, "resources": program.resources})
        return content_hash([document, program.resources])

    async def fork(
        self, tenant: str, run: str, *, path: str | None = None, input: Json = None, document: Json = None
    ) -> str:
        if path is None:
            described = await self._reader.describe(tenant, run)
            first = described.raw_description.workflow_execution_info.first_run_id
            start, facts = await self._reader.start(tenant, run, first), list[Event]()
        else:
            start, facts = await self._reader.facts(tenant, run)
        program = program_of(start.definition, start.beginning.program)
        kept = facts[: _until(facts, program, run, path)] if path is not None else []
        given = start.input
        if document is not None:
            program = self._compiled(document, program.resources)
        if input is not None and path is None:
            given = accepted(input)
        id = str(uuid.uuid4())
        if kept:
            opening = kept[0]
            assert isinstance(opening, Started)
            kept[0] = forked(opening, id, len(kept) - 1)
            _check_fit(kept, program)
        return await self._start(tenant, program, given, run=id, origin=run, facts=tuple(kept))

    # Events

    async def deliver(self, tenant: str, event: dict[str, Any]) -> bool:
        sound = accepted_event(event)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = self._deliveries.get(tenant)
        if waiting is None:
            self._deliveries[tenant] = waiting = []
            task = asyncio.create_task(self._deliver(tenant, waiting))
            self._delivering.add(task)
            task.add_done_callback(self._delivering.discard)
        waiting.append((sound, done))
        return await done

    async def _deliver(self, tenant: str, waiting: list[tuple[dict[str, Any], "asyncio.Future[bool]"]]) -> None:
        """Hand in what has gathered, all at once: the server takes few updates at a time."""
        while waiting:
            sent, waiting[:] = waiting[:500], waiting[500:]
            try:
                answers = await self._hand_in(tenant, [event for event, _ in sent])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                for _, done in sent:
                    if not done.done():
                        done.set_exception(error)
                continue
            for (_, done), answer in zip(sent, answers, strict=True):
                if not done.done():
                    done.set_result(answer)
        del self._deliveries[tenant]

    async def _hand_in(self, tenant: str, events: list[dict[str, Any]]) -> list[bool]:
        delivery = str(uuid.uuid4())
        for attempt in range(3):
            opening: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
                protocol.EXCHANGE,
                id=protocol.exchange_id(self._installation, tenant),
                task_queue=protocol.queue(self._installation, "workflows"),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            )
            try:
                with border("There is no exchange."):
                    answers: list[bool] = await self.client.execute_update_with_start_workflow(
                        protocol.DELIVER, args=[delivery, events], start_workflow_operation=opening, id=delivery
                    )
                    return answers
            except NotFound:  # it went on in a new execution meanwhile
                if attempt == 2:
                    raise
        raise Unavailable("The events could not be handed in.")

    # Verbs

    async def cancel(self, tenant: str, run: str, *, compensate: bool = False) -> None:
        await self._tell(tenant, run, CancelRequested(now=0, compensate=compensate))

    async def suspend(self, tenant: str, run: str) -> None:
        await self._tell(tenant, run, SuspendRequested(now=0))

    async def resume(self, tenant: str, run: str) -> None:
        status = (await self._row(tenant, run)).status
        if status in ENDED:
            raise Conflict(f"The run {run} is {status}.", hint=_AGAIN if status == "faulted" else None)
        await self._tell(tenant, run, ResumeRequested(now=0))

    async def retry(self, tenant: str, run: str, path: str | None = None) -> None:
        await self._mend(tenant, run, OperatorPatch(now=0, action="retry", path=path))

    async def skip(
        self, tenant: str, run: str, path: str | None = None, *, output: Json = None, has_output: bool = False
    ) -> None:
        given = accepted(output)
        await self._mend(
            tenant, run, OperatorPatch(now=0, action="skip", path=path, output=given, has_output=has_output)
        )

    async def _tell(self, tenant: str, run: str, event: Event) -> None:
        status = (await self._row(tenant, run)).status
        if status in ENDED:
            raise Conflict(f"The run {run} is {status}; that cannot be changed any more.")
        try:
            with border(f"There is no run {run}."):
                await self._reader.handle(tenant, run).signal(protocol.TELL, [event])
        except NotFound:
            raise Conflict(f"The run {run} has ended meanwhile; that cannot be changed any more.") from None

    async def _mend(self, tenant: str, run: str, patch: OperatorPatch) -> None:
        status = (await self._row(tenant, run)).status
        if status in {"completed", "cancelled"}:
            raise Conflict(f"The run {run} is {status}; there is nothing to mend.")
        place = f"at {patch.path}" if patch.path else "that faulted"
        try:
            with border(f"There is no run {run}."):
                await self._reader.handle(tenant, run).execute_update(protocol.PATCH, patch)
        except (WorkflowUpdateFailedError, NotFound):
            raise Conflict(f"The run {run} has no task {place} that can be entered again now.") from None

    # Reading

    async def describe(self, tenant: str, run: str) -> Run:
        return await self._reader.run(tenant, run)

    async def _row(self, tenant: str, run: str) -> Run:
        described = await self._reader.describe(tenant, run)
        memo = await described.memo()
        row = row_of(run, memo, described)
        if described.status == WorkflowExecutionStatus.COMPLETED and row.status not in ENDED:
            return await self._reader.run(tenant, run)
        return row

    async def find(
        self,
        tenant: str,
        query: Query = ALL,
        *,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Run]:
        last = None
        if before is not None:
            last = await self._began(tenant, before)
        found = await self._finder.find(tenant, query, limit, last)
        for owner, id in reversed(self._recent):
            if owner == tenant and id not in found:
                with contextlib.suppress(NotFound):
                    began = await self._began(tenant, id)
                    if last is None or began < last:
                        found[id] = (began, await self._row(tenant, id))
        fitting = [item for item in found.values() if is_meant(item[1], query)]
        return [run for _, run in heapq.nlargest(limit, fitting, key=lambda item: (item[0], item[1].id))]

    async def _began(self, tenant: str, run: str) -> int:
        described = await self._reader.describe(tenant, run)
        return (await described.memo()).get("began") or protocol.moment(described.start_time)

    async def history(self, tenant: str, run: str) -> list[Entry]:
        return await self._reader.timeline(tenant, run)

    def watch(self, tenant: str, run: str) -> AsyncIterator[Entry]:
        return self._reader.watch(tenant, run)

    async def wait(self, tenant: str, run: str) -> Run:
        """A run that faulted is open on the server for a while: it is looked at from time to time, besides."""
        closed = asyncio.ensure_future(self._closed(tenant, run))
        delay = 0.2
        try:
            while not (await asyncio.wait({closed}, timeout=delay))[0]:
                if (await self._row(tenant, run)).status in ENDED:
                    break
                delay = min(1.0, delay * 2)
            result = closed.result() if closed.done() else None
        finally:
            closed.cancel()
            await asyncio.gather(closed, return_exceptions=True)
        return await self._reader.run(tenant, run, result)

    async def _closed(self, tenant: str, run: str) -> dict[str, Any] | None:
        """What the run's last execution gave back, as soon as it did; None when the server ended it."""
        with contextlib.suppress(WorkflowFailureError), border(f"There is no run {run}."):
            result: dict[str, Any] = await self._reader.handle(tenant, run).result()
            return result
        return None

    async def sweep(self, tenant: str, before: int) -> int:
        """Forget big values, put before this time, of runs that the server has forgotten; how many they were."""
        return await sweep(self.client, self._installation, tenant, self._blobs, before)


def _until(facts: list[Event], program: Program, run: str, path: str) -> int:
    """How many facts it took until the task at `path` began. NotFound when it never did."""
    record = Record(program)
    for number, fact in enumerate(facts, 1):
        for command in record.step(fact):
            if isinstance(command, Lifecycle) and command.path == path and command.type.startswith("task."):
                return number
    raise NotFound(f"The run {run} never reached {path}.", hint="`perdure runs history` shows the paths it reached.")


def _check_fit(facts: list[Event], program: Program) -> None:
    """Conflict when a fact answers nothing that the program of the new run asked for."""
    record = Record(program)
    for number, fact in enumerate(facts):
        id = getattr(fact, "id", None)
        if number and (record.ended is not None or (id is not None and id not in record.open)):
            raise Conflict(
                "The history up to there does not fit the new document: it answers something the document does not ask for.",
                hint="Fork from an earlier step, or without a path.",
            )
        record.step(fact)
