"""The service on SQLite and the embedded engine: both real, with a model that says what the test told it to."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.database import open_database
from perdure.adapters.memory_cache import MemoryCache
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.errors import NotFound
from perdure.functions.agent import Agent
from perdure.functions.approve import Approve
from perdure.functions.embed import Embed
from perdure.functions.infer import Infer
from perdure.functions.model import Model
from perdure.functions.model_providers import Providers
from perdure.functions.table import Table
from perdure.ports.database import EVERY
from perdure.ports.model import Answer, Chunk, Request, TextDelta, Texts, ToolCall, Vectors
from perdure.ports.spending import Later
from perdure.services.agents import events
from perdure.services.agents.service import Ground
from perdure.services.agents.store import metadata
from perdure.services.agents.whole import Agents

TENANT = "t"
BY = "ana"
PRICE = 0.001
"""US dollars a token."""


class Talker:
    """A model of this process: says the lines it was given, one a request, the last for all that follow."""

    def __init__(self) -> None:
        self.lines: list[Any] = ["Good."]
        self.requests: list[Request] = []
        self.usage: dict[str, Any] = {"inputTokens": 6, "outputTokens": 4, "model": "talker", "cost": 0.01}
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, request: Request) -> Answer:
        self.requests.append(request)
        line = self.lines[min(len(self.requests), len(self.lines)) - 1]
        await self.gate.wait()
        if isinstance(line, list):
            calls = tuple(ToolCall(f"c{index}", name, given) for index, (name, given) in enumerate(line))
            return Answer(text="", finish="tools", usage=dict(self.usage), tool_calls=calls)
        return Answer(text=line, finish="stop", usage=dict(self.usage))

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        answer = await self.ask(request)
        for start in range(0, len(answer.text), 4):
            yield TextDelta(answer.text[start : start + 4])
        yield answer

    async def embed(self, texts: Texts) -> Vectors:
        return Vectors(vectors=tuple((1.0,) for _ in texts.texts), usage=dict(self.usage))


class World:
    """One installation, as small as it gets."""

    def __init__(self, clock: TestClock, database: Any, engine: EmbeddedEngine, table: Table, talker: Talker) -> None:
        self.clock = clock
        self.database = database
        self.engine = engine
        self.talker = talker
        self.ground = Ground(
            database=database, engine=engine, cache=MemoryCache(clock), clock=clock, functions=table,
            price=lambda model: PRICE, workflow=self.published, recent=0.0,
        )  # fmt: skip
        self.workflows: dict[str, Any] = {}
        self.service = Agents(self.ground)
        self.budgets, self.records = self.service.budgets, self.service.records
        self.accounts = self.service.accounts

    async def published(self, tenant: str, id: str, version: str | None) -> tuple[str, Any]:
        if id not in self.workflows:
            raise NotFound(f"There is no workflow {id}.")
        document = self.workflows[id]
        return document["document"]["version"], document

    async def told(self) -> list[dict[str, Any]]:
        """What the service told others so far, in order."""

        def work(connection: Any) -> list[dict[str, Any]]:
            rows = connection.exec_driver_sql("SELECT event FROM outbox ORDER BY seq").all()
            return [json.loads(row[0]) for row in rows]

        return await self.database.read(EVERY, work)

    async def hand_out(self) -> None:
        """Let runs hear what became of budgets, as the bus would; the same again changes nothing."""
        for event in await self.told():
            if event["type"] == events.BUDGET_SETTLED:
                await self.service.listeners.settled(event)

    async def reaches(self, run: str, status: str) -> None:
        for _ in range(5000):
            if (await self.engine.describe(TENANT, run)).status == status:
                return
            await asyncio.sleep(0.001)
        raise AssertionError(await self.engine.describe(TENANT, run))

    async def settle(self, run: str) -> Any:
        return await asyncio.wait_for(self.engine.wait(TENANT, run), 10)


@contextlib.asynccontextmanager
async def opened(folder: Path, database: Any, clock: TestClock) -> AsyncIterator[World]:
    """On this database, with an engine of its own."""
    talker, spending = Talker(), Later()
    asking = (kind(Providers(talker, ["p"], spending)) for kind in (Model, Infer, Embed))
    table = Table([Agent(), Approve(), *asking])
    async with EmbeddedEngine(folder, table, clock=clock) as engine:
        made = World(clock, database, engine, table, talker)
        spending.hand(made.accounts)
        yield made
        await made.service.live.close()


@pytest.fixture
async def world(tmp_path):
    clock = TestClock()
    database = open_database("sqlite://", "agents", metadata, clock=clock)
    async with opened(tmp_path, database, clock) as made:
        yield made
    await database.close()
