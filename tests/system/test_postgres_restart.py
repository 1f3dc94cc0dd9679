"""PostgreSQL is killed twenty times under writers: what was acknowledged is there, once (reliability.md, T13)."""

import asyncio
import random
import secrets

import pytest
from sqlalchemy import Column, MetaData, Table, Text, func, insert, select

from perdure.adapters.database import open_database
from perdure.adapters.outbox import outbox
from perdure.errors import Unavailable
from perdure.ports.database import EVERY, Told
from tests.servers.postgres import running

KILLS = 20
WRITERS = 8
metadata = MetaData()
rows = Table("rows", metadata, Column("tenant", Text, primary_key=True), Column("id", Text, primary_key=True))


@pytest.mark.slow
async def test_what_was_acknowledged_is_there_once(took_part, monkeypatch):
    monkeypatch.setattr("perdure.adapters.database_postgres.PATIENCE", 60)  # how long a server takes is not asked here
    with running() as server:
        took_part(f"PostgreSQL {server.version}, killed")
        database = await asyncio.to_thread(open_database, server.database("killed"), "killed", metadata, size=WRITERS)
        acknowledged: list[str] = []
        tries = 0
        ending = asyncio.Event()

        def adding(transaction) -> str:
            """A new id at every try: a transaction that was made twice would leave two rows."""
            nonlocal tries
            tries += 1
            id = secrets.token_hex(8)
            transaction.connection.execute(insert(rows).values(tenant=transaction.tenant, id=id))
            transaction.tell(Told(type="row.added.v1", subject=id, data={}, id=id))
            return id

        async def write() -> None:
            while not ending.is_set():
                acknowledged.append(await database.write("acme", adding))

        async def read() -> None:
            """Readers get through too."""
            while not ending.is_set():
                count = await database.read(
                    "acme", lambda c: c.execute(select(func.count()).select_from(rows)).scalar()
                )
                assert count >= 0
                await asyncio.sleep(0.01)

        working = [asyncio.create_task(write()) for _ in range(WRITERS - 1)] + [asyncio.create_task(read())]
        chance = random.Random(18)
        for _ in range(KILLS):
            before = len(acknowledged)
            await asyncio.sleep(chance.uniform(0.03, 0.3))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(60):
                while len(acknowledged) <= before:
                    await asyncio.sleep(0.01)
        ending.set()
        await asyncio.gather(*working)
        there = await database.read(EVERY, lambda c: c.execute(select(rows.c.id)).scalars().all())
        told = await database.read(EVERY, lambda c: c.execute(select(outbox.c.id)).scalars().all())
        await database.close()
        print(f"kills {server.kills}, acknowledged {len(acknowledged)}, rows {len(there)}, tries {tries}")
        assert server.kills == KILLS
        assert sorted(there) == sorted(acknowledged)
        assert sorted(told) == sorted(acknowledged)


async def test_a_server_that_stays_away_is_unavailable_after_patience(monkeypatch):
    monkeypatch.setattr("perdure.adapters.database_postgres.PATIENCE", 0.3)
    with running() as server:
        database = await asyncio.to_thread(open_database, server.database("away"), "away", metadata)
        await database.write("acme", lambda transaction: transaction.once("event"))
        server.kill()
        with pytest.raises(Unavailable, match="cannot be reached"):
            await database.write("acme", lambda transaction: transaction.once("event"))
        server.start()
        assert not await database.write("acme", lambda transaction: transaction.once("event"))
        await database.close()
