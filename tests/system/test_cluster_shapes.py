"""The same platform with less, or with something else: no broker and no cache, Kafka, and one process on Temporal."""

import itertools
import uuid

import pytest

from tests.servers import rabbitmq
from tests.servers.valkey import MISSING, ValkeyServer, program
from tests.system.cluster import ASK, Cluster, Node, approved, ended, until
from tests.system.platform_process import PlatformProcess

_numbers = itertools.count(1)


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["none", "kafka"])
def test_one_gateway_and_one_worker(tmp_path, postgres_server, temporal_server, broker, request, took_part):
    """Without a broker the gateway leaves its events to the worker, which finds them in the database."""
    more = {}
    if broker == "kafka":
        server = request.getfixturevalue("kafka_server")
        took_part(f"Kafka (Tansu) {server.version}")
        more["PERDURE_BUS_URL"] = server.url
    cluster = Cluster(
        tmp_path,
        1,
        PERDURE_DATABASE_URL=postgres_server.database(f"shapes_{next(_numbers)}"),
        PERDURE_TEMPORAL_ADDRESS=temporal_server.target,
        **more,
    )
    took_part("perdure serve and perdure worker")
    try:
        cluster.start()
        (gateway,) = cluster.gateways
        assert approved(gateway, gateway, cluster.key) == {"said": "yes"}
        assert "set PERDURE_REDIS_URL" in cluster.log()
        assert ("broker" in gateway.until_ready()["parts"]) == (broker == "kafka")
        assert cluster.gateways[0].end() == cluster.workers[0].end() == 0
    finally:
        cluster.close()


@pytest.mark.slow
def test_cache_and_broker_may_be_away(tmp_path, postgres_server, temporal_server, require, took_part):
    """Requests are taken all the same; what somebody decided meanwhile reaches its run when the broker is back."""
    require(program() is not None, MISSING)
    cache = ValkeyServer(tmp_path)
    cache.start()
    with rabbitmq.running() as broker:
        took_part(f"Valkey {cache.version}, killed")
        took_part(f"RabbitMQ {broker.version}, killed")
        cluster = Cluster(
            tmp_path,
            1,
            PERDURE_DATABASE_URL=postgres_server.database(f"shapes_{next(_numbers)}"),
            PERDURE_TEMPORAL_ADDRESS=temporal_server.target,
            PERDURE_BUS_URL=broker.url,
            PERDURE_REDIS_URL=cache.url,
        )
        try:
            cluster.start()
            (gateway,) = cluster.gateways
            assert gateway.ask("POST", "/api/v1/workflows", cluster.key, ASK).status == 201
            cache.kill()
            broker.kill()
            path = "/api/v1/workflows/test.ask/runs"
            run = gateway.ask("POST", path, cluster.key, {"input": {}}, idempotency_key="once").json["id"]
            assert gateway.ask("POST", path, cluster.key, {"input": {}}, idempotency_key="once").json["id"] == run
            items = until(lambda: gateway.ask("GET", "/api/v1/inbox", cluster.key).json["items"], "nobody is asked")
            verdict = {"hash": items[0]["hash"], "approved": True}
            assert gateway.ask("POST", f"/api/v1/inbox/{items[0]['id']}/decide", cluster.key, verdict).status == 200
            parts = until(lambda: _failing(gateway), "nothing is said of it")
            assert parts == {"cache", "broker"}
            assert ended(gateway, run, cluster.key) is None
            broker.start()
            until(lambda: ended(gateway, run, cluster.key), f"the run does not end\n{cluster.log()[-3000:]}")
        finally:
            cluster.close()
            cache.kill()


def _failing(gateway):
    """What does not work of a gateway that is ready."""
    answer = gateway.ask("GET", "/ready")
    assert answer.status == 200, answer
    found = {part for part, state in answer.json["parts"].items() if state == "failing"}
    return found if len(found) > 1 else None


@pytest.mark.slow
def test_one_process_on_temporal(tmp_path, temporal_server, took_part):
    """`perdure up` drives its runs itself, wherever they are."""
    took_part("perdure up on a Temporal server")
    platform = PlatformProcess(
        tmp_path, PERDURE_ENGINE="temporal", PERDURE_TEMPORAL_ADDRESS=temporal_server.target,
        PERDURE_TEMPORAL_INSTALLATION=f"test-{uuid.uuid4()}",
    )  # fmt: skip
    try:
        platform.up()
        node = Node(platform, "serve")
        node.port = int(platform.address.rpartition(":")[2])
        assert approved(node, node, platform.key) == {"said": "yes"}
    finally:
        platform.kill()
