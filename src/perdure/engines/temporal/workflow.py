"""One generic workflow for all documents: hands events to the machine, and has done what it asks for. No decisions."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    import msgspec

    from perdure.engines.temporal import protocol
    from perdure.engines.temporal.errands import Errands
    from perdure.engines.temporal.protocol import Beginning, Carried
    from perdure.engines.temporal.record import opened
    from perdure.interpreter.events import CancelRequested, Event, OperatorPatch, Started

_PAGE = 200_000


@workflow.defn(name=protocol.RUN)
class RunWorkflow:
    """One run. Its facts are in the server's history, over one or several executions."""

    @workflow.init
    def __init__(self, beginning: Beginning, definition: Any, input: Any, carried: Carried | None = None) -> None:
        self.beginning = beginning
        self.definition = definition
        self.input = input
        self.is_first = carried is None
        self.record = opened(beginning, definition, carried)
        self.errands = Errands(self)
        self.has_begun = False

    @workflow.run
    async def run(self, beginning: Beginning, definition: Any, input: Any, carried: Carried | None = None) -> Any:
        self._begin()
        while not await self._is_over():
            if self.errands.is_full():
                workflow.continue_as_new(
                    args=[self.errands.next_beginning(), self.definition, self.input, self.record.carried()],
                    search_attributes=self.errands.next_attributes(),
                )
        record = self.record
        return {"status": record.status, "output": record.output, "error": record.error, "ended": record.ended}

    async def _is_over(self) -> bool:
        """Return when something has to be done here: the run is over (True), or goes on in a new execution."""
        errands, record = self.errands, self.record
        try:
            await workflow.wait_condition(lambda: errands.is_full() or errands.is_over())
            if record.status == "faulted" and not errands.is_full():
                open_for = timedelta(days=self.beginning.limits.open_days)
                await workflow.wait_condition(lambda: record.status != "faulted", timeout=open_for)
                return False
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is None:  # only this process lets it go
                raise
            self.push(CancelRequested(now=0))
            return False
        except TimeoutError:
            return True
        return not errands.is_full()

    # Time, which tests let pass in their own way

    def now(self) -> int:
        """Milliseconds since the epoch, as the server's history has them."""
        return workflow.time_ns() // 1_000_000

    async def until(self, due: int) -> None:
        """Return at `due`, never before."""
        await asyncio.sleep(max(0, due - self.now()) / 1000)

    # Events

    def push(self, event: Event) -> None:
        """Something happened."""
        self._begin()
        if self.record.expects(event):
            self._do(self.record.take(event, self.now()))

    def _begin(self) -> None:
        if self.has_begun:
            return
        self.has_begun = True
        beginning, record = self.beginning, self.record
        if self.is_first and not record.facts:
            started = Started(
                now=0, run=beginning.run, tenant=beginning.tenant, seed=beginning.run, input=self.input,
                runtime=beginning.runtime,
            )  # fmt: skip
            self._do(record.take(started, self.now()))
        else:
            self._do(self.errands.left_open(self.is_first))

    def _do(self, commands: list[Any]) -> None:
        for command in commands:
            self.errands.do(command)
        self.errands.show()

    # What comes in

    @workflow.signal(name=protocol.TELL)
    def tell(self, events: list[Any]) -> None:
        """Everything that others tell this run: events, answers of children, cancel, suspend, resume."""
        for event in events:
            self.push(msgspec.convert(event, Event))

    @workflow.update(name=protocol.PATCH)
    def patch(self, patch: OperatorPatch) -> None:
        """A person mends the run."""
        self.push(patch)

    @patch.validator
    def fits(self, patch: OperatorPatch) -> None:
        """Refuse what would change nothing, before it is part of the history."""
        if not self.record.fits(patch):
            raise ValueError("does not fit")

    @workflow.query(name=protocol.LOOK)
    def look(self) -> dict[str, Any]:
        """What the run does now."""
        record = self.record
        return {
            "status": record.status, "updated": record.updated, "ended": record.ended, "output": record.output,
            "error": record.error, "facts": len(record.facts), "past": self.beginning.past,
            "open": list(record.open.values()), "is_busy": self.errands.is_busy(),
        }  # fmt: skip

    @workflow.query(name=protocol.FACTS)
    def facts(self, after: int) -> dict[str, Any]:
        """The facts of this execution from number `after` on, as many as fit into an answer."""
        page: list[msgspec.Raw] = []
        size = 0
        for fact in self.record.facts[after:]:
            if page and size + len(fact) > _PAGE:
                break
            page.append(msgspec.Raw(fact))
            size += len(fact)
        return {
            "facts": page, "is_all": after + len(page) == len(self.record.facts), "past": self.beginning.past,
            "ended": self.record.ended, "progress": self.errands.progress,
        }  # fmt: skip
