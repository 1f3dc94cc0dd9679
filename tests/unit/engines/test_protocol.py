"""Names on a Temporal server: they are part of recorded histories."""

from datetime import UTC, datetime

import msgspec
import pytest

from perdure.engines.temporal import protocol
from perdure.engines.temporal.protocol import Beginning, Carried, Limits

BEGINNING = Beginning(
    tenant="acme", run="r", installation="perdure", definition="d", program="p", runtime={}, has_attributes=True,
    limits=Limits(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("tenant", "id"),
    [
        ("acme", "perdure/acme/r"),
        ("a/b", "perdure/a%2Fb/r"),
        ("ä c", "perdure/%C3%A4%20c/r"),
        ("%2F", "perdure/%252F/r"),
    ],
)
def test_a_run_has_one_workflow_and_no_tenant_reaches_into_another(tenant, id):
    assert protocol.run_id("perdure", tenant, "r") == id
    assert protocol.exchange_id("perdure", tenant) == id.removesuffix("r") + "/exchange"


def test_calls_go_to_the_queue_of_their_group():
    groups = {protocol.group_of(name) for name in ("infer", "http", "openapi", "send-mail")}
    assert groups == {"models", "http", "functions"}
    assert groups < set(protocol.QUEUES)
    assert {protocol.group_of(name) for name in ("infer", "model", "embed")} == {"models"}, "an agent's requests too"
    assert protocol.queue("perdure", "http") == "perdure-http"
    assert protocol.queue("perdure", "functions") == protocol.queue("perdure", "workflows")


def test_moments_are_exact():
    assert protocol.moment(datetime(2026, 1, 1, 0, 0, 0, 123457, UTC)) == 1_767_225_600_123_457


def test_a_beginning_of_an_older_perdure_is_read():
    old = {
        "tenant": "acme", "run": "r", "installation": "perdure", "definition": "d", "program": "p", "runtime": {},
        "has_attributes": True, "limits": {},
    }  # fmt: skip
    assert msgspec.convert(old, Beginning) == BEGINNING
    assert msgspec.json.decode(msgspec.json.encode(BEGINNING), type=Beginning) == BEGINNING
    carried = Carried(state={"a": 1}, open=[], status="running", updated=5)
    assert msgspec.json.decode(msgspec.json.encode(carried), type=Carried) == carried


def test_the_memo_tells_what_a_list_needs():
    heading = {"dsl": "1.0.3", "namespace": "test", "name": "demo", "version": "1.0.0"}
    memo = protocol.memo_of({"document": heading, "do": []}, BEGINNING, "given")
    told = {"tenant": "acme", "run": "r", "namespace": "test", "name": "demo", "version": "1.0.0", "status": "pending"}
    assert memo.items() >= told.items()
    assert memo["given"] == "given"
