"""Histories that a Temporal server kept replay for ever, in the sandbox: a machine that goes another way breaks one."""

from pathlib import Path

import msgspec
import pytest

from tests.servers.temporal import is_installed

RECORDED = sorted(Path(__file__).with_name("recorded_temporal").rglob("*.json"))

pytestmark = pytest.mark.skipif(not is_installed(), reason="temporalio is not installed")


def kind_of(path: Path) -> str:
    first = msgspec.json.decode(path.read_bytes())["events"][0]
    kind: str = first["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
    return kind


async def replay(folder: Path, path: Path, text: str) -> Exception | None:
    from temporalio.client import WorkflowHistory
    from temporalio.worker import Replayer

    from perdure.adapters.blobs_directory import DirectoryBlobs
    from perdure.engines.temporal.codec import converter
    from perdure.engines.temporal.exchange import ExchangeWorkflow
    from perdure.engines.temporal.worker import sandbox
    from perdure.engines.temporal.workflow import RunWorkflow

    replayer = Replayer(
        workflows=[RunWorkflow, ExchangeWorkflow], workflow_runner=sandbox(),
        data_converter=converter(DirectoryBlobs(folder)),
    )  # fmt: skip
    result = await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, text), raise_on_replay_failure=False)
    return result.replay_failure


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(tmp_path, path):
    assert await replay(tmp_path, path, path.read_text()) is None


async def test_a_history_that_went_another_way_is_noticed(tmp_path):
    path = next(path for path in RECORDED if kind_of(path) == "perdure" and "race" in path.name)
    text = path.read_text().replace("perdure.call", "perdure.other")
    assert await replay(tmp_path, path, text) is not None


def test_every_kind_of_event_is_recorded():
    told = "".join(path.read_text() for path in RECORDED)
    for kind in (
        "ACTIVITY_TASK_SCHEDULED", "TIMER_STARTED", "TIMER_CANCELED", "WORKFLOW_EXECUTION_SIGNALED",
        "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED", "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED", "WORKFLOW_EXECUTION_CONTINUED_AS_NEW", "ACTIVITY_TASK_CANCEL_REQUESTED",
    ):  # fmt: skip
        assert f"EVENT_TYPE_{kind}" in told, kind
