"""Whether anybody works on a queue: asked of the server, which has heard of them within the last minutes."""

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from perdure.engines.temporal import protocol
from perdure.engines.temporal.connection import border


async def is_attended(client: Client, installation: str, group: str) -> bool:
    """Whether a worker has asked for work of this group lately. Errors as of `border`."""
    is_deciding = group == "workflows"
    kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW if is_deciding else TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    with border(f"There is no queue {group}."):
        found = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=protocol.queue(installation, group)),
                task_queue_type=kind,
            )
        )
    return bool(found.pollers)
