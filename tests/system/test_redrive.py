"""`perdure events redrive`: dead letters come back, from a broker and from a data directory."""

import asyncio
import os
import subprocess
import sys

import msgspec
from sqlalchemy import insert, select

from perdure.adapters import outbox
from perdure.adapters.database import open_database
from perdure.adapters.rabbitmq_bus import RabbitBus
from perdure.migrations import histories
from perdure.ports.database import EVERY


def redrive(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    command = [sys.executable, "-m", "perdure", "events", "redrive", *arguments]
    return subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, timeout=60)


async def test_from_a_data_directory(tmp_path):
    url = f"sqlite:///{tmp_path}/workflows.db"
    histories.prepare(url, "workflows")
    database = open_database(url, "workflows")

    def bury(transaction) -> None:
        events = [{"id": str(number), "subject": "s", "tenant": "acme", "type": "t"} for number in range(3)]
        outbox.put(transaction.connection, "acme", events[:2], 1)
        outbox.mark_sent(transaction.connection, [1, 2], 2)
        for event in events:
            row = {
                "name": "workflows",
                "tenant": "acme",
                "event": msgspec.json.encode(event).decode(),
                "reason": "r",
                "at": 1,
            }
            transaction.connection.execute(insert(outbox.dead), row)

    await database.write(EVERY, bury)
    done = await asyncio.to_thread(redrive, "workflows", "--data", str(tmp_path), "--limit", "2")
    assert (done.returncode, done.stdout) == (0, "2 events of workflows will be delivered again\n"), done.stderr
    done = await asyncio.to_thread(redrive, "workflows", "--data", str(tmp_path))
    assert done.stdout == "1 event of workflows will be delivered again\n", done.stderr
    query = select(outbox.outbox.c.id).where(outbox.outbox.c.sent.is_(None)).order_by(outbox.outbox.c.id)
    assert await database.read(EVERY, lambda connection: connection.execute(query).scalars().all()) == ["0", "1", "2"]
    assert await database.read(EVERY, lambda connection: connection.execute(select(outbox.dead)).all()) == []
    await database.close()
    nothing = redrive("workflows", "--data", str(tmp_path / "none"))
    assert (nothing.returncode, "No platform has worked here" in nothing.stderr) == (2, True)


async def test_from_a_broker(rabbit_server, took_part):
    took_part(f"RabbitMQ {rabbit_server.version}")
    bus = RabbitBus(rabbit_server.url, pauses=())
    heard = asyncio.Queue()
    is_mended = False

    async def listen(event) -> None:
        heard.put_nowait(event["id"])
        if not is_mended:
            raise ValueError("poison")

    await bus.subscribe("redriven", "workflow.events", ("redriven.*",), listen)
    await bus.publish("workflow.events", {"id": "1", "type": "redriven.v1", "subject": "s", "tenant": "t"})
    assert await asyncio.wait_for(heard.get(), 20) == "1"
    is_mended = True
    async with asyncio.timeout(30):
        while heard.empty():  # the letter may still be on its way to the others
            done = await asyncio.to_thread(redrive, "redriven", PERDURE_BUS_URL=rabbit_server.url)
            assert done.returncode == 0, done.stderr
            await asyncio.sleep(0.05)
    assert await heard.get() == "1"
    await bus.close()


def test_a_broker_that_is_away_is_one_sentence():
    done = redrive("x", PERDURE_BUS_URL="amqp://127.0.0.1:1/")
    assert (done.returncode, "RabbitMQ cannot be reached" in done.stderr) == (1, True), done.stderr
    done = redrive("x", PERDURE_BUS_URL="kafka://127.0.0.1:1")
    assert (done.returncode, "Kafka cannot be reached" in done.stderr) == (1, True), done.stderr
