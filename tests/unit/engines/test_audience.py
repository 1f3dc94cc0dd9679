"""Lifecycle events reach the runs that listen for them, cost nothing elsewhere, and set nothing going for ever."""

import pytest

from perdure.engines.embedded.batch import Batch
from perdure.engines.embedded.journal import Journal
from perdure.engines.embedded.records import Tuning
from tests.conformance.engine.place import TENANT, Place
from tests.conformance.engine.world import World, event, workflow

COMPLETED = "io.serverlessworkflow.workflow.completed.v1"
ONE = f"- l: {{listen: {{to: {{one: {{with: {{type: {COMPLETED}}}}}}}}}}}"
TASKS = """\
- l:
    listen: {to: {any: [{with: {type: '${ startswith("io.serverlessworkflow.task.") }'}}], until: {one: {with: {type: stop}}}}}
    foreach: {do: [{a: {set: {n: 1}}}]}"""


@pytest.fixture(params=[Tuning(), Tuning(evict="step"), Tuning(evict="replay")], ids=lambda tuning: tuning.evict)
async def place(request, tmp_path):
    from perdure.adapters.clock import SystemClock

    made = Place(tmp_path, World(), SystemClock(), request.param)
    await made.engine.open()
    yield made
    await made.engine.close()


def kept(place):
    return place.engine._journal.read("events_after", (TENANT, 0, 0))


async def test_a_run_hears_of_another_one(place):
    run = await place.begin(ONE, name="watcher")
    await place.reaches(run, "waiting")
    other = await place.run("- a: {set: {n: 1}}")
    (heard,) = (await place.end(run)).output
    assert heard["name"] == f"demo-{other.id}.test"
    assert heard["outputUri"] == f"urn:perdure:run:{other.id}"


async def test_what_happened_since_the_watcher_began_is_kept(place):
    run = await place.begin("- h: {call: held, with: {}}\n" + ONE, name="watcher")
    await place.world.arrived.wait()
    await place.run("- a: {set: {n: 1}}")
    await place.reopen()
    place.world.gate.set()
    assert (await place.end(run)).status == "completed"


async def test_nothing_is_made_where_nobody_listens(place):
    everything = await place.begin("- l: {listen: {to: {any: [], until: {one: {with: {type: stop}}}}}}")
    await place.reaches(everything, "waiting")
    await place.run("- a: {set: {n: 1}}")
    assert kept(place) == []
    await place.engine.deliver(TENANT, event("stop"))
    assert (await place.end(everything)).output == []
    elsewhere = await place.engine.start("other", workflow(place.world, ONE), {})
    await place.run("- a: {set: {n: 1}}")
    assert len(kept(place)) == 1
    assert (await place.engine.describe("other", elsewhere)).status != "completed"


async def test_only_what_somebody_names_is_kept(place):
    run = await place.begin(ONE, name="watcher")
    await place.reaches(run, "waiting")
    await place.run("- a: {set: {n: 1}}\n- b: {set: {n: 2}}")
    await place.end(run)
    assert len(kept(place)) == 1
    await place.run("- a: {set: {n: 1}}")
    assert len(kept(place)) == 1, "the watcher has ended"


async def test_a_watcher_is_remembered_by_the_journal(place):
    run = await place.begin(ONE, name="watcher")
    await place.reaches(run, "waiting")
    await place.reopen()
    await place.run("- a: {set: {n: 1}}")
    await place.end(run)
    await place.reopen()
    assert place.engine._journal.read("watches") == []


async def test_watchers_do_not_wake_themselves_or_one_another_for_ever(place):
    runs = [await place.begin(TASKS, name="watcher") for _ in range(2)]
    for run in runs:
        await place.reaches(run, "waiting")
    await place.run("- a: {set: {n: 1}}")
    await place.engine.deliver(TENANT, event("stop"))
    for run in runs:
        assert len((await place.end(run)).output) == 3, "created, started, completed of the one task"


async def test_a_run_does_not_hear_of_itself(place):
    started = ONE.replace("completed", "started")
    run = await place.begin("- w: {wait: {milliseconds: 1}}\n" + started, name="watcher")
    await place.reaches(run, "waiting")
    await place.turn()
    assert (await place.engine.describe(TENANT, run)).status == "waiting"
    await place.run("- a: {set: {n: 1}}")
    await place.end(run)


async def test_many_runs_end_one_another(place):
    any_ = [await place.begin(ONE, name="watcher") for _ in range(300)]
    for run in any_:
        await place.reaches(run, "waiting")
    await place.run("- a: {set: {n: 1}}")
    for run in any_:
        await place.end(run)
    assert not place.engine._worker.audience


async def test_a_watcher_that_is_opened_again_listens_again(place):
    place.world.failures = 1
    run = await place.begin("- f: {call: flaky, with: {}}\n" + ONE, name="watcher")
    assert (await place.end(run)).status == "faulted"
    assert not place.engine._worker.audience
    await place.engine.retry(TENANT, run)
    await place.reaches(run, "waiting")
    forked = await place.engine.fork(TENANT, run)
    await place.reaches(forked, "waiting")
    await place.run("- a: {set: {n: 1}}")
    await place.end(run)
    await place.end(forked)


def test_a_journal_of_the_first_schema_learns_of_watchers(tmp_path):
    Journal(tmp_path).close()
    import apsw

    with apsw.Connection(str(tmp_path / "journal.db")) as connection:
        connection.execute(
            "DROP TABLE watches; DROP INDEX events_type; DROP INDEX events_emitted; DROP INDEX heads_open"
        )
        connection.execute("ALTER TABLE events DROP COLUMN emitted; PRAGMA user_version = 1")
        connection.execute("INSERT INTO definitions VALUES ('d', CAST('type: io.serverlessworkflow.x' AS BLOB), x'')")
        for run, ended in ((1, None), (2, 5)):
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, 't', 'n', 'n', '1', 'p', 'd', 0, 0, 0, NULL, NULL, NULL, 0)",
                (run, str(run)),
            )
            connection.execute("INSERT INTO heads VALUES (?, 0, 'waiting', 0, 1, ?, NULL)", (run, ended))
    with Journal(tmp_path) as journal:
        assert journal.read("watches") == [("t", "", 1)]


def test_the_rows_of_a_watcher_replace_one_another(tmp_path):
    with Journal(tmp_path) as journal:
        batch = Batch()
        batch.watches[1] = [("t", "a", 1), ("t", "b", 1)]
        batch.watches[2] = [("t", "a", 2)]
        journal.commit(batch)
        again = Batch()
        again.watches[1] = []
        journal.commit(again)
        assert journal.read("watches") == [("t", "a", 2)]
