"""Several gateways and workers on PostgreSQL, Valkey, RabbitMQ and Temporal are one platform, whoever of them comes and goes."""

import itertools
import signal
import time

import pytest

from tests.system.cluster import Balancer, Cluster, Load, approved, until

LOAD = b"""
document: { dsl: 1.0.3, namespace: test, name: load, version: 1.0.0 }
do:
  - first: { call: effect, with: { label: '${ .key }' } }
  - rest: { wait: { milliseconds: 300 } }
  - last: { set: { key: '${ $workflow.input.key }' } }
"""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, postgres_server, valkey_server, rabbit_server, temporal_server):
    made = Cluster(
        tmp_path_factory.mktemp("cluster"),
        PERDURE_DATABASE_URL=postgres_server.database(f"cluster_{next(_numbers)}"),
        PERDURE_REDIS_URL=valkey_server.url,
        PERDURE_BUS_URL=rabbit_server.url,
        PERDURE_TEMPORAL_ADDRESS=temporal_server.target,
    )
    try:
        made.start()
        answer = made.gateways[0].ask("POST", "/api/v1/workflows", made.key, LOAD)
        assert answer.status == 201, answer
        yield made
    finally:
        made.close()


def all_complete(cluster, runs):
    """Every run that was promised is there, and goes to its end."""
    gateway = cluster.gateways[0]
    for run in runs:

        def completed(run=run):
            answer = gateway.ask("GET", f"/api/v1/runs/{run}", cluster.key)
            assert answer.status == 200, f"the run {run} is lost: {answer}"
            assert answer.json["status"] not in {"faulted", "cancelled"}, answer
            return answer.json["status"] == "completed"

        until(completed, f"the run {run} does not end\n{cluster.log()[-3000:]}")


@pytest.mark.slow
def test_every_gateway_is_as_good_as_another(cluster, took_part):
    took_part("perdure serve and perdure worker, two of each")
    one, other = cluster.gateways
    assert one.until_ready()["parts"] == {
        "engine": "ok", "database identity": "ok", "database workflows": "ok", "database agents": "ok", "cache": "ok",
        "broker": "ok",
    }  # fmt: skip
    assert cluster.workers[0].until_ready()["parts"]["engine"] == "ok"
    assert approved(one, other, cluster.key) == {"said": "yes"}


@pytest.mark.slow
def test_a_session_begins_and_ends_everywhere(cluster, took_part):
    took_part("perdure serve and perdure worker, two of each")
    one, other = cluster.gateways
    who = {"email": "ana@example.com", "password": "a long password of Ana"}
    assert one.ask("POST", "/api/v1/users", cluster.key, {**who, "role": "viewer"}).status == 201
    signed = one.ask("POST", "/api/v1/auth/login", "", who)
    assert signed.status == 200, signed
    bearer = f"Bearer {signed.json['access_token']}"
    assert other.ask("GET", "/api/v1/me", authorization=bearer).status == 200
    assert other.ask("POST", "/api/v1/auth/logout", "", {}, authorization=bearer).status == 204
    until(lambda: one.ask("GET", "/api/v1/me", authorization=bearer).status == 401, "it is still let in")


@pytest.mark.slow
def test_a_run_is_followed_from_any_gateway(cluster, took_part):
    took_part("perdure serve and perdure worker, two of each")
    one, other = cluster.gateways
    run = one.ask("POST", "/api/v1/workflows/test.load/runs", cluster.key, {"input": {"key": "k"}}).json["id"]
    told = other.read(f"/api/v1/runs/{run}/stream", cluster.key)
    assert "workflow.started.v1" in told
    assert '"status":"completed"' in told.rpartition("event: end")[2]


@pytest.mark.slow
def test_a_key_that_was_revoked_is_refused_everywhere_within_seconds(cluster, took_part):
    took_part("perdure serve and perdure worker, two of each")
    one, other = cluster.gateways
    made = one.ask("POST", "/api/v1/keys", cluster.key, {"name": "short", "role": "viewer"}).json
    id, secret = made["key"]["id"], made["secret"]
    assert other.ask("GET", "/api/v1/runs", secret).status == 200
    assert one.ask("DELETE", f"/api/v1/keys/{id}", cluster.key).status in {200, 204}
    began = time.monotonic()
    until(lambda: other.ask("GET", "/api/v1/runs", secret).status == 401, "it is still let in")
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_rolling_restart_fails_nothing_and_loses_nothing(cluster, took_part):
    took_part("perdure serve and perdure worker, two of each")
    with Balancer(cluster.gateways) as balancer, Load(cluster, balancer) as load:
        until(lambda: len(load.runs) > 5, load.failures)
        for node in (*cluster.gateways, *cluster.workers):
            assert node.end() == 0, cluster.log()[-3000:]
            node.start()
            node.until_ready()
            time.sleep(0.3)  # the balancer sees it
    print(f"{len(load.runs)} runs, {len(load.failures)} requests failed")
    assert load.failures == [], cluster.log()[-3000:]
    assert len(load.runs) > 30
    all_complete(cluster, load.runs)


@pytest.mark.slow
def test_killing_a_gateway_and_a_worker_loses_nothing(cluster, took_part):
    took_part("perdure serve and perdure worker, two of each")
    with Balancer(cluster.gateways) as balancer, Load(cluster, balancer, again=True) as load:
        until(lambda: len(load.runs) > 5, load.failures)
        for node in (cluster.gateways[0], cluster.workers[0]):
            node.end(signal.SIGKILL)
            time.sleep(1)
            node.start()
            node.until_ready()
    print(f"{len(load.runs)} runs, {load.repeated} requests made again")
    assert load.failures == [], cluster.log()[-3000:]
    assert len(set(load.runs)) == len(load.runs), "one run for each idempotency key"
    all_complete(cluster, load.runs)
