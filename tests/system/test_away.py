"""A platform whose servers come after it: it listens, says what it waits for, and goes on when they are there."""

import pytest

from tests.servers import postgres, rabbitmq
from tests.servers.temporal import TemporalServer, is_installed
from tests.servers.valkey import ValkeyServer
from tests.system.cluster import LOST, Cluster, approved, until

pytestmark = pytest.mark.slow


def waits_for(node, part, reason, cluster):
    """It lives, is not ready, and the log says why."""
    until(lambda: reason in cluster.log(), f"nobody says {reason!r}: {cluster.log()}")

    def told():
        try:
            answer = node.ask("GET", "/ready")
        except LOST:
            return False
        return answer.status == 503 and answer.json["parts"] == {part: "failing"}

    until(told, f"{node} does not say that it waits for its {part}")
    assert node.ask("GET", "/health/live").status == 200
    assert node.ask("POST", "/api/v1/runs", "pdk_x", {"workflow": "a.b"}).status == 503


def test_servers_that_come_later(tmp_path, require, took_part):
    require(is_installed() and rabbitmq.is_installed(), "Temporal or RabbitMQ is not installed")
    took_part("Temporal, PostgreSQL, Valkey and RabbitMQ that come after the platform")
    temporal, valkey = TemporalServer(tmp_path), ValkeyServer(tmp_path)
    with postgres.running(durable=False) as database, rabbitmq.prepared() as rabbit:
        cluster = Cluster(
            tmp_path, count=1, PERDURE_DATABASE_URL=database.database("away"), PERDURE_REDIS_URL=valkey.url,
            PERDURE_BUS_URL=rabbit.url, PERDURE_TEMPORAL_ADDRESS=temporal.target,
        )  # fmt: skip
        database.kill()
        nodes = [*cluster.gateways, *cluster.workers]
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                waits_for(node, "engine", "The Temporal server", cluster)
            temporal.start()
            for node in nodes:
                waits_for(node, "database", "The database of identity cannot be reached", cluster)
            database.start()
            for node in nodes:
                waits_for(node, "database", "not up to date (empty", cluster)
            assert cluster.program.run("migrate").returncode == 0
            cluster.see_ready()
            for node in nodes:
                assert (parts := node.until_ready()["parts"])["cache"] == parts["broker"] == "failing", parts
            assert cluster.log().count("Limits and idempotency keys are not kept") == 2
            assert cluster.log().count("Events wait in the outbox") == 2
            valkey.start()
            rabbit.start()
            assert approved(cluster.gateways[0], cluster.gateways[0], cluster.key) == {"said": "yes"}
            until(lambda: set(cluster.workers[0].until_ready()["parts"].values()) == {"ok"}, "it does not recover")
            assert '"part":"broker","state":"ok"' in cluster.log()
        finally:
            cluster.close()
            valkey.kill()
            temporal.stop()
