"""`perdure doctor` on everything that several machines share: what works, and what is wrong with what does not."""

import base64
import itertools
import json
import os
import uuid

import pytest

from tests.servers.temporal import free_port
from tests.system.program import Program

_numbers = itertools.count(1)


@pytest.fixture
def shared(tmp_path, postgres_server, valkey_server, temporal_server):
    settings = {
        "PERDURE_ENGINE": "temporal",
        "PERDURE_TEMPORAL_INSTALLATION": f"test-{uuid.uuid4()}",
        "PERDURE_TEMPORAL_ADDRESS": temporal_server.target,
        "PERDURE_TEMPORAL_STORE": str(tmp_path / "store"),
        "PERDURE_DATABASE_URL": postgres_server.database(f"doctor_{next(_numbers)}"),
        "PERDURE_REDIS_URL": valkey_server.url,
        "PERDURE_MASTER_KEYS": base64.b64encode(os.urandom(32)).decode(),
    }

    def program(**more: str) -> Program:
        return Program(tmp_path, **settings | more)

    return program


def findings(program):
    done = program.run("doctor", "--json")
    found = {one["part"]: one for one in json.loads(done.stdout)}
    assert done.returncode == int(any(one["state"] == "failing" for one in found.values())), done
    return found


@pytest.mark.parametrize("broker", ["rabbit_server", "kafka_server"])
def test_each_part_by_its_name(shared, broker, request, took_part):
    server = request.getfixturevalue(broker)
    took_part(f"{'RabbitMQ' if broker == 'rabbit_server' else 'Kafka (Tansu)'} {server.version}")
    program = shared(PERDURE_BUS_URL=server.url)
    assert findings(program)["database workflows"]["state"] == "failing"
    assert program.run("migrate").returncode == 0
    found = findings(program)
    wanted = {"several machines", "big values", "cache and leases", "broker", "secrets", "database identity"}
    assert {found[part]["state"] for part in (*wanted, "database workflows")} == {"ok"}, found
    assert "no worker is at the queue workflows and platform" in found["engine"]["sentence"]
    assert found["engine"]["hint"] == "Start `perdure worker`."


def test_what_is_away_is_said(shared, took_part):
    took_part("perdure doctor")
    port = free_port()
    program = shared(
        PERDURE_BUS_URL=f"kafka://127.0.0.1:{port}", PERDURE_REDIS_URL=f"redis://127.0.0.1:{port}",
        PERDURE_MASTER_KEYS="",
    )  # fmt: skip
    found = findings(program)
    for part in ("broker", "cache and leases"):
        assert found[part]["state"] == "failing"
        assert "cannot be reached" in found[part]["sentence"]
    assert "openssl rand" in found["several machines"]["hint"]
