"""The service on SQLite and the embedded engine: both real, with a clock that stands still unless it is told to."""

import asyncio
import json
from typing import Any

import pytest

from perdure.adapters.clock import TestClock
from perdure.adapters.database import open_database
from perdure.engines.embedded.engine import EmbeddedEngine
from perdure.functions.agent import Agent
from perdure.functions.approve import Approve
from perdure.functions.table import Table
from perdure.ports.database import EVERY
from perdure.ports.function import Context, Effect
from perdure.ports.spending import ACCOUNT
from perdure.services.workflows.service import Ground
from perdure.services.workflows.store import metadata
from perdure.services.workflows.workflows import Workflows

TENANT = "t"
BY = "ana"


class Payer:
    """A function that says on whose account it is called."""

    name = "payer"
    version = "1.0.0"
    effect: Effect = "read"
    summary = "Who pays."
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}

    def effect_of(self, arguments: Any, resources: dict[str, Any]) -> Effect:
        return self.effect

    async def execute(self, arguments: Any, context: Context) -> Any:
        return context.resources.get(ACCOUNT)


class PlainSealing:
    """Seals nothing, and tells a wrong place all the same."""

    def seal(self, tenant: str, place: str, secret: bytes) -> bytes:
        return f"{tenant} {place} ".encode() + secret

    def open(self, tenant: str, place: str, sealed: bytes) -> bytes:
        head = f"{tenant} {place} ".encode()
        assert sealed.startswith(head)
        return sealed[len(head) :]


class World:
    """One installation, as small as it gets."""

    def __init__(self, clock: TestClock, database: Any, engine: EmbeddedEngine) -> None:
        self.clock = clock
        self.database = database
        self.engine = engine
        self.outside: dict[str, Any] = {}
        self.service = self.another()

    def another(self) -> Workflows:
        """A second process on the same database and engine."""
        return Workflows(
            Ground(
                database=self.database, engine=self.engine, clock=self.clock, sealing=PlainSealing(),
                functions=Table([Agent(), Approve(), Payer()]), resolve=self.resolve,
            )
        )  # fmt: skip

    async def resolve(self, document: Any) -> dict[str, Any]:
        return dict(self.outside)

    async def publish(self, name: str = "w", do: str = "[]", *, version: str = "1.0.0", more: str = "") -> Any:
        return await self.service.definitions.publish(TENANT, BY, document(name, do, version, more), "application/yaml")

    async def told(self) -> list[dict[str, Any]]:
        """What the service told others so far, in order."""

        def work(connection: Any) -> list[dict[str, Any]]:
            rows = connection.exec_driver_sql("SELECT event FROM outbox ORDER BY seq").all()
            return [json.loads(row[0]) for row in rows]

        return await self.database.read(EVERY, work)

    async def settle(self, run: str) -> Any:
        return await asyncio.wait_for(self.engine.wait(TENANT, run), 10)

    async def fire(self, seconds: float = 0, service: Workflows | None = None) -> None:
        """Let time pass, then fire everything that is due."""
        self.clock.advance(seconds)
        while await (service or self.service).firing.sweep():
            pass

    async def until(self, run: str, status: str) -> None:
        for _ in range(1000):
            if (await self.engine.describe(TENANT, run)).status == status:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(await self.engine.describe(TENANT, run))


SET = "[{a: {set: {n: '${ .n }'}}}]"
HELD = "[{l: {listen: {to: {one: {with: {type: go}}}}}}]"


def document(name: str, do: str = SET, version: str = "1.0.0", more: str = "") -> bytes:
    head = f"document: {{dsl: 1.0.3, namespace: test, name: {name}, version: {version}}}\n"
    return f"{head}do: {SET if do == '[]' else do}\n{more}\n".encode()


@pytest.fixture
async def world(tmp_path):
    clock = TestClock()
    database = open_database("sqlite://", "workflows", metadata, clock=clock)
    async with EmbeddedEngine(tmp_path, Table([Agent(), Approve(), Payer()]), clock=clock) as engine:
        yield World(clock, database, engine)
    await database.close()
