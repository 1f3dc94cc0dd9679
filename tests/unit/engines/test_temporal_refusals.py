"""What the Temporal engine refuses before it asks its server: what would be accepted there and then ignored."""

import pytest

from perdure.adapters.blobs_memory import MemoryBlobs
from perdure.adapters.clock import TestClock
from perdure.engines.temporal.connection import Address
from perdure.engines.temporal.engine import TemporalEngine
from perdure.errors import Invalid
from perdure.functions.table import Table

HEAD = {"dsl": "1.0.3", "namespace": "n", "name": "w", "version": "1.0.0"}


@pytest.mark.parametrize("type", ["io.serverlessworkflow.task.started.v1", '${ startswith("io.serverlessworkflow.") }'])
async def test_nobody_waits_for_ever_for_what_other_runs_do(type):
    engine = TemporalEngine(Address(target="127.0.0.1:1"), Table([]), MemoryBlobs(TestClock()))
    document = {"document": HEAD, "do": [{"a": {"listen": {"to": {"one": {"with": {"type": type}}}}}}]}
    for asked in (engine.start("t", document, {}), engine.publish("t", document, {})):
        with pytest.raises(Invalid, match=r"listens for io\.serverlessworkflow\..*on a Temporal server"):
            await asked
