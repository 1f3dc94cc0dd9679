"""What a run's history on the server tells without a worker: the workflow is replayed here, as far as it went."""

from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    Replayer,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from perdure.engines.temporal.workflow import RunWorkflow
from perdure.errors import Unavailable


class Replaying:
    """Replays executions of one kind of workflow."""

    def __init__(self, client: Client, kind: type[RunWorkflow] = RunWorkflow) -> None:
        self._client = client
        self._kind = kind

    def __repr__(self) -> str:
        return f"Replaying({self._kind.__name__})"

    async def replayed(self, id: str, execution: str) -> RunWorkflow | None:
        """An execution as its history left it; None when no worker has taken it up yet. Unavailable when this Perdure
        decides otherwise than the one that made the history."""
        handle = self._client.get_workflow_handle(id, run_id=execution)
        events = [event async for event in handle.fetch_history_events()]
        seeing = _Seeing()
        replayer = Replayer(
            workflows=[self._kind],
            workflow_runner=UnsandboxedWorkflowRunner(),
            data_converter=self._client.data_converter,
            interceptors=[seeing],
        )
        result = await replayer.replay_workflow(WorkflowHistory(id, events), raise_on_replay_failure=False)
        if result.replay_failure is not None:
            raise Unavailable(
                f"The history of {id} cannot be read by this version of Perdure ({result.replay_failure}).",
                hint="Read it with the version that its workers have.",
            )
        return seeing.found


class _Seeing(Interceptor):
    """Keeps the workflow that is replayed."""

    def __init__(self) -> None:
        self.found: RunWorkflow | None = None

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        seeing = self

        class Inbound(WorkflowInboundInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                seeing.found = workflow.instance()
                return await super().execute_workflow(input)

        return Inbound
