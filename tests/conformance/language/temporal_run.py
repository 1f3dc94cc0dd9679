"""The workflow with a clock that the scenario moves: everything else of it is as in production."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from perdure.adapters.clock import TestClock
    from perdure.engines.temporal import protocol
    from perdure.engines.temporal.protocol import Beginning, Carried
    from perdure.interpreter.events import Event

from perdure.engines.temporal.workflow import RunWorkflow


class ClockActivities:
    """What time it is in the scenario."""

    def __init__(self, clock: TestClock) -> None:
        self.clock = clock

    @activity.defn(name="test.now")
    async def now(self) -> int:
        return self.clock.now()


@workflow.defn(name=protocol.RUN)
class ClockedRun(RunWorkflow):
    """A run whose time goes on by signals only."""

    @workflow.init
    def __init__(self, beginning: Beginning, definition: Any, input: Any, carried: Carried | None = None) -> None:
        super().__init__(beginning, definition, input, carried)
        self._now: int | None = None
        self._early: list[Event] = []

    @workflow.run
    async def run(self, beginning: Beginning, definition: Any, input: Any, carried: Carried | None = None) -> Any:
        self._now = await workflow.execute_local_activity("test.now", start_to_close_timeout=timedelta(seconds=10))
        self._begin()
        for event in self._early:
            self.push(event)
        return await super().run(beginning, definition, input, carried)

    def now(self) -> int:
        assert self._now is not None
        return self._now

    async def until(self, due: int) -> None:
        await workflow.wait_condition(lambda: self.now() >= due)

    def push(self, event: Event) -> None:
        if self._now is None:
            self._early.append(event)
        else:
            super().push(event)

    @workflow.signal(name="clock")
    def clock(self, now: int) -> None:
        self._now = max(now, self._now or 0)
