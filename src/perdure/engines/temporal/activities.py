"""What workers do outside of workflows: calls, finding published workflows, opening a tenant's exchange."""

import asyncio
import contextlib
import logging
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from perdure import __version__
from perdure.engines.calls import Caller, Calls, Outcome, Table, outcome_unknown
from perdure.engines.temporal import protocol
from perdure.engines.temporal.definitions import Definitions
from perdure.engines.temporal.reports import Report
from perdure.errors import Exhausted, NotFound, PerdureError, Unavailable
from perdure.interpreter.commands import ScheduleCall
from perdure.interpreter.machine import program_hash
from perdure.language.values import content_hash
from perdure.ports.clock import Clock
from perdure.ports.outlet import Outlet
from perdure.ports.secrets import Secrets
from perdure.ports.spending import inherited

RESULT_BYTES = 16 * 1024 * 1024
_PACE = 0.25
"""Seconds between two reports of a call; what reaches the server is still less (`worker.py`)."""
_log = logging.getLogger("perdure.temporal")


class CallActivities:
    """Makes calls. An unsafe one is never made by a second attempt: its outcome is unknown then."""

    def __init__(self, table: Table, clock: Clock, secrets: Secrets | None) -> None:
        self._table = table
        self._clock = clock
        self._secrets = secrets
        self.under_way = 0

    def __repr__(self) -> str:
        return f"CallActivities(under way={self.under_way})"

    @activity.defn(name=protocol.CALL)
    async def call(self, command: ScheduleCall, tenant: str, run: str, resources: dict[str, Any]) -> dict[str, Any]:
        """Make one call, and say from time to time that it is alive and how far it is."""
        info = activity.info()
        report = Report(command.path, command.ref)

        def progress(key: int, command: ScheduleCall, data: dict[str, Any]) -> None:
            report.take(data)

        if info.attempt > 1 and self._is_unsafe(command, resources):
            return {"event": outcome_unknown(command, self._clock.now()), "progress": None}
        interval = (info.heartbeat_timeout.total_seconds() if info.heartbeat_timeout else 30.0) / 3
        self.under_way += 1
        beating = asyncio.create_task(_beat(interval, report))
        try:
            event = await self._call(Caller(0, tenant, run, resources), command, progress)
        finally:
            self.under_way -= 1
            beating.cancel()
        return {"event": event, "progress": report.last()}

    async def _call(self, caller: Caller, command: ScheduleCall, progress: Any) -> Outcome:
        calls = Calls(
            self._table, self._clock, secrets=self._secrets, limit=1, result_bytes=RESULT_BYTES, answer=_nobody,
            mark=_marked, progress=progress,
        )  # fmt: skip
        return await calls.call(caller, command)

    def _is_unsafe(self, command: ScheduleCall, resources: dict[str, Any]) -> bool:
        with contextlib.suppress(PerdureError):
            return self._table.get(command.function, command.version).effect_of(command.args, resources) == "unsafe"
        return False


class ServiceActivities:
    """What the workflows need that is neither a call nor a decision."""

    def __init__(self, client: Client, installation: str, definitions: Definitions) -> None:
        self._client = client
        self._installation = installation
        self._definitions = definitions

    def __repr__(self) -> str:
        return f"ServiceActivities({self._definitions!r})"

    @activity.defn(name=protocol.FIND)
    async def find(
        self, tenant: str, identity: tuple[str, str, str], depth: int, limit: int, held: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A published workflow: its definition with hashes, or the sentence why there is none. `held`: what it has of its
        parent."""
        try:
            if depth >= limit:
                raise Exhausted(f"Workflows start one another {depth} levels deep; that is the limit.")
            definition = await self._definitions.find(tenant, identity)
        except (NotFound, Exhausted) as refusal:
            return {"refusal": str(refusal)}
        definition = {**definition, "resources": inherited(held or {}, definition["resources"])}
        return {
            "definition": definition,
            "hash": content_hash([definition["document"], definition["resources"]]),
            "program": program_hash(definition["document"], definition["resources"]),
            "runtime": runtime(tenant),
        }

    @activity.defn(name=protocol.OPEN)
    async def open_exchange(self, tenant: str) -> None:
        """Let the tenant's exchange exist."""
        await self._client.start_workflow(
            protocol.EXCHANGE,
            id=protocol.exchange_id(self._installation, tenant),
            task_queue=protocol.queue(self._installation, "workflows"),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )


class OutletActivities:
    """Gives the platform what runs emit."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def __repr__(self) -> str:
        return f"OutletActivities({self._outlet!r})"

    @activity.defn(name=protocol.HAND_OUT)
    async def hand_out(self, tenant: str, events: list[Any]) -> int:
        """How many were taken, from the first one on. Unavailable when the platform takes none now: the server asks again.

        One event that cannot be taken at all must not keep those behind it waiting for ever: it is said in the log.
        """
        for count, event in enumerate(events):
            try:
                await self._outlet.take(tenant, event)
            except Unavailable:
                if count:
                    return count
                raise
            except PerdureError as error:
                _log.error("The event %s of a run cannot be taken: %s", event.get("id"), error)
            except Exception:  # noqa: BLE001 - see above
                _log.exception("The event %s of a run cannot be taken", event.get("id"))
        return len(events)


def runtime(tenant: str) -> dict[str, Any]:
    """`$runtime` as a run records it when it begins."""
    return {"name": "Perdure", "version": __version__, "metadata": {"tenant": tenant}}


async def _beat(interval: float, report: Report) -> None:
    """Say that the call is alive, and at once when it has something to report; the server is told once a pace at most."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(report.changed.wait(), interval)
        report.changed.clear()
        activity.heartbeat(report.shown())
        await asyncio.sleep(min(_PACE, interval))


def _nobody(key: int, event: Outcome) -> None:
    """The outcome is returned, not handed on."""


def _marked(key: int, id: str) -> "asyncio.Future[None]":
    """The server counts attempts: that a call is being sent is known before it is."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
