"""How many runs there are on a server, and how many began and ended in a worker: for the numbers of a process, cheaply."""

import asyncio
import contextlib
import time
from typing import Any

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from perdure.engines.tally import OPEN, Tally
from perdure.engines.temporal.finding import Finder
from perdure.engines.temporal.workflow import RunWorkflow
from perdure.errors import PerdureError

_FRESH = 10.0
"""Seconds for which a count of the server's is told again."""


class Counting(Interceptor):
    """Counts what happens to runs in this worker. What is only replayed was counted before."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def __repr__(self) -> str:
        return f"Counting({self._tally!r})"

    def attach(self) -> None:
        """Hear of the run at work, from its first moment here: it may be told something before it begins."""
        run = workflow.instance()
        if isinstance(run, RunWorkflow) and run.errands.turned is None:
            run.errands.turned = self._turned
            if run.is_first and not workflow.unsafe.is_replaying():
                self._tally.began(run.record.status)

    def _turned(self, before: str, after: str) -> None:
        if not workflow.unsafe.is_replaying():
            self._tally.turned(before, after)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        attach = self.attach

        class Inbound(WorkflowInboundInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                attach()
                return await super().execute_workflow(input)

            async def handle_signal(self, input: HandleSignalInput) -> None:
                attach()
                await super().handle_signal(input)

        return Inbound


class Standing:
    """The server's count of runs by status, as it was a moment ago: asked for when somebody looks, and told at the next look."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._known: dict[str, int] = {}
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Standing({self._known or 'not known yet'})"

    def open(self) -> dict[tuple[str, ...], float]:
        """How many runs there are that may still change, by status; nothing before the server has said so."""
        if time.monotonic() - self._asked > _FRESH and (self._asking is None or self._asking.done()):
            self._asked = time.monotonic()
            self._asking = asyncio.get_running_loop().create_task(self.look())
        return {(status,): self._known[status] for status in OPEN if status in self._known}

    async def look(self) -> None:
        """Ask the server. While it is away nothing is known."""
        found: dict[str, int] = {}
        with contextlib.suppress(PerdureError):
            found = await self._finder.standing()
        self._known = found

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
