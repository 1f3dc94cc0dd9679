"""An agent on a Temporal server whose workers are killed at every request to its model: a provider that counts by key sees
exactly the requests of a run that nobody kills."""

import asyncio
import json
import uuid

import pytest

from tests.servers.model_endpoint import completion, endpoint
from tests.servers.temporal import TemporalServer
from tests.system.temporal_world import TENANT, TemporalWorld

TASKS = """
- ask:
    call: agent
    with:
      instruction: Settle it.
      tools: [effect, charge]
      output: {type: object, required: [done], properties: {done: {type: boolean}}}
"""
TURNS = (
    [("effect", "one"), ("effect", "two")],
    [("charge", "three")],
    "no JSON",
    '{"done": true}',
)


@pytest.fixture
def world(temporal_server: TemporalServer, tmp_path, took_part):
    took_part("Temporal server")
    made = TemporalWorld(temporal_server, tmp_path, f"agent-{uuid.uuid4()}")
    yield made
    made.close()


class Provider:
    """Answers by what it is asked, and may have the worker killed before it answers, or after."""

    def __init__(self, world: TemporalWorld, kill_at: tuple[int, bool] | None = None) -> None:
        self.world = world
        self.kill_at = kill_at
        self.seen: dict[str, str] = {}
        self.requests = 0

    async def answer(self, body, request):
        self.requests += 1
        key = request.headers["idempotency-key"]
        asked = json.dumps(body, sort_keys=True)
        assert self.seen.setdefault(key, asked) == asked, "another request under the same key"
        said = [message for message in body["messages"] if message["role"] == "assistant"]
        turn, is_early = self.kill_at or (None, False)
        if turn == len(said):
            self.kill_at = None
            killing = asyncio.create_task(self.kill(0.0 if is_early else 0.01))
            if is_early:
                await killing
            else:
                self.killing = killing
        return spoken(TURNS[len(said)])

    async def kill(self, delay: float) -> None:
        await asyncio.sleep(delay)
        await self.world.kill_worker()


def spoken(turn):
    if isinstance(turn, str):
        return completion(turn)
    wire = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": json.dumps({"label": label})}}
        for n, (name, label) in enumerate(turn)
    ]
    return completion(None, finish="tool_calls", tool_calls=wire)


async def lived(world: TemporalWorld, kill_at: tuple[int, bool] | None) -> tuple[Provider, list[str], int]:
    """One run; what the provider saw, what the history tells, and how often a person had to decide."""
    decided = 0
    provider = Provider(world, kill_at)
    async with endpoint(provider.answer) as serving, world.engine() as engine:
        world.more |= {"PERDURE_MODEL_URL": serving.url, "PERDURE_EGRESS_ALLOW": "127.0.0.1"}
        world.start_worker()
        # The same name, so that the keys are the same too.
        run = await engine.start(TENANT, world.document(TASKS), {}, run="agent")
        while (ended := await asyncio.wait_for(engine.wait(TENANT, run), 60)).status == "faulted":
            assert (ended.error or {})["title"] == "outcome unknown", ended.error  # `charge` was cut: a person decides
            await engine.retry(TENANT, run)
            decided += 1
        assert (ended.status, ended.output) == ("completed", {"done": True}), ended.error
        return provider, [entry.type for entry in await engine.history(TENANT, run)], decided


@pytest.mark.slow
async def test_an_agent_killed_at_every_request_asks_what_it_would_have_asked(temporal_server, tmp_path, world):
    whole, history, _ = await lived(world, None)
    assert whole.requests == len(whole.seen) == 4
    assert (len(world.noted("effect")), len(world.noted("charge"))) == (2, 1)
    for turn, is_early in ((0, True), (0, False), (1, True), (1, False), (3, True)):
        folder = tmp_path / f"{turn}-{is_early}"
        folder.mkdir()
        killed = TemporalWorld(temporal_server, folder, f"agent-{uuid.uuid4()}")
        try:
            provider, told, decided = await lived(killed, (turn, is_early))
        finally:
            killed.close()
        assert killed.kills == 1
        assert provider.seen == whole.seen
        assert provider.requests - len(provider.seen) <= 1
        assert len(set(killed.noted("effect"))) == 2
        assert len(set(killed.noted("charge"))) == 1
        assert len(killed.noted("charge")) <= 1 + decided
        assert decided or told == history
