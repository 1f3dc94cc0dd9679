"""What runs emit leaves the engine: in order, for every tenant, and also after another opening."""

import asyncio

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine

DOCUMENT = {
    "document": {"dsl": "1.0.3", "namespace": "test", "name": "teller", "version": "1.0.0"},
    "do": [{"tell": {"emit": {"event": {"with": {"type": "t.told", "data": "${ .n }"}}}}}],
}


def engine(directory) -> EmbeddedEngine:
    return EmbeddedEngine(directory, None, clock=SystemClock())


async def test_only_what_runs_emit_is_outgoing(tmp_path):
    async with engine(tmp_path) as first:
        waiting = asyncio.ensure_future(first.published())
        await first.deliver("a", {"id": "1", "source": "s", "type": "t.given", "specversion": "1.0"})
        for tenant, number in (("a", 1), ("b", 2)):
            await first.wait(tenant, await first.start(tenant, DOCUMENT, {"n": number}))
        await asyncio.wait_for(waiting, 10)
        found = first.outgoing(0)
        assert [(tenant, event["type"], event["data"]) for _, tenant, event in found] == [
            ("a", "t.told", 1),
            ("b", "t.told", 2),
        ]
        assert first.outgoing(found[0][0]) == found[1:]
        assert first.outgoing(0, limit=1) == found[:1]
    async with engine(tmp_path) as second:
        assert second.outgoing(0) == found
        assert second.outgoing(found[1][0]) == []


async def test_a_fault_leaves_the_engine(tmp_path):
    async with engine(tmp_path) as one:
        raising = {"raise": {"error": {"type": "https://x.example/broken", "status": 500, "title": "broken"}}}
        run = await one.start("a", {**DOCUMENT, "do": [{"break": raising}]}, {})
        await one.wait("a", run)
        ((_, tenant, event),) = one.outgoing(0)
        assert (tenant, event["type"], event["subject"]) == ("a", "io.serverlessworkflow.workflow.faulted.v1", run)
        assert (event["data"]["error"]["title"], event["data"]["error"]["instance"]) == ("broken", "/do/0/break")
        await one.retry("a", run)
        await one.wait("a", run)
        assert len(one.outgoing(0)) == 2


async def test_a_look_that_comes_late_does_not_wait(tmp_path):
    async with engine(tmp_path) as one:
        await one.wait("a", await one.start("a", DOCUMENT, {"n": 1}))
        await asyncio.wait_for(one.published(), 10)
        again = asyncio.ensure_future(one.published())
        await asyncio.sleep(0)
        assert not again.done()
        again.cancel()
