"""One run's trouble stays its own: an event reaches everybody else."""

import contextlib

import apsw

from perdure.adapters.clock import SystemClock
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.engines.embedded.records import Tuning
from tests.conformance.engine.conftest import TENANT
from tests.conformance.engine.world import event, workflow

LISTEN = "- l: {listen: {to: {one: {with: {type: a.b}}}}}"


async def test_a_run_that_cannot_be_loaded_keeps_an_event_from_nobody_and_gets_it_later(tmp_path, world):
    tuning = Tuning(evict="step")

    def engine():
        return EmbeddedEngine(tmp_path, world, clock=SystemClock(), tuning=tuning)

    def of_another_version(program):
        with contextlib.closing(apsw.Connection(str(tmp_path / "journal.db"))) as connection:
            [(before,)] = connection.execute("SELECT program FROM runs WHERE name = 'old'")
            connection.execute("UPDATE runs SET program = ? WHERE name = 'old'", (program,))
            return before

    async with engine() as first:
        old = await first.start(TENANT, workflow(world, LISTEN, name="old"), {})
        new = await first.start(TENANT, workflow(world, LISTEN, name="new"), {})
    true = of_another_version("another")
    async with engine() as second:
        assert await second.deliver(TENANT, event("a.b"))
        assert (await second.wait(TENANT, new)).status == "completed"
    of_another_version(true)
    async with engine() as third:
        assert (await third.wait(TENANT, old)).status == "completed"
