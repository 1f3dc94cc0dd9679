"""The same platform with less, or with something else: no broker and no cache, Kafka, and one process on Temporal."""

import itertools
import uuid

import pytest

from tests.system.cluster import Cluster, Node, approved
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
