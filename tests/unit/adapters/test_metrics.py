"""Numbers in Prometheus' form."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perdure.adapters.metrics import METRICS, PrometheusMeters


def samples(meters: PrometheusMeters) -> dict:
    families = text_string_to_metric_families(meters.text("text/plain")[0].decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_name_is_in_the_exposition_from_the_beginning():
    families = {f.name for f in text_string_to_metric_families(PrometheusMeters("1").text("")[0].decode())}
    assert families == {name.removesuffix("_total") for name in METRICS}


def test_counting():
    meters = PrometheusMeters("1.2")
    meters.add("perdure_refusals_total", ("rate",))
    meters.add("perdure_refusals_total", ("rate",), 2)
    meters.add("perdure_idempotent_replays_total")
    meters.watch("perdure_http_streams_open", lambda: 7)
    found = samples(meters)
    assert found["perdure_refusals_total", (("why", "rate"),)] == 3
    assert found["perdure_idempotent_replays_total", ()] == 1
    assert found["perdure_http_streams_open", ()] == 7
    assert found["perdure_build", (("version", "1.2"),)] == 1


def test_sorting():
    meters = PrometheusMeters()
    for value in (0.0005, 0.001, 0.3, 99):
        meters.observe("perdure_http_request_seconds", ("GET", "/x"), value)
    found = samples(meters)

    def bucket(bound):
        return found["perdure_http_request_seconds_bucket", (("le", bound), ("method", "GET"), ("route", "/x"))]

    assert [bucket("0.001"), bucket("0.25"), bucket("0.5"), bucket("10.0"), bucket("+Inf")] == [2, 2, 3, 3, 4]
    assert found["perdure_http_request_seconds_count", (("method", "GET"), ("route", "/x"))] == 4
    assert found["perdure_http_request_seconds_sum", (("method", "GET"), ("route", "/x"))] == pytest.approx(99.3015)


def test_a_label_that_runs_away_is_stopped(monkeypatch):
    monkeypatch.setattr("perdure.adapters.metrics._MOST_SERIES", 3)
    meters = PrometheusMeters()
    for number in range(10):
        meters.add("perdure_refusals_total", (str(number),))
        meters.observe("perdure_http_request_seconds", ("GET", str(number)), 1)
    assert samples(meters)["perdure_refusals_total", (("why", "overflow"),)] == 7
    assert repr(meters) == "PrometheusMeters(8 series)" or "series" in repr(meters)


def test_what_is_watched_may_have_labels():
    meters = PrometheusMeters()
    meters.watch("perdure_runs", lambda: {("waiting",): 3, ("running",): 0})
    meters.watch("perdure_runs_began_total", lambda: 7)
    meters.watch("perdure_runs_ended_total", lambda: {("faulted",): 2})
    found = samples(meters)
    assert found["perdure_runs", (("status", "waiting"),)] == 3
    assert found["perdure_runs", (("status", "running"),)] == 0
    assert found["perdure_runs_began_total", ()] == 7
    assert found["perdure_runs_ended_total", (("outcome", "faulted"),)] == 2


def test_a_name_that_is_in_no_table():
    with pytest.raises(KeyError):
        PrometheusMeters().add("perdure_unknown_total")


def test_open_metrics_for_who_asks():
    content, media = PrometheusMeters().text("application/openmetrics-text; version=1.0.0")
    assert media.startswith("application/openmetrics-text") and content.endswith(b"# EOF\n")


def test_every_name_is_in_the_manual():
    from tests.architecture.sources import ROOT

    manual = (ROOT / "docs/operate.md").read_text()
    for name, metric in METRICS.items():
        assert f"| `{name}` | {metric.kind} |" in manual, name
