"""A platform that is killed while a step waits for a budget, and while the answer is on its way: nothing is lost, bought
twice, undone or cancelled."""

import asyncio
import uuid

import pytest

from perdure.adapters.clock import SystemClock
from perdure.adapters.database import in_directory, open_database
from perdure.client import budgets, inbox, runs, usage, workflows
from perdure.services.agents.budgets import Budgets
from perdure.services.agents.service import Ground
from tests.system.platform_process import PlatformProcess
from tests.system.test_cli_kill import until

ASKS = b"""
document: { dsl: 1.0.3, namespace: test, name: asks, version: 1.0.0 }
do:
  - order:
      metadata: { saga: true }
      do:
        - charge: { set: { charged: true }, metadata: { compensate: { set: { undone: true } } } }
        - both:
            fork:
              branches:
                - ask: { call: infer, with: { instruction: Say it. } }
                - other: { wait: PT0.1S }
"""
SCRIPT = """\
"Say it.":
  - {text: It., usage: {inputTokens: 6, outputTokens: 4}}
"""


@pytest.fixture
def platform(tmp_path, engine, request):
    (tmp_path / "script.yaml").write_text(SCRIPT)
    more = {}
    if engine == "temporal":
        server = request.getfixturevalue("temporal_server")
        more = {
            "PERDURE_ENGINE": engine, "PERDURE_TEMPORAL_ADDRESS": server.target,
            "PERDURE_TEMPORAL_INSTALLATION": f"test-{uuid.uuid4()}", "PERDURE_TEMPORAL_HEARTBEAT": "2",
        }  # fmt: skip
    made = PlatformProcess(tmp_path, PERDURE_MODEL_SCRIPT=str(tmp_path / "script.yaml"), **more)
    try:
        made.up()
        yield made
    finally:
        made.kill()


def lift_by_hand(folder, budget):
    """What another process would do to the database while none of ours runs."""

    async def lift():
        database = open_database(in_directory(folder), "agents")
        ground = Ground(
            database=database, engine=None, cache=None, clock=SystemClock(), functions=None, price=None, workflow=None
        )
        await Budgets(ground).change("default", "by hand", budget, amount=100)
        await database.close()

    asyncio.run(lift())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "how"),
    [
        ("embedded", "raised while down"), ("embedded", "answered and killed"), ("embedded", "refused and killed"),
        ("temporal", "answered and killed"),
    ],
)  # fmt: skip
def test_a_held_run_survives_kills_and_hears_of_its_budget(platform, how, took_part):
    took_part("perdure up, killed while a step waits for a budget")
    with platform.client() as client:
        client.do(workflows.publish(ASKS))
        budget = client.do(budgets.create("tenant", 1, measure="tokens", name="team"))
        first = client.do(runs.start("test.asks")).id
        until(lambda: client.do(runs.get(first)).status == "completed")
        held = client.do(runs.start("test.asks")).id
        until(lambda: client.do(runs.get(held)).status == "waiting" and questions(client))
    platform.kill()
    if how == "raised while down":
        lift_by_hand(platform.data, budget.id)
        platform.up()
    else:
        platform.up()
        platform.environment["PERDURE_API_KEY"] = platform.key
        with platform.client() as client:
            run = client.do(runs.get(held))
            [waiting] = [task for task in client.do(runs.tasks(held)).items if "budget" in (task.wait or {})]
            assert (run.status, waiting.wait["budget"]) == ("waiting", budget.id)
            shown = platform.run("runs", "show", held, "--server", platform.address)
            assert "ask waits for the budget" in shown.stdout
            assert "The budget team (tenant, 1 tokens in all) is used up." in shown.stdout, shown
            [asked] = questions(client)
            client.do(inbox.decide(asked.id, asked.hash, approved=how.startswith("answered"), data={"add": 100}))
        platform.kill()
        platform.up()
    with platform.client() as client:
        wanted = "faulted" if how.startswith("refused") else "completed"
        until(lambda: client.do(runs.get(held)).status == wanted)
        rows = client.do(usage.find(run=held)).items
        assert len(rows) == (0 if wanted == "faulted" else 1)
        assert all(row.key for row in rows)
        types = [entry.type for entry in client.do(runs.history(held)).items]
        assert types.count("task.cancelled.v1") == 0
        assert ("compensate" in str(client.do(runs.history(held)).items)) == (wanted == "faulted")
        assert not questions(client)


def questions(client):
    return client.do(inbox.find(state=["open"])).items
