"""A process's part of the work: one worker per task queue, which stop together and let their calls finish first."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from perdure import __version__
from perdure.engines.calls import Table
from perdure.engines.tally import Tally
from perdure.engines.temporal import protocol
from perdure.engines.temporal.activities import CallActivities, OutletActivities, ServiceActivities
from perdure.engines.temporal.codec import Codec
from perdure.engines.temporal.counting import Counting
from perdure.engines.temporal.definitions import Definitions
from perdure.engines.temporal.exchange import ExchangeWorkflow
from perdure.engines.temporal.workflow import RunWorkflow
from perdure.errors import Invalid
from perdure.ports.blobs import Blobs
from perdure.ports.clock import Clock
from perdure.ports.outlet import Outlet
from perdure.ports.secrets import Secrets

PASSED = (
    "perdure.errors", "perdure.language", "perdure.interpreter", "perdure.ports", "perdure.engines.temporal.protocol",
    "perdure.engines.temporal.record", "msgspec", "purejq", "re2", "jsonschema_rs", "yaml",
)  # fmt: skip
"""Modules that workflows share with the process: pure, or without any state (language.md 7.4)."""


def sandbox() -> SandboxedWorkflowRunner:
    """The SDK's sandbox with the pure floors passed through. It finds a workflow that looks at the clock, and costs a fifth of
    a worker's time: kept histories are replayed in it, workers do without, for no workflow but ours ever runs in them."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED))


class TemporalWorker:
    """Works on queues of one installation until it is closed."""

    def __init__(
        self,
        client: Client,
        installation: str,
        blobs: Blobs,
        table: Table,
        *,
        clock: Clock,
        secrets: Secrets | None = None,
        queues: Sequence[str] = protocol.QUEUES,
        calls: int = 100,
        drain: float = 0.0,
        cached: int = 1000,
        workflows: Sequence[type] = (RunWorkflow, ExchangeWorkflow),
        more_activities: Sequence[Any] = (),
        outlet: Outlet | None = None,
    ) -> None:
        """`calls` under way at once on each queue; `drain`: seconds for which `close` lets calls finish; `cached`: workflows
        that stay in memory; `outlet`: the platform around this worker, with whose queue it may have no other."""
        unknown = [queue for queue in queues if queue not in protocol.QUEUES]
        if unknown or not (queues or outlet):
            raise Invalid(f"There is no queue {', '.join(unknown)}.", hint=f"There are {', '.join(protocol.QUEUES)}.")
        self.calls = CallActivities(table, clock, secrets)
        self.tally = Tally()
        codec = client.data_converter.payload_codec
        assert isinstance(codec, Codec)
        self._services = ServiceActivities(client, installation, Definitions(blobs, codec))
        limits = {"max_concurrent_activities": calls, "graceful_shutdown_timeout": timedelta(seconds=drain)}
        decide = {
            "workflows": workflows,
            "workflow_runner": UnsandboxedWorkflowRunner(),
            "max_cached_workflows": cached,
            "interceptors": [Counting(self.tally)],
        }
        serve = {"activities": [self._services.find, self._services.open_exchange]}
        wanted: dict[str, dict[str, Any]] = {}
        for name in queues:
            work = decide if name == "workflows" else {"activities": [self.calls.call]}
            wanted.setdefault(protocol.queue(installation, name), {}).update(work)
        if "workflows" in queues:
            wanted[protocol.queue(installation, "services")] = serve
            deciding = wanted[protocol.queue(installation, "workflows")]
            deciding["activities"] = [*deciding.get("activities", ()), *more_activities]
        if outlet is not None:
            wanted[protocol.queue(installation, protocol.PLATFORM)] = {
                "activities": [OutletActivities(outlet).hand_out]
            }
        self._workers = [_worker(client, queue, limits | options) for queue, options in wanted.items()]
        self._running = 0

    def __repr__(self) -> str:
        return f"TemporalWorker(queues={len(self._workers)}, running={self._running}, {self.calls!r})"

    async def open(self) -> None:
        """Begin to work."""
        for worker in self._workers:
            await worker.__aenter__()
            self._running += 1

    async def close(self) -> None:
        """Take nothing new, let calls finish, and stop."""
        self._running = 0
        await asyncio.gather(*(worker.__aexit__(None, None, None) for worker in self._workers))


def _worker(client: Client, queue: str, options: dict[str, Any]) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        build_id=f"perdure-{__version__}",
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
        max_heartbeat_throttle_interval=timedelta(seconds=0.3),
        **options,
    )
