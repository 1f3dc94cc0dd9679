"""Histories that a Temporal server kept replay for ever, in the sandbox: a machine that goes another way breaks one."""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.corpus import histories
from tests.servers.temporal import is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="temporalio is not installed")


async def failures(folder, lines: Iterable[str], *, clocked: bool = False) -> list[str]:
    """Which histories do not replay, and why."""
    from temporalio.client import WorkflowHistory
    from temporalio.worker import Replayer

    from perdure.adapters.blobs_directory import DirectoryBlobs
    from perdure.engines.temporal.codec import converter
    from perdure.engines.temporal.exchange import ExchangeWorkflow
    from perdure.engines.temporal.worker import sandbox
    from perdure.engines.temporal.workflow import RunWorkflow
    from tests.conformance.language.temporal_run import ClockedRun

    replayer = Replayer(
        workflows=[ClockedRun if clocked else RunWorkflow, ExchangeWorkflow], workflow_runner=sandbox(),
        data_converter=converter(DirectoryBlobs(folder)),
    )  # fmt: skip

    async def given() -> Any:
        for line in lines:
            yield WorkflowHistory.from_json("recorded", line)

    found = []
    async with replayer.workflow_replay_iterator(given()) as results:
        async for result in results:
            if result.replay_failure is not None:
                found.append(str(result.replay_failure))
    return found


def all_lines(*, clocked: bool) -> list[str]:
    found = [line for path in histories.recorded() for line in histories.lines(path)]
    return [line for line in found if (histories.kind_of(line) == "clocked") == clocked]


@pytest.mark.parametrize("path", histories.recorded(), ids=lambda path: path.name.removesuffix(".jsonl.gz"))
@pytest.mark.parametrize("clocked", [False, True])
async def test_recorded_histories_replay(tmp_path, path, clocked):
    lines = [line for line in histories.lines(path) if (histories.kind_of(line) == "clocked") == clocked]
    assert await failures(tmp_path, lines, clocked=clocked) == []


async def test_a_history_that_went_another_way_is_noticed(tmp_path):
    lines = [
        line.replace("perdure.call", "perdure.other") for line in all_lines(clocked=False) if "perdure.call" in line
    ]
    assert len(await failures(tmp_path, lines)) == len(lines) > 0


async def test_a_machine_that_decides_in_another_order_is_noticed(tmp_path, monkeypatch):
    from perdure.engines.temporal import record

    step = record.step

    def reversed_step(*given: Any) -> Any:
        state, commands = step(*given)
        return state, commands[::-1]

    monkeypatch.setattr(record, "step", reversed_step)
    assert await failures(tmp_path, all_lines(clocked=False))
    assert await failures(tmp_path, all_lines(clocked=True), clocked=True)


def test_every_kind_of_event_is_recorded():
    told = "".join(line for path in histories.recorded() for line in histories.lines(path))
    for kind in (
        "ACTIVITY_TASK_SCHEDULED", "TIMER_STARTED", "TIMER_CANCELED", "WORKFLOW_EXECUTION_SIGNALED",
        "EXTERNAL_WORKFLOW_EXECUTION_SIGNALED", "START_CHILD_WORKFLOW_EXECUTION_INITIATED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED", "WORKFLOW_EXECUTION_CONTINUED_AS_NEW", "ACTIVITY_TASK_CANCEL_REQUESTED",
    ):  # fmt: skip
        assert f"EVENT_TYPE_{kind}" in told, kind


def test_enough_is_recorded_and_nothing_about_who_recorded_it():
    lines = [line for path in histories.recorded() for line in histories.lines(path)]
    assert len(lines) >= 60
    assert not [line[:80] for line in lines if re.search(r'"identity"|\d@|/(w)ork/|/(h)ome/|/(r)oot/', line)]
