"""The numbers of a process in Prometheus' form. Their names are a promise: `docs/operate.md` holds the same table.

Counting is adding to a dictionary; the library that writes the exposition is imported when somebody first asks.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """One name, and what it counts."""

    kind: str
    labels: tuple[str, ...]
    sentence: str


METRICS: dict[str, Metric] = {
    "perdure_http_requests_total": Metric("counter", ("method", "route", "status"), "Requests answered."),
    "perdure_http_request_seconds": Metric("histogram", ("method", "route"), "Time from a request's headers to the end of its answer."),
    "perdure_http_requests_in_flight": Metric("gauge", (), "Requests being answered now."),
    "perdure_http_streams_open": Metric("gauge", (), "Event streams that are open now."),
    "perdure_http_streams_ended_total": Metric("counter", ("why",), "Event streams that ended: ended, left, stalled, refused, drained, failed."),
    "perdure_refusals_total": Metric("counter", ("why",), "Requests refused at the edge: unknown-key, unknown-token, unknown-session, denied, csrf, foreign-origin, rate, streams."),
    "perdure_limits_unavailable_total": Metric("counter", (), "Requests let through because the counters of limits could not be reached."),
    "perdure_idempotent_replays_total": Metric("counter", (), "Answers given again for a known Idempotency-Key."),
    "perdure_calls_total": Metric("counter", ("function", "outcome"), "Calls that runs made here: completed, definite (failed), unknown (failed, and may have happened)."),
    "perdure_call_seconds": Metric("histogram", ("function",), "Time from a call to its answer."),
    "perdure_runs": Metric("gauge", ("status",), "Runs there are that may still change: pending, running, waiting, suspended, faulted. On Temporal those of the whole installation, a moment ago."),
    "perdure_runs_began_total": Metric("counter", (), "Runs that began here, forks and child runs too."),
    "perdure_runs_ended_total": Metric("counter", ("outcome",), "Runs that ended here: completed, faulted, cancelled. One that is mended ends once more."),
    "perdure_build": Metric("gauge", ("version",), "1, with the version as a label."),
}  # fmt: skip
"""Other parts add theirs here: a name that is not in the table cannot be counted."""

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MOST_SERIES = 5000
"""Of one name. More means that a label has values it must not have; what is over goes into one series `overflow`."""


class PrometheusMeters:
    """The meters of one process."""

    def __init__(self, version: str = "") -> None:
        self._counts: dict[str, dict[tuple[str, ...], float]] = {
            name: {} for name, metric in METRICS.items() if metric.kind == "counter"
        }
        self._histograms: dict[str, dict[tuple[str, ...], list[float]]] = {
            name: {} for name, metric in METRICS.items() if metric.kind == "histogram"
        }
        self._watched: dict[str, Callable[[], float | Mapping[tuple[str, ...], float]]] = {}
        self._version = version
        self._registry: Any = None

    def __repr__(self) -> str:
        series = sum(map(len, self._counts.values())) + sum(map(len, self._histograms.values()))
        return f"PrometheusMeters({series} series)"

    def add(self, name: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        series = self._counts[name]
        if labels not in series and len(series) >= _MOST_SERIES:
            labels = ("overflow",) * len(labels)
        series[labels] = series.get(labels, 0) + amount

    def observe(self, name: str, labels: tuple[str, ...], value: float) -> None:
        series = self._histograms[name]
        found = series.get(labels)
        if found is None:
            if len(series) >= _MOST_SERIES:
                labels = ("overflow",) * len(labels)
            found = series.setdefault(labels, [0.0] * (len(BUCKETS) + 2))
        found[bisect_left(BUCKETS, value)] += 1
        found[-1] += value

    def watch(self, name: str, read: Callable[[], float | Mapping[tuple[str, ...], float]]) -> None:
        assert METRICS[name].kind != "histogram", name
        self._watched[name] = read

    def text(self, accept: str) -> tuple[bytes, str]:
        # Imported at the first look: nothing else needs it.
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
        encode, media = choose_encoder(accept)
        return encode(self._registry), media

    def collect(self) -> Iterator[Any]:
        """Called by the library for each exposition."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, metric in METRICS.items():
            if metric.kind == "counter":
                family: Any = CounterMetricFamily(name, metric.sentence, labels=metric.labels)
                for labels, count in (self._looked_up(name) or self._counts[name]).items() or _zero(metric):
                    family.add_metric(labels, count)
            elif metric.kind == "histogram":
                family = HistogramMetricFamily(name, metric.sentence, labels=metric.labels)
                for labels, found in self._histograms[name].items():
                    family.add_metric(labels, *_cumulated(found))
            else:
                family = GaugeMetricFamily(name, metric.sentence, labels=metric.labels)
                if name == "perdure_build":
                    family.add_metric([self._version], 1)
                for labels, value in self._looked_up(name).items():
                    family.add_metric(labels, value)
            yield family

    def _looked_up(self, name: str) -> Mapping[tuple[str, ...], float]:
        """What is watched under a name, by labels."""
        if name not in self._watched:
            return {}
        found = self._watched[name]()
        return found if isinstance(found, Mapping) else {(): found}


def _zero(metric: Metric) -> list[tuple[tuple[str, ...], float]]:
    """A counter without labels starts at 0, so that its first increase is seen as one."""
    return [] if metric.labels else [((), 0.0)]


def _cumulated(found: list[float]) -> tuple[list[tuple[str, float]], float]:
    total = 0.0
    buckets = []
    for bound, count in zip((*BUCKETS, float("inf")), found[:-1], strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    return buckets, found[-1]
